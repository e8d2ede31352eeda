// The dataflow pipeline: a unit for each layer, folded so that all keep the same pace.
#include <algorithm>
#include <set>

#include "cost/cycles.hpp"
#include "cost/estimate.hpp"
#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail::cost {
namespace {

constexpr int port_bytes = 64;  // 512 bits a cycle

struct Choice {
  Folding folding;
  std::int64_t cycles = 0;
  std::string bound;
  Resources used;
  double share = 0;
};

std::vector<int> divisors(int value) {
  std::vector<int> found;
  for (int d = 1; d <= value; ++d) {
    if (value % d == 0) found.push_back(d);
  }
  return found;
}

Choice pool_choice(const Card& card, const Operands& o, const LayerWork& layer, int lanes) {
  // FINN's StreamingMaxPool: every row is read, and a pooled row leaves after each `kernel` rows.
  const std::int64_t depth = layer.in.channels / lanes;
  Choice choice{
      {1, lanes}, layer.in.width * (layer.in.height + layer.out.height) * depth, "compute", {}, 0};
  choice.used =
      pool_unit(card, std::int64_t{layer.out.width} * layer.in.channels, 1, lanes, o.output_bits);
  return choice;
}

Choice linear_choice(const Card& card, const Operands& o, const LayerWork& layer, Folding folding) {
  const std::int64_t tiles = layer.rows() / folding.pe, words = layer.columns() / folding.simd;
  const int accumulator = accumulator_bits(o, layer.columns());
  Choice choice{folding, matrix_vector_cycles(tiles, words, layer.vectors()), "compute", {}, 0};
  choice.used = matrix_vector_unit(card, o, folding, accumulator, words, tiles, tiles * words);
  if (layer.kind == WorkKind::conv2d) {
    const std::int64_t width = layer.in.width + 2 * layer.padding;
    const std::int64_t window = window_cycles(width, layer.in.channels, layer.kernel, layer.stride,
                                              layer.out.height, layer.out.width, folding.simd);
    if (window > choice.cycles) choice = {folding, window, "window", choice.used, 0};
    choice.used += window_unit(card, width * layer.in.channels, layer.kernel + layer.stride,
                               folding.simd, o.input_bits);
  }
  return choice;
}

std::vector<Choice> choices_of(const Question& question, const LayerWork& layer) {
  const Operands o = operands(question.format, layer);
  std::vector<Choice> choices;
  if (layer.kind == WorkKind::max_pool) {
    for (const int lanes : divisors(layer.in.channels))
      choices.push_back(pool_choice(*question.card, o, layer, lanes));
  } else {
    const int widest = layer.kind == WorkKind::conv2d ? layer.in.channels : layer.columns();
    for (const int pe : divisors(layer.rows())) {
      for (const int simd : divisors(widest))
        choices.push_back(linear_choice(*question.card, o, layer, {pe, simd}));
    }
  }
  for (Choice& choice : choices) choice.share = question.card->share(choice.used);
  // What is neither quicker nor smaller than another is never chosen; the rest falls in both.
  std::sort(choices.begin(), choices.end(), [](const Choice& a, const Choice& b) {
    return std::pair{a.cycles, a.share} < std::pair{b.cycles, b.share};
  });
  std::vector<Choice> kept;
  for (Choice& choice : choices) {
    if (kept.empty() || choice.share < kept.back().share) kept.push_back(std::move(choice));
  }
  return kept;
}

/// The smallest unit of each layer that needs at most `pace` cycles; nothing where one needs more.
std::vector<Choice> at_pace(const std::vector<std::vector<Choice>>& layers, std::int64_t pace) {
  std::vector<Choice> chosen;
  for (const auto& choices : layers) {
    const auto slower = std::find_if(choices.begin(), choices.end(),
                                     [&](const Choice& c) { return c.cycles > pace; });
    if (slower == choices.begin()) return {};
    chosen.push_back(*std::prev(slower));
  }
  return chosen;
}

bool fits(const Card& card, const std::vector<Choice>& chosen) {
  Resources used;
  for (const Choice& choice : chosen) used += choice.used;
  return !chosen.empty() && card.share(used) <= 1;
}

std::vector<Choice> fastest(const Question& question, std::int64_t floor) {
  std::vector<std::vector<Choice>> layers;
  std::set<std::int64_t> paces;
  for (const LayerWork& layer : question.work) {
    layers.push_back(choices_of(question, layer));
    for (const Choice& choice : layers.back()) paces.insert(std::max(choice.cycles, floor));
  }
  for (const std::int64_t pace : paces) {
    std::vector<Choice> chosen = at_pace(layers, pace);
    if (fits(*question.card, chosen)) return chosen;
  }
  throw UsageError(fmt::format("no folding of this pipeline in {} fits the {}",
                               question.format.name, question.card->name),
                   "Estimate the engine (--architecture engine), fewer bits, or a larger card");
}

int largest_divisor(int value, int most) {
  const std::vector<int> all = divisors(value);
  return *std::prev(std::upper_bound(all.begin(), all.end(), std::max(most, 1)));
}

std::vector<Choice> given(const Question& question, Folding folding) {
  std::vector<Choice> chosen;
  for (const LayerWork& layer : question.work) {
    const Operands o = operands(question.format, layer);
    const int lanes = largest_divisor(
        layer.kind == WorkKind::dense ? layer.columns() : layer.in.channels, folding.simd);
    if (layer.kind == WorkKind::max_pool) {
      chosen.push_back(pool_choice(*question.card, o, layer, lanes));
    } else {
      chosen.push_back(linear_choice(*question.card, o, layer,
                                     {largest_divisor(layer.rows(), folding.pe), lanes}));
    }
  }
  if (fits(*question.card, chosen)) return chosen;
  throw UsageError(fmt::format("a pipeline folded {}x{} in {} does not fit the {}", folding.pe,
                               folding.simd, question.format.name, question.card->name),
                   "Give a smaller folding, or --fold auto");
}

std::int64_t bytes_of(std::int64_t elements, int bits) {
  return divide_up(elements * bits, 8);
}

Speed speed_at(const Question& question, const Estimate& estimate, double megahertz) {
  const double hertz = megahertz * 1e6;
  const auto slowest =
      std::max_element(estimate.layers.begin(), estimate.layers.end(),
                       [](const LayerCost& a, const LayerCost& b) { return a.cycles < b.cycles; });
  const double rate = question.card->port_rate(hertz);
  const double compute_s = static_cast<double>(slowest->cycles) / hertz;
  // Input and output have a port of their own each.
  const double memory_s =
      static_cast<double>(std::max(estimate.layers.front().bytes, estimate.layers.back().bytes)) /
      rate;
  std::int64_t sum = 0;
  for (const LayerCost& layer : estimate.layers) sum += layer.cycles;
  Speed speed;
  speed.megahertz = megahertz;
  speed.images_per_second = 1 / std::max(compute_s, memory_s);
  speed.latency_s = static_cast<double>(sum) / hertz + memory_s;
  speed.bound = memory_s > compute_s ? "memory: the port of the network's input or output"
                                     : fmt::format("{}: {}", slowest->bound, slowest->name);
  return speed;
}

}  // namespace

