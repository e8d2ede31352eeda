// The weight-streaming engine: launches of shared units, one layer after another.
#include <algorithm>
#include <map>

#include "cost/cycles.hpp"
#include "cost/engine_launch.hpp"
#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail::cost {
namespace {

constexpr int line_count = 8;  // rows that the window and pool units keep (hls/sliding_window.hpp)
constexpr int largest_folding = 512;
constexpr double bound_megahertz = 300;

/// Units are shared by layers of one kind and the same operands, and are as large as the largest of
/// them.
void add_units(const Question& question, Folding f, std::vector<LayerCost>& layers) {
  const Card& card = *question.card;
  struct Unit {
    Launch largest;
    std::int64_t depth = 0, accumulator = 0;
    std::int64_t row = 0, marks = 0,
                 stream = 0;  // bits of a padded row of the map, of one of 1-bit codes, and of what
                              // travels a cycle
    std::size_t layer = 0;
    LayerWork work;
  };
  std::vector<Unit> units;
  const bool on_engine = runs_on_engine(question.format);
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
      if (a.multiplier == Multiplier::bit_serial) a.input_bits = b.input_bits;
      return unit.work.kind == work.kind && a == b;
    };
    auto found = std::find_if(units.begin(), units.end(), same);
    if (found == units.end())
      found = units.insert(units.end(), Unit{launch, 0, 0, 0, 0, 0, i, work});
    found->depth = std::max(found->depth, launch.tiles * launch.words);
    found->accumulator = std::max<std::int64_t>(found->accumulator, launch.accumulator);
    found->largest.words = std::max(found->largest.words, launch.words);
    found->largest.tiles = std::max(found->largest.tiles, launch.tiles);
    const bool pool = work.kind == WorkKind::max_pool;
    const int bits = pool ? launch.operands.output_bits : launch.operands.input_bits;
    const std::int64_t padded = (work.in.width + 2 * work.padding) * stored_channels(work, f);
    found->row = std::max(found->row, padded * bits);
    if (!pool && bits == 1 && on_engine) {
      // A dense layer has the marks of its whole vector.
      const std::int64_t marked = work.kind == WorkKind::dense ? work.in.height * padded : padded;
      found->marks = std::max(found->marks, marked);
    }
    found->stream =
        std::max(found->stream, std::int64_t{stream_lanes(question.format, f, bits)} * bits);
    found->largest.operands.input_bits =
        std::max(found->largest.operands.input_bits, launch.operands.input_bits);
  }
  for (const Unit& unit : units) {
    Resources& used = layers[unit.layer + 1].used;  // the input stands before the layers
    const Operands& o = unit.largest.operands;
    const auto shifters = [&](int streams) {
      return on_engine ? shifter_luts(unit.stream, streams) : 0;
    };
    if (unit.work.kind == WorkKind::max_pool) {
      const int lanes = stream_lanes(question.format, f, o.output_bits);
      used = pool_unit(card, unit.row / o.output_bits, line_count, lanes, o.output_bits);
      used += memory(card, divide_up(unit.row, unit.stream), unit.stream);  // maxima over rows
      used.lut += shifters(1);
      continue;
    }
    used = matrix_vector_unit(card, o, f, static_cast<int>(unit.accumulator), 1, unit.largest.tiles,
                              unit.depth);
    // Vectors, by turns; a plane of 1-bit codes has a mask beside it.
    used += memory(card, 2 * unit.largest.words, std::int64_t{f.simd} * std::max(o.input_bits, 2));
    // The codes as they come, eight words of lanes of one bit a row, and as many of marks.
    if (o.multiplier == Multiplier::bit_serial)
      used +=
          memory(card, divide_up(unit.largest.words * o.input_bits, 8), std::int64_t{f.simd} * 8);
    if (on_engine && o.thresholds) used.lut += realigner_luts(unit.stream);
    if (unit.marks > 0) used += memory(card, divide_up(unit.marks, unit.stream), unit.stream);
    if (unit.work.kind == WorkKind::conv2d) {
      used += window_unit(card, unit.row, line_count, static_cast<int>(unit.stream), 1);
      used.lut += shifters(unit.marks > 0 ? 2 : 1);
    }
    const Resources one = used;
    for (int more = 1; more < question.units; ++more) used += one;
  }
  // The input's tables, 256 bytes for each channel, and the image before and behind them.
  const FeatureShape& in = question.work.front().in;
  layers.front().used = {.lut = std::int64_t{in.channels} * (256 / 64) * 8};
  layers.front().used += memory(card, in.size(), 8);
  layers.front().used += memory(card, in.size(), 8);
}

