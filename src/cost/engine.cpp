// The weight-streaming engine: launches of shared units, one layer after another.
#include <algorithm>

#include "cost/cycles.hpp"
#include "cost/estimate.hpp"
#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail::cost {
namespace {

constexpr int burst_bits = 512;  // of one m_axi word
constexpr int line_count = 8;  // rows that the window and pool units keep (hls/sliding_window.hpp)
constexpr int largest_folding = 512;
constexpr double bound_megahertz = 300;

std::int64_t round_up(std::int64_t value, std::int64_t multiple) {
  return divide_up(value, multiple) * multiple;
}

/// A convolution or dense layer as its launch sees it.
struct Launch {
  Operands operands;
  std::int64_t words = 0, tiles = 0;
  std::int64_t in_words = 0, out_words = 0;  // of one image, SIMD elements each
  int accumulator = 0;
};

/// Hidden maps have their channels padded to whole tiles, the network's input is as it is.
std::int64_t stored_channels(const LayerWork& layer, Folding f) {
  return layer.first ? layer.in.channels : round_up(layer.in.channels, f.pe);
}

Launch launch_of(const Question& question, const LayerWork& layer, Folding f) {
  Launch launch;
  launch.operands = operands(question.format, layer);
  const std::int64_t channels = stored_channels(layer, f);
  launch.in_words = divide_up(layer.in.height * layer.in.width * channels, f.simd);
  launch.words = layer.kind == WorkKind::dense
                     ? launch.in_words
                     : divide_up(layer.kernel * layer.kernel * channels, f.simd);
  launch.tiles = divide_up(layer.rows(), f.pe);
  launch.out_words = layer.vectors() * divide_up(launch.tiles * f.pe, f.simd);
  launch.accumulator = accumulator_bits(launch.operands, layer.columns());
  return launch;
}

/// As hls/sliding_window.hpp fills its lines and reads its windows: not at the same time; the
/// padding one element a cycle.
std::int64_t window_unit_cycles(const LayerWork& layer, Folding f) {
  const std::int64_t channels = stored_channels(layer, f);
  const std::int64_t border = layer.padding * channels;
  const std::int64_t row = divide_up(layer.in.width * channels, f.simd);
  const std::int64_t inside = layer.in.height * (border + row + border + f.simd);
  const std::int64_t outside =
      2 * layer.padding * (layer.in.width * channels + 2 * border + f.simd);
  const std::int64_t pieces = layer.kernel * divide_up(layer.kernel * channels, f.simd);
  return inside + outside + layer.vectors() * pieces;
}

std::int64_t bytes_of(std::int64_t words, Folding f, int bits) {
  return divide_up(words * f.simd * bits, 8);
}

LayerCost input_cost(const Question& question, Folding f) {
  // Every byte of the images goes through a table (quantise_input), SIMD of them a cycle.
  const LayerWork& first = question.work.front();
  LayerCost cost;
  cost.name = "input";
  cost.kind = "input";
  cost.folding = {1, f.simd};
  cost.cycles = divide_up(first.in.size(), f.simd);
  cost.bytes =
      first.in.size() + bytes_of(cost.cycles, f, operands(question.format, first).input_bits);
  return cost;
}

LayerCost pool_cost(const Question& question, const LayerWork& layer, Folding f) {
  const std::int64_t depth = round_up(layer.in.channels, f.pe) / f.simd;
  const std::int64_t in = layer.in.height * layer.in.width * depth;
  const std::int64_t out = layer.out.height * layer.out.width * depth;
  const int bits = operands(question.format, layer).output_bits;
  LayerCost cost;
  cost.name = layer.name;
  cost.kind = to_string(layer.kind);
  cost.folding = {1, f.simd};
  // hls/engine/max_pool.cpp: lines, maxima over whole rows, then over each pixel's columns.
  const std::int64_t rows = layer.out.height * layer.in.width * depth;
  cost.cycles = in + rows * layer.kernel + out * (layer.kernel + 1);
  cost.bytes = bytes_of(in + out, f, bits);
  return cost;
}

LayerCost linear_cost(const Question& question, const LayerWork& layer, Folding f) {
  const Launch launch = launch_of(question, layer, f);
  LayerCost cost;
  cost.name = layer.name;
  cost.kind = to_string(layer.kind);
  cost.folding = f;
  const std::int64_t products = matrix_vector_cycles(launch.tiles, launch.words, layer.vectors());
  const std::int64_t windows = layer.kind == WorkKind::conv2d ? window_unit_cycles(layer, f) : 0;
  const int out_bits = launch.operands.output_bits > 0 ? launch.operands.output_bits : 32;
  const std::int64_t out_words =
      launch.out_words * (out_bits == 32 ? divide_up(32, launch.operands.input_bits) : 1);
  cost.cycles = std::max({products, windows, launch.in_words, out_words});
  cost.bound = cost.cycles == products ? "compute" : cost.cycles == windows ? "window" : "memory";
  const std::int64_t weight_bits =
      launch.tiles * launch.words * f.pe * f.simd * launch.operands.weight_bits;
  cost.weight_bytes = divide_up(weight_bits, 8);
  cost.load_cycles =
      launch.tiles * launch.words *
      divide_up(std::int64_t{f.pe} * f.simd * launch.operands.weight_bits, burst_bits);
  cost.bytes = bytes_of(launch.in_words, f, launch.operands.input_bits) +
               divide_up(layer.vectors() * launch.tiles * f.pe * out_bits, 8);
  return cost;
}

/// Units are shared by layers of one kind and the same operands, and are as large as the largest of
/// them.
void add_units(const Question& question, Folding f, std::vector<LayerCost>& layers) {
  const Card& card = *question.card;
  struct Unit {
    Launch largest;
    std::int64_t depth = 0, row = 0, accumulator = 0;
    std::size_t layer = 0;
    LayerWork work;
  };
  std::vector<Unit> units;
  for (std::size_t i = 0; i < question.work.size(); ++i) {
    const LayerWork& work = question.work[i];
    Launch launch;
    launch.operands = operands(question.format, work);
    if (work.kind != WorkKind::max_pool) launch = launch_of(question, work, f);
    const auto same = [&](const Unit& unit) {
      Operands a = unit.largest.operands, b = launch.operands;
      // A last layer runs on the hidden layers' unit, past its activation.
      if (a.output_bits == 0)
        a = {a.multiplier,  a.weight_bits, a.input_bits,
             b.output_bits, b.thresholds,  a.block_exponent};
      if (b.output_bits == 0)
        b = {b.multiplier,  b.weight_bits, b.input_bits,
             a.output_bits, a.thresholds,  b.block_exponent};
      return unit.work.kind == work.kind && a == b;
    };
    auto found = std::find_if(units.begin(), units.end(), same);
    if (found == units.end()) found = units.insert(units.end(), Unit{launch, 0, 0, 0, i, work});
    found->depth = std::max(found->depth, launch.tiles * launch.words);
    found->accumulator = std::max<std::int64_t>(found->accumulator, launch.accumulator);
    found->largest.words = std::max(found->largest.words, launch.words);
    found->largest.tiles = std::max(found->largest.tiles, launch.tiles);
    const std::int64_t padded =
        (work.in.width + 2 * work.padding) * round_up(work.in.channels, f.pe);
    found->row = std::max(found->row, padded);
  }
  for (const Unit& unit : units) {
    Resources& used = layers[unit.layer + 1].used;  // the input stands before the layers
    const Operands& o = unit.largest.operands;
    if (unit.work.kind == WorkKind::max_pool) {
      used = pool_unit(card, unit.row, line_count, f.simd, o.output_bits);
      continue;
    }
    used = matrix_vector_unit(card, o, f, static_cast<int>(unit.accumulator), 1, unit.largest.tiles,
                              unit.depth);
    used += memory(card, 2 * unit.largest.words,
                   std::int64_t{f.simd} * o.input_bits);  // vectors, by turns
    if (unit.work.kind == WorkKind::conv2d)
      used += window_unit(card, unit.row, line_count, f.simd, o.input_bits);
  }
  // The input's tables: 256 bytes for each channel, a copy in LUT RAM for each lane.
  const LayerWork& first = question.work.front();
  layers.front().used = {.lut = std::int64_t{f.simd} * first.in.channels * (256 / 64) * 8};
}

double seconds(const Question& question, const LayerCost& layer, double hertz, int batch,
               bool& memory_bound) {
  const double rate = std::min(burst_bits / 8 * hertz, question.card->port_rate);
  const double images = batch;
  const double compute =
      (static_cast<double>(layer.load_cycles) + images * static_cast<double>(layer.cycles)) / hertz;
  // Weights arrive before the products begin; maps share two channels of memory while they run.
  const double weights = static_cast<double>(layer.weight_bytes) / rate;
  const double maps = images * static_cast<double>(layer.bytes) / question.card->port_rate;
  const double load = std::max(static_cast<double>(layer.load_cycles) / hertz, weights);
  const double run = std::max(images * static_cast<double>(layer.cycles) / hertz, maps);
  memory_bound = load + run > compute * 1.0000001;
  return load + run;
}

Speed speed_at(const Question& question, const Estimate& estimate, double megahertz) {
  const double hertz = megahertz * 1e6;
  Speed speed;
  speed.megahertz = megahertz;
  double batch_s = 0, slowest_s = 0;
  for (const LayerCost& layer : estimate.layers) {
    bool memory_bound = false;
    speed.latency_s += seconds(question, layer, hertz, 1, memory_bound);
    const double layer_s = seconds(question, layer, hertz, estimate.batch, memory_bound);
    batch_s += layer_s;
    if (layer_s <= slowest_s) continue;
    slowest_s = layer_s;
    speed.bound = fmt::format("{}: {}", memory_bound ? "memory" : layer.bound, layer.name);
  }
  speed.images_per_second = estimate.batch / batch_s;
  return speed;
}

Estimate with_folding(const Question& question, Folding f) {
  Estimate estimate;
  estimate.architecture = Architecture::engine;
  estimate.batch = question.batch;
  estimate.layers.push_back(input_cost(question, f));
  for (const LayerWork& layer : question.work) {
    estimate.layers.push_back(layer.kind == WorkKind::max_pool ? pool_cost(question, layer, f)
                                                               : linear_cost(question, layer, f));
  }
  add_units(question, f, estimate.layers);
  for (LayerCost& layer : estimate.layers) {
    bool memory_bound = false;
    seconds(question, layer, bound_megahertz * 1e6, question.batch, memory_bound);
    if (memory_bound) layer.bound = "memory";
    if (layer.bound.empty()) layer.bound = "compute";
    estimate.used += layer.used;
  }
  estimate.share = question.card->share(estimate.used);
  for (const double megahertz : modelled_megahertz)
    estimate.speeds.push_back(speed_at(question, estimate, megahertz));
  return estimate;
}

}  // namespace