Estimate estimate_pipeline(const Question& question) {
  const LayerWork& first = question.work.front();
  const LayerWork& last = question.work.back();
  const std::int64_t in_bytes =
      bytes_of(first.in.size(), operands(question.format, first).input_bits);
  const std::int64_t out_bytes = std::int64_t{last.out.size()} * 4;
  const std::vector<Choice> chosen =
      question.folding ? given(question, *question.folding)
                       : fastest(question, divide_up(std::max(in_bytes, out_bytes), port_bytes));
  Estimate estimate;
  estimate.architecture = Architecture::pipeline;
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    const LayerWork& layer = question.work[i];
    LayerCost& cost = estimate.layers.emplace_back();
    cost.name = layer.name;
    cost.kind = to_string(layer.kind);
    cost.folding = chosen[i].folding;
    cost.cycles = chosen[i].cycles;
    cost.used = chosen[i].used;
    cost.bound = chosen[i].bound;
    if (layer.first) cost.bytes += in_bytes;
    if (layer.last) cost.bytes += out_bytes;
    estimate.used += cost.used;
  }
  estimate.share = question.card->share(estimate.used);
  for (const double megahertz : modelled_megahertz)
    estimate.speeds.push_back(speed_at(question, estimate, megahertz));
  return estimate;
}

}  // namespace dovetail::cost
