// Draws samples.
#include "train/choice.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "support/error.hpp"
#include "support/random.hpp"
#include "support/text.hpp"

namespace dovetail {
namespace {

constexpr double uniform_part = 0.1;  // λ of importance sampling

/// Uniform in (0, 1).
double open_uniform(SplitMix64& random) {
  return (static_cast<double>(random.next() >> 11) + 0.5) * 0x1.0p-53;
}

std::vector<double> usable(std::span<const float> losses) {
  std::vector<double> values(losses.begin(), losses.end());
  for (double& value : values) {
    if (!std::isfinite(value) || value < 0) value = 0;
  }
  return values;
}

/// Places ordered by loss, smallest first.
std::vector<std::uint32_t> ascending(const std::vector<double>& losses) {
  std::vector<std::uint32_t> order(losses.size());
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::uint32_t a, std::uint32_t b) { return losses[a] < losses[b]; });
  return order;
}

/// The `count` places with the smallest keys.
std::vector<std::uint32_t> smallest(const std::vector<double>& keys, std::size_t count) {
  std::vector<std::uint32_t> order = ascending(keys);
  order.resize(count);
  return order;
}

/// Each place has a clock that rings after a time drawn from the exponential distribution with its
/// weight as the rate: the first `count` to ring.
std::vector<std::uint32_t> first_to_ring(const std::vector<double>& weights, std::size_t count,
                                         SplitMix64& random) {
  std::vector<double> times;
  for (const double weight : weights) times.push_back(-std::log(open_uniform(random)) / weight);
  return smallest(times, count);
}

Choice draw_by_importance(const std::vector<double>& losses, std::size_t count,
                          SplitMix64& random) {
  const auto n = static_cast<double>(losses.size());
  const double total = std::accumulate(losses.begin(), losses.end(), 0.0);
  const auto probability = [&](std::size_t i) {
    if (total <= 0) return 1 / n;
    return (1 - uniform_part) * losses[i] / total + uniform_part / n;
  };
  std::vector<double> ends;
  for (std::size_t i = 0; i < losses.size(); ++i)
    ends.push_back((ends.empty() ? 0 : ends.back()) + probability(i));
  Choice choice;
  for (std::size_t draw = 0; draw < count; ++draw) {
    const double at = open_uniform(random) * ends.back();
    const auto found = std::upper_bound(ends.begin(), ends.end() - 1, at);
    choice.picks.push_back(static_cast<std::uint32_t>(found - ends.begin()));
  }
  std::sort(choice.picks.begin(), choice.picks.end());
  for (const std::uint32_t pick : choice.picks)
    choice.weights.push_back(static_cast<float>(1 / (n * probability(pick))));
  return choice;
}

}  // namespace

const char* to_string(SelectKind kind) {
  switch (kind) {
    case SelectKind::rank:
      return "rank";
    case SelectKind::importance:
      return "importance";
    case SelectKind::hard:
      return "hard";
    case SelectKind::random:
      return "random";
  }
  return "";
}

SelectKind parse_select(const std::string& name) {
  for (const SelectKind kind :
       {SelectKind::rank, SelectKind::importance, SelectKind::hard, SelectKind::random}) {
    if (name == to_string(kind)) return kind;
  }
  throw UsageError(fmt::format("unknown selection '{}'", name),
                   "Known: rank, importance, hard, random");
}

double rank_exponent(std::uint64_t step, std::uint64_t version, double discount) {
  const double age = static_cast<double>(step - std::min(step, version));
  if (age == 0 || discount == 0) return fresh_exponent;
  const auto learned = static_cast<double>(version);
  return fresh_exponent * learned / (learned + discount * age);
}

Choice choose(SelectKind kind, std::span<const float> losses, std::size_t count, std::uint64_t seed,
              double exponent) {
  if (count > losses.size())
    throw Error(fmt::format("{} samples cannot be chosen from {}", count, losses.size()));
  SplitMix64 random(seed);
  const std::vector<double> scores = usable(losses);
  if (kind == SelectKind::importance) return draw_by_importance(scores, count, random);
  std::vector<double> weights(losses.size(), 1.0);
  if (kind == SelectKind::rank) {
    const std::vector<std::uint32_t> order = ascending(scores);
    for (std::size_t r = 0; r < order.size(); ++r)
      weights[order[r]] = std::pow(static_cast<double>(r + 1), exponent);
  }
  Choice choice;
  if (kind == SelectKind::hard) {
    const std::vector<std::uint32_t> order = ascending(scores);
    choice.picks.assign(order.end() - static_cast<std::ptrdiff_t>(count), order.end());
  } else {
    choice.picks = first_to_ring(weights, count, random);
  }
  std::sort(choice.picks.begin(), choice.picks.end());
  return choice;
}

}  // namespace dovetail