Estimate estimate_engine(const Question& question) {
  if (question.folding) {
    const Folding f = *question.folding;
    if (f.pe % f.simd != 0) {
      throw UsageError(
          fmt::format("the engine cannot be folded {}x{}: PE is no multiple of SIMD", f.pe, f.simd),
          "Give powers of two with PE at least SIMD, such as 32x16");
    }
    Estimate estimate = with_folding(question, f);
    if (estimate.share <= 1) return estimate;
    throw UsageError(fmt::format("an engine folded {}x{} in {} does not fit the {}", f.pe, f.simd,
                                 question.format.name, question.card->name),
                     "Give a smaller folding, or --fold auto");
  }
  std::optional<Estimate> best;
  for (int pe = 1; pe <= largest_folding; pe *= 2) {
    for (int simd = 1; simd <= pe; simd *= 2) {  // a tile's outputs are whole input words
      Estimate estimate = with_folding(question, {pe, simd});
      if (estimate.share > 1) continue;
      const double gain =
          best ? estimate.speeds.back().images_per_second / best->speeds.back().images_per_second
               : 2;
      if (gain > 1 || (gain == 1 && estimate.share < best->share)) best = std::move(estimate);
    }
  }
  if (best) return *best;
  throw UsageError(fmt::format("no engine for this model in {} fits the {}", question.format.name,
                               question.card->name),
                   "Estimate fewer bits or a larger card");
}

}  // namespace dovetail::cost
