// Gives samples one by one to whoever is done with them first.
#include "train/balancer.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <queue>
#include <sstream>
#include <utility>

#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail {
namespace {

std::vector<std::size_t> even_counts(std::size_t batch, std::size_t ranks) {
  std::vector<std::size_t> counts;
  for (std::size_t rank = 0; rank < ranks; ++rank)
    counts.push_back(share(batch, rank, ranks).count);
  return counts;
}

/// Seconds that the slowest rank needs.
double slowest(std::span<const std::size_t> counts, std::span<const double> speeds) {
  double longest = 0;
  for (std::size_t rank = 0; rank < counts.size(); ++rank)
    longest = std::max(longest, static_cast<double>(counts[rank]) / speeds[rank]);
  return longest;
}

}  // namespace

std::string to_string(const BalanceSettings& settings) {
  switch (settings.kind) {
    case BalanceKind::equal:
      return "equal";
    case BalanceKind::automatic:
      return "auto";
    case BalanceKind::fixed:
      return fmt::format("{}", fmt::join(settings.ratios, ":"));
  }
  return "";
}

BalanceSettings parse_balance(const std::string& text) {
  if (text == "equal") return {};
  BalanceSettings settings;
  settings.kind = text == "auto" ? BalanceKind::automatic : BalanceKind::fixed;
  if (settings.kind == BalanceKind::automatic) return settings;
  std::istringstream list(text);
  for (std::string item; std::getline(list, item, ':');) {
    std::istringstream number(item);
    double ratio = 0;
    if (!(number >> ratio) || !number.eof())
      throw UsageError(fmt::format("unknown --balance '{}'", text), "Give auto, equal, or 3:1");
    if (!(ratio > 0) || !std::isfinite(ratio)) {
      throw UsageError(fmt::format("--balance {} leaves a rank without samples", text),
                       "Give each GPU rank a number above 0, or start fewer of them");
    }
    settings.ratios.push_back(ratio);
  }
  if (settings.ratios.empty() || text.back() == ':')
    throw UsageError(fmt::format("unknown --balance '{}'", text), "Give auto, equal, or 3:1");
  return settings;
}

std::vector<std::size_t> apportion(std::size_t batch, std::span<const double> speeds,
                                   std::span<const std::size_t> most) {
  const std::size_t ranks = speeds.size();
  if (batch < ranks) throw Error(fmt::format("{} samples for {} ranks", batch, ranks));
  for (const double speed : speeds) {
    if (!(speed > 0) || !std::isfinite(speed))
      throw Error(fmt::format("{} samples a second is no speed", speed));
  }
  std::vector<std::size_t> counts(ranks, 1);
  // When each rank would be done with one sample more, the first on top.
  using Next = std::pair<double, std::size_t>;
  std::priority_queue<Next, std::vector<Next>, std::greater<>> queue;
  const auto push = [&](std::size_t rank) {
    if (!most.empty() && counts[rank] >= most[rank]) return;
    queue.emplace(static_cast<double>(counts[rank] + 1) / speeds[rank], rank);
  };
  for (std::size_t rank = 0; rank < ranks; ++rank) push(rank);
  for (std::size_t given = ranks; given < batch; ++given) {
    if (queue.empty()) throw Error(fmt::format("limits leave {} samples over", batch - given));
    const std::size_t rank = queue.top().second;
    queue.pop();
    ++counts[rank];
    push(rank);
  }
  return counts;
}

Balancer::Balancer(const BalanceSettings& settings, std::size_t batch, std::size_t ranks)
    : kind_(settings.kind),
      batch_(batch),
      shares_(ranks),
      counts_(even_counts(batch, ranks)),
      fractions_(ranks, 1 / static_cast<double>(ranks)),
      most_(ranks, batch) {
  if (kind_ == BalanceKind::equal) return;
  if (batch < ranks) {
    throw UsageError(fmt::format("--balance {} gives each of {} GPU ranks a sample at least, but a "
                                 "step has {}",
                                 to_string(settings), ranks, batch),
                     "Give a larger --batch");
  }
  if (kind_ != BalanceKind::fixed) return;
  if (settings.ratios.size() != ranks) {
    throw UsageError(fmt::format("--balance {} is of {} GPU ranks, not of {}", to_string(settings),
                                 settings.ratios.size(), ranks),
                     "Give one number a GPU rank, in rank order");
  }
  set(apportion(batch, settings.ratios));
}

void Balancer::set(std::vector<std::size_t> counts) {
  counts_ = std::move(counts);
  shares_ = Shares(std::vector<double>(counts_.begin(), counts_.end()));
}

bool Balancer::update(std::span<const double> speeds) {
  const std::vector<std::size_t> best = apportion(batch_, speeds, most_);
  const bool is_first = !std::exchange(has_measured_, true);
  if (slowest(counts_, speeds) <= (1 + threshold) * slowest(best, speeds)) return false;
  const double all = std::accumulate(speeds.begin(), speeds.end(), 0.0);
  for (std::size_t rank = 0; rank < speeds.size(); ++rank)
    fractions_[rank] += (is_first ? 1 : damping) * (speeds[rank] / all - fractions_[rank]);
  std::vector<std::size_t> counts = apportion(batch_, fractions_, most_);
  if (counts == counts_) return false;
  set(std::move(counts));
  return true;
}

bool Balancer::restore(std::span<const std::size_t> counts) {
  if (counts.size() != counts_.size() ||
      std::ranges::any_of(counts, [&](std::size_t count) { return count < 1 || count > batch_; }) ||
      std::accumulate(counts.begin(), counts.end(), std::size_t{0}) != batch_) {
    return false;
  }
  set({counts.begin(), counts.end()});
  for (std::size_t rank = 0; rank < counts.size(); ++rank)
    fractions_[rank] = static_cast<double>(counts[rank]) / static_cast<double>(batch_);
  has_measured_ = true;
  return true;
}

void Balancer::take_back(const std::vector<std::size_t>& counts,
                         std::span<const std::uint8_t> is_full) {
  restore(counts);
  for (std::size_t rank = 0; rank < counts.size(); ++rank) {
    if (is_full[rank] != 0) most_[rank] = counts[rank];
  }
}

double imbalance(std::span<const double> seconds) {
  const double sum = std::accumulate(seconds.begin(), seconds.end(), 0.0);
  if (!(sum > 0)) return 0;
  const double mean = sum / static_cast<double>(seconds.size());
  return *std::max_element(seconds.begin(), seconds.end()) / mean - 1;
}

}  // namespace dovetail