/// Of a launch of one unit while as many launches as `sharing` are under way, on the same channels
/// of memory. `memory_bound`: most of it is the loading of weights, or maps that keep the units
/// waiting.
double seconds(const Question& question, const LayerCost& layer, double hertz, int batch,
               int sharing, bool& memory_bound) {
  const double channels = question.card->port_rate / sharing;
  const double rate = std::min(burst_bits / 8 * hertz, channels);
  const double images = batch;
  // Weights arrive before the products begin; maps come and go while they run.
  const double load = std::max(static_cast<double>(layer.load_cycles) / hertz,
                               static_cast<double>(layer.weight_bytes) / rate);
  const double compute = images * static_cast<double>(layer.cycles) / hertz;
  const double maps = images * static_cast<double>(layer.bytes) / channels;
  const double run = std::max(compute, maps);
  memory_bound = load + (maps > compute ? run : 0) > (load + run) / 2;
  return load + run;
}

Speed speed_at(const Question& question, const Estimate& estimate, double megahertz) {
  const double hertz = megahertz * 1e6;
  Speed speed;
  speed.megahertz = megahertz;
  // In a round each unit takes a batch through the network. Kernels that have one unit (input,
  // pools) serve all of them in turn.
  double round_s = 0, slowest_s = 0;
  std::map<std::string, double> alone_s;  // by kind
  for (const LayerCost& layer : estimate.layers) {
    bool memory_bound = false;
    speed.latency_s += seconds(question, layer, hertz, 1, 1, memory_bound);
    const double layer_s =
        seconds(question, layer, hertz, estimate.batch, question.units, memory_bound);
    round_s += layer_s;
    if (layer.units == 1) alone_s[layer.kind] += question.units * layer_s;
    if (layer_s <= slowest_s) continue;
    slowest_s = layer_s;
    speed.bound = fmt::format("{}: {}", memory_bound ? "memory" : layer.bound, layer.name);
  }
  for (const auto& [kind, kind_s] : alone_s) {
    if (kind_s <= round_s) continue;
    round_s = kind_s;
    speed.bound = fmt::format("compute: {}, which has one unit", kind);
  }
  speed.images_per_second = question.units * estimate.batch / round_s;
  return speed;
}

Estimate with_folding(const Question& question, Folding f) {
  Estimate estimate;
  estimate.architecture = Architecture::engine;
  estimate.batch = question.batch;
  estimate.units = question.units;
  estimate.layers.push_back(input_cost(question, f));
  for (const LayerWork& layer : question.work) {
    estimate.layers.push_back(layer.kind == WorkKind::max_pool ? pool_cost(question, layer, f)
                                                               : linear_cost(question, layer, f));
  }
  add_units(question, f, estimate.layers);
  for (LayerCost& layer : estimate.layers) {
    bool memory_bound = false;
    if (layer.kind == "dense" || layer.kind == "conv2d") layer.units = question.units;
    seconds(question, layer, bound_megahertz * 1e6, question.batch, question.units, memory_bound);
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
  if (question.units < 1) {
    throw UsageError(fmt::format("an engine of {} compute units computes nothing", question.units),
                     fmt::format("Give 1 or more; hls/engine has {}", engine::layer_units));
  }
  if (question.folding) {
    const Folding f = *question.folding;
    if (!is_bit_serial(question.format) && f.pe % f.simd != 0) {
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
    // A tile's outputs are whole words of inputs, but for bit planes, which are cut anew.
    const int widest = is_bit_serial(question.format) ? largest_folding : pe;
    for (int simd = 1; simd <= widest; simd *= 2) {
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
