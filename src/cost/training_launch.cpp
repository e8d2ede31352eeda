// Follows the loops of hls/training.
#include "cost/training_launch.hpp"

#include <algorithm>

#include "cost/cycles.hpp"
#include "numeric/training_layout.hpp"
#include "quant/training_format.hpp"
#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail::cost {
namespace {

constexpr std::int64_t real_bits = 32;
constexpr std::int64_t burst = std::int64_t{training::burst_bytes} * 8;

std::int64_t positions_of(const FeatureShape& shape) {
  return std::int64_t{shape.height} * shape.width;
}

std::int64_t words_per_tile(Folding f) {
  return f.pe / f.simd;
}

/// Words of one position of a layer's input: hidden maps have their channels padded to whole tiles.
std::int64_t position_words(const LayerWork& layer, Folding f) {
  return layer.first ? divide_up(layer.in.channels, f.simd)
                     : divide_up(layer.in.channels, f.pe) * words_per_tile(f);
}

void move_maps(LayerCost& cost, const std::vector<Traffic>& ranges) {
  cost.maps = ranges;
  for (const Traffic& range : ranges) cost.bytes += range.bytes;
}

/// One of the stages that run at the same time.
struct Stage {
  const char* bound;
  Loops loops;
  int interval;  // II of its loop
};

/// hls/training/train_forward.cpp: a dataflow region is as slow as its slowest stage.
LayerCost forward_cost(const Question& question, const FusedLayer& layer, Folding f) {
  const LayerWork& linear = *layer.linear;
  const TrainingFamily family = training_family(question.format);
  const TrainingShape shape = training_shape(layer, f);
  const std::int64_t vectors = linear.vectors(), per_burst = family.words_per_burst(f);
  const std::int64_t words = vectors * shape.vector_words;
  const std::int64_t rows = linear.kind == WorkKind::dense ? 1 : linear.in.height;
  const std::int64_t loading = divide_up(shape.map_words, per_burst) * per_burst;
  const Stage stages[] = {
      {"compute",
       {matrix_vector_cycles(shape.tiles, shape.vector_words, vectors) * family.add_cycles,
        vectors * shape.tiles},
       family.add_cycles},
      {"reading", {words, vectors}, 1},
      {"window", {shape.map_words + words, rows + linear.out.height}, 1},  // lines, then windows
      {"activation", {vectors * shape.tiles, vectors}, 1},
      {"memory", {loading, 1}, static_cast<int>(per_burst)},
      {"memory", {shape.out_tiles * words_per_tile(f), 1}, static_cast<int>(words_per_tile(f))}};
  const auto cycles = [](const Stage& stage) { return stage.loops.cycles; };
  const Stage& slowest = *std::ranges::max_element(stages, {}, cycles);
  LayerCost cost;
  cost.name = linear.name;
  cost.kind = to_string(linear.kind);
  cost.folding = f;
  cost.cycles = slowest.loops.cycles;
  for (const Stage& stage : stages)
    cost.cycles_with_depth = std::max(cost.cycles_with_depth, stage.loops.with_depth());
  cost.bound = slowest.bound;
  cost.interval = slowest.interval;
  const std::int64_t squares = shape.tiles * shape.vector_words;
  cost.load_cycles = squares * family.square_bursts(f);
  cost.weight_bytes = cost.load_cycles * training::burst_bytes;
  // Codes come in whole bursts; float32 and a route of a byte leave for each output.
  const std::int64_t in_bytes = divide_up(shape.map_words, per_burst) * training::burst_bytes;
  const std::int64_t outputs = shape.out_tiles * f.pe, out_bytes = outputs * (real_bits / 8);
  move_maps(cost,
            {{code_channels, in_bytes, in_bytes}, {real_channels, out_bytes, out_bytes + outputs}});
  return cost;
}

/// hls/training/train_quantise.cpp: a row of real words comes, then leaves as codes.
LayerCost quantise_cost(const Question& question, const FusedLayer& layer, Folding f) {
  const TrainingShape shape = training_shape(layer, f);
  const std::int64_t words = shape.out_tiles * words_per_tile(f);
  LayerCost cost;
  cost.name = "quantise " + layer.linear->name;
  cost.kind = "quantise";
  cost.folding = {1, f.simd};
  const Loops loops{2 * words, std::int64_t{2} * layer.out().height};
  cost.cycles = loops.cycles;
  cost.cycles_with_depth = loops.with_depth();
  cost.bound = "compute";
  const std::int64_t in_bytes = words * f.simd * real_bits / 8;
  const std::int64_t out_bytes =
      divide_up(words, training_family(question.format).words_per_burst(f)) * training::burst_bytes;
  move_maps(cost, {{real_channels, in_bytes, in_bytes}, {code_channels, out_bytes, out_bytes}});
  return cost;
}

/// hls/training/train_quantise_images.cpp: an image comes in bursts, and goes through its table a
/// pixel a cycle.
LayerCost images_cost(const Question& question, Folding f) {
  const LayerWork& first = question.work.front();
  const std::int64_t bursts = divide_up(first.in.size(), training::burst_bytes);
  const std::int64_t words = first.kind == WorkKind::dense
                                 ? divide_up(first.in.size(), f.simd)
                                 : positions_of(first.in) * divide_up(first.in.channels, f.simd);
  LayerCost cost;
  cost.name = "input";
  cost.kind = "input";
  cost.folding = {1, 1};
  const Loops loops{bursts + first.in.size(), 2};
  cost.cycles = loops.cycles;
  cost.cycles_with_depth = loops.with_depth();
  cost.bound = "compute";
  const std::int64_t out_bursts =
      divide_up(words, training_family(question.format).words_per_burst(f));
  move_maps(cost, {{code_channels, std::max(bursts, out_bursts) * training::burst_bytes,
                    (bursts + out_bursts) * training::burst_bytes}});
  return cost;
}

}  // namespace

