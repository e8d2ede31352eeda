// Follows the loops of hls/engine.
#include "cost/engine_launch.hpp"

#include <algorithm>

#include "cost/cycles.hpp"

namespace dovetail::cost {
namespace {

constexpr int raw_bits = 32;

std::int64_t round_up(std::int64_t value, std::int64_t multiple) {
  return divide_up(value, multiple) * multiple;
}

bool is_low_bit(const numeric::ElementFormat& element) {
  return element.kind == numeric::ElementKind::integer ||
         element.kind == numeric::ElementKind::ternary ||
         element.kind == numeric::ElementKind::binary;
}

/// How a map passes the window and pool units: in bytes and chunks.
struct Stride {
  std::int64_t pixel, chunk;
};

Stride stride_of(const numeric::Format& format, std::int64_t channels, Folding f, int bits) {
  return {divide_up(channels * bits, 8), std::max<std::int64_t>(1, chunk_bits(format, f) / 8)};
}

/// RowReader of hls/sliding_window.hpp: a line with both paddings for each row that a window needs,
/// and the rest of the image.
Loops filling_loops(const LayerWork& layer, const Stride& stride) {
  const std::int64_t rows = (layer.out.height - 1) * layer.stride + layer.kernel;  // padded
  const std::int64_t taken = std::min<std::int64_t>(rows - layer.padding, layer.in.height);
  const std::int64_t row = layer.in.width * stride.pixel;
  const std::int64_t line = divide_up(row + 2 * layer.padding * stride.pixel, stride.chunk);
  const std::int64_t rest =
      divide_up(layer.in.height * row, stride.chunk) - divide_up(taken * row, stride.chunk);
  return {rows * line + rest, rows + (rest > 0 ? 1 : 0)};
}

/// Bit planes of the next vector are read while this one is multiplied; bytes before it is, and its
/// sums leave after it. There each tile's loop takes four vectors (hls/byte_product.hpp).
Loops product_loops(const numeric::Format& format, const LayerWork& layer, const Launch& launch) {
  const std::int64_t vectors = layer.vectors();
  const std::int64_t turns =
      matrix_vector_cycles(launch.tiles, launch.words * launch.passes, vectors);
  if (is_bit_serial(format)) return {turns, vectors};
  constexpr std::int64_t joint_vectors = 4;
  return reading_loops(format, layer, launch) +
         Loops{turns, divide_up(vectors * launch.tiles, joint_vectors)} +
         Loops{vectors * launch.tiles, vectors};
}

/// Maps come by one port and leave by another, on the same pseudo channels.
void move_maps(LayerCost& cost, std::int64_t in_bytes, std::int64_t out_bytes) {
  cost.bytes = in_bytes + out_bytes;
  cost.maps = {{map_channels, std::max(in_bytes, out_bytes), cost.bytes}};
}

void take(LayerCost& cost, const Loops& loops) {
  cost.cycles = loops.cycles;
  cost.cycles_with_depth = loops.with_depth();
}

}  // namespace

bool runs_on_engine(const numeric::Format& format) {
  const auto has_units = [](const numeric::ElementFormat& element) {
    const int bits = element.bits;
    return is_low_bit(element) && (bits == 1 || bits == 2 || bits == 4 || bits == 8);
  };
  return has_units(format.weights) && has_units(format.activations);
}

int stored_weight_bits(const numeric::Format& format) {
  return format.weights.kind == numeric::ElementKind::ternary ? 2 : format.weights.bits;
}

std::int64_t chunk_bits(const numeric::Format& format, Folding f) {
  return is_bit_serial(format) ? 2 * std::int64_t{f.simd} : 8 * std::int64_t{f.simd};
}

std::int64_t activation_interval(const numeric::Format& format, Folding f) {
  return divide_up(std::int64_t{f.pe} * raw_bits, chunk_bits(format, f));
}

Loops window_loops(const numeric::Format& format, const LayerWork& layer, Folding f, int bits) {
  const Stride stride = stride_of(format, stored_channels(layer, f), f, bits);
  const std::int64_t row = layer.kernel * stride.pixel;  // of a window
  // A window whose last piece falls in two chunks takes a cycle more.
  const std::int64_t last = (row - 1) % stride.chunk + 1;
  const bool splits = (layer.kernel * row - last) % stride.chunk + last > stride.chunk;
  const std::int64_t window = layer.kernel * divide_up(row, stride.chunk) + (splits ? 1 : 0);
  return filling_loops(layer, stride) + Loops{layer.vectors() * window, layer.out.height};
}

Loops reading_loops(const numeric::Format& format, const LayerWork& layer, const Launch& launch) {
  if (!is_bit_serial(format)) return layer.vectors() * Loops{launch.words, 1};
  // Eight words of lanes of one bit make a row, which takes four cycles.
  const std::int64_t rows = divide_up(launch.words * launch.operands.input_bits, 8);
  return layer.vectors() * Loops{4 * rows + launch.words, 2};
}

bool is_bit_serial(const numeric::Format& format) {
  return runs_on_engine(format) && format.weights.bits < 8;
}

int stream_lanes(const numeric::Format& format, Folding f, int bits) {
  return static_cast<int>(std::max<std::int64_t>(1, chunk_bits(format, f) / bits));
}

std::int64_t stored_channels(const LayerWork& layer, Folding f) {
  return layer.first ? layer.in.channels : round_up(layer.in.channels, f.pe);
}

Launch launch_of(const Question& question, const LayerWork& layer, Folding f) {
  Launch launch;
  launch.operands = operands(question.format, layer);
  const std::int64_t channels = stored_channels(layer, f);
  const std::int64_t map = layer.in.height * layer.in.width * channels;
  const std::int64_t vector =
      layer.kind == WorkKind::dense ? map : layer.kernel * layer.kernel * channels;
  const int out_bits = launch.operands.output_bits;
  launch.in_words = divide_up(map, stream_lanes(question.format, f, launch.operands.input_bits));
  launch.words = divide_up(vector, f.simd);
  launch.tiles = divide_up(layer.rows(), f.pe);
  const bool bit_serial = is_bit_serial(question.format);
  if (bit_serial) launch.operands.multiplier = Multiplier::bit_serial;
  launch.passes = bit_serial ? launch.operands.input_bits : 1;
  launch.out_words =
      layer.vectors() *
      divide_up(launch.tiles * f.pe, stream_lanes(question.format, f, out_bits > 0 ? out_bits : 8));
  if (out_bits == 0)
    launch.out_words *= divide_up(raw_bits, bit_serial ? 8 : launch.operands.input_bits);
  return launch;
}

LayerCost input_cost(const Question& question, Folding f) {
  // hls/engine/quantise_input.cpp: an image comes, goes through its table byte by byte, and leaves.
  const LayerWork& first = question.work.front();
  const int bits = operands(question.format, first).input_bits;
  const int lanes = stream_lanes(question.format, f, 8);
  const std::int64_t words = divide_up(first.in.size(), lanes);
  LayerCost cost;
  cost.name = "input";
  cost.kind = "input";
  cost.folding = {1, f.simd};
  // The rest of the map's last word is cleared by a loop of its own.
  const int tail = words * lanes > first.in.size() ? 1 : 0;
  take(cost, {words * (2 + lanes), 2 + first.in.channels + tail});
  move_maps(cost, first.in.size(), divide_up(std::int64_t{first.in.size()} * bits, 8));
  return cost;
}

LayerCost pool_cost(const Question& question, const LayerWork& layer, Folding f) {
  const int bits = operands(question.format, layer).output_bits;
  const std::int64_t channels = round_up(layer.in.channels, f.pe);
  const Stride stride = stride_of(question.format, channels, f, bits);
  LayerCost cost;
  cost.name = layer.name;
  cost.kind = to_string(layer.kind);
  cost.folding = {1, f.simd};
  // hls/engine/max_pool.cpp: lines, maxima over whole rows, then over each pixel's columns.
  const std::int64_t rows =
      layer.out.height * divide_up(layer.in.width * stride.pixel, stride.chunk) * layer.kernel;
  const std::int64_t columns =
      layer.vectors() * divide_up(stride.pixel, stride.chunk) * layer.kernel;
  take(cost, filling_loops(layer, stride) + Loops{rows + columns, 2 * layer.out.height});
  const auto bytes = [&](const FeatureShape& map) {
    return divide_up(map.height * map.width * channels * bits, 8);
  };
  move_maps(cost, bytes(layer.in), bytes(layer.out));
  return cost;
}

LayerCost linear_cost(const Question& question, const LayerWork& layer, Folding f) {
  const Launch launch = launch_of(question, layer, f);
  const Operands& o = launch.operands;
  LayerCost cost;
  cost.name = layer.name;
  cost.kind = to_string(layer.kind);
  cost.folding = f;
  const std::int64_t interval = activation_interval(question.format, f);
  const std::int64_t outputs = layer.vectors() * launch.tiles;
  const Loops reading = reading_loops(question.format, layer, launch);
  struct Stage {
    const char* bound;
    Loops loops;
  };
  const Stage stages[] = {{"compute", product_loops(question.format, layer, launch)},
                          {"reading", reading},
                          {"window", layer.kind == WorkKind::conv2d
                                         ? window_loops(question.format, layer, f, o.input_bits)
                                         : Loops{}},
                          {"activation", {outputs * interval, 1}},
                          {"memory", {launch.in_words, 1}},
                          {"memory", {launch.out_words, 1}}};
  for (const Stage& stage : stages) {
    if (stage.loops.cycles > cost.cycles) {
      cost.cycles = stage.loops.cycles;
      cost.bound = stage.bound;
    }
    cost.cycles_with_depth = std::max(cost.cycles_with_depth, stage.loops.with_depth());
  }
  if (cost.bound == "activation") cost.interval = static_cast<int>(interval);
  const std::int64_t word_bits = std::int64_t{f.pe} * f.simd * o.weight_bits;
  cost.weight_bytes = divide_up(launch.tiles * launch.words * word_bits, 8);
  cost.load_cycles = launch.tiles * launch.words * divide_up(word_bits, burst_bits);
  const int out_bits = o.output_bits > 0 ? o.output_bits : raw_bits;
  const std::int64_t map =
      layer.in.height * layer.in.width * stored_channels(layer, f) * o.input_bits;
  move_maps(cost, divide_up(map, 8),
            divide_up(layer.vectors() * launch.tiles * f.pe * out_bits, 8));
  return cost;
}

}  // namespace dovetail::cost