std::int64_t TrainingFamily::words_per_burst(Folding f) const {
  return std::max<std::int64_t>(1, burst / (divide_up(word_bits(f), 8) * 8));
}

std::int64_t TrainingFamily::square_bits(Folding f) const {
  return std::int64_t{f.pe} * f.simd * element_bits + std::int64_t{f.pe} * exponent_bits;
}

std::int64_t TrainingFamily::square_bursts(Folding f) const {
  return divide_up(std::int64_t{f.pe} * f.simd * element_bits, burst) +
         divide_up(std::int64_t{f.pe} * exponent_bits, burst);
}

TrainingFamily training_family(const numeric::Format& format) {
  const std::string family = quant::training_format(format.name).family;
  if (family == "int8") return {.element_bits = 8, .sum_bits = 32};
  if (family == "fixed16") return {.element_bits = 16, .sum_bits = 64};
  if (family == "bfp") {
    return {.element_bits = 8,
            .exponent_bits = 8,
            .sum_bits = 32,
            .operand_exponent_bits = 32,
            .add_cycles = 8};
  }
  throw Error(fmt::format("the cost model does not know the kernel family {}", family));
}

std::vector<FusedLayer> fused_layers(const std::vector<LayerWork>& work) {
  std::vector<FusedLayer> layers;
  for (const LayerWork& layer : work) {
    if (layer.kind != WorkKind::max_pool) {
      layers.push_back({&layer, nullptr});
      continue;
    }
    if (layer.kernel != layer.stride || layers.back().pool != nullptr) {
      throw UsageError(
          fmt::format("the forward pass of hls/training does not take {}, whose windows do not "
                      "touch, or which follows another pool",
                      layer.name),
          "Estimate wXaY, or --architecture pipeline");
    }
    layers.back().pool = &layer;
  }
  return layers;
}

TrainingShape training_shape(const FusedLayer& layer, Folding f) {
  const LayerWork& linear = *layer.linear;
  const bool dense = linear.kind == WorkKind::dense;
  // A dense layer takes the whole map as one position; the network's input as it is.
  const std::int64_t words =
      dense && linear.first ? divide_up(linear.in.size(), f.simd)
                            : position_words(linear, f) * (dense ? positions_of(linear.in) : 1);
  TrainingShape shape;
  shape.vector_words = dense ? words : std::int64_t{linear.kernel} * linear.kernel * words;
  shape.map_words = dense ? words : positions_of(linear.in) * words;
  shape.tiles = divide_up(linear.rows(), f.pe);
  shape.out_tiles = positions_of(layer.out()) * shape.tiles;
  return shape;
}

std::vector<LayerCost> training_costs(const Question& question, Folding f) {
  std::vector<LayerCost> costs{images_cost(question, f)};
  for (const FusedLayer& layer : fused_layers(question.work)) {
    costs.push_back(forward_cost(question, layer, f));
    if (!layer.linear->last) costs.push_back(quantise_cost(question, layer, f));
  }
  return costs;
}

}  // namespace dovetail::cost
