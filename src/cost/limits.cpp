// The maxima of numeric/engine_layout.hpp and numeric/training_layout.hpp.
#include "cost/limits.hpp"

#include <algorithm>

#include "cost/cycles.hpp"
#include "cost/engine_launch.hpp"
#include "cost/training_launch.hpp"
#include "numeric/training_layout.hpp"
#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail::cost {
namespace {

constexpr Folding training_folding{training::pe, training::simd};

void demand(const std::string& layer, const char* what, std::int64_t value, std::int64_t most) {
  if (value <= most) return;
  throw UsageError(
      fmt::format("{} has {} of {}, and the kernels take {} at most", layer, value, what, most),
      "Give smaller images, another model, or --architecture pipeline");
}

void check_engine_layer(const Question& question, const LayerWork& layer) {
  const Folding f{engine::pe, engine::simd(stored_weight_bits(question.format))};
  const Operands o = operands(question.format, layer);
  const bool pool = layer.kind == WorkKind::max_pool;
  const std::int64_t stored = stored_channels(layer, f);
  const std::int64_t row = (layer.in.width + std::int64_t{2} * layer.padding) * stored;
  if (layer.kind != WorkKind::dense) {
    demand(layer.name, "bytes in a padded row",
           divide_up(row * (pool ? o.output_bits : o.input_bits), 8), engine::max_row_bytes);
    demand(layer.name, "rows in a window", layer.kernel, engine::max_kernel);
  }
  if (pool) return;
  const Launch launch = launch_of(question, layer, f);
  demand(layer.name, "lanes in a vector", launch.words * f.simd, engine::max_lanes);
  demand(layer.name, "tiles of 32 outputs", launch.tiles, engine::max_tiles);
}

void check_training_layer(const FusedLayer& layer) {
  const LayerWork& linear = *layer.linear;
  const TrainingShape shape = training_shape(layer, training_folding);
  const bool dense = linear.kind == WorkKind::dense;
  const std::int64_t row = dense ? shape.map_words : shape.map_words / linear.in.height;
  demand(linear.name, "words in a row", row, training::max_row_words);
  demand(linear.name, "words in a row of outputs",
         std::int64_t{linear.out.width} * shape.tiles * training::words_per_tile,
         training::max_row_words);
  demand(linear.name, "words in a vector", shape.vector_words, training::max_vector_words);
  demand(linear.name, "tiles of 32 outputs", shape.tiles, training::max_tiles);
  demand(linear.name, "rows in a window", linear.kernel, training::max_kernel);
  if (layer.pool != nullptr)
    demand(layer.pool->name, "rows in a window", layer.pool->kernel, training::max_pool);
}

}  // namespace

void check_sizes(const Question& question) {
  const FeatureShape& in = question.work.front().in;
  const bool on_engine = runs_on_engine(question.format);
  demand("an image", "channels", in.channels,
         on_engine ? engine::max_input_channels : training::max_input_channels);
  demand("an image", "bytes", in.size(),
         on_engine ? engine::max_image_bytes : training::max_image_bytes);
  if (on_engine) {
    for (const LayerWork& layer : question.work) check_engine_layer(question, layer);
  } else {
    for (const FusedLayer& layer : fused_layers(question.work)) check_training_layer(layer);
  }
  if (keeps_weights(question, built_folding(question.format))) return;
  throw UsageError(
      "a layer has more weights than the kernels keep: 2 MiB, or of fixed point, block "
      "floating point and other integers 2,097,152",
      "Give a smaller model, fewer bits, or --architecture pipeline");
}

Folding built_folding(const numeric::Format& format) {
  if (!runs_on_engine(format)) return training_folding;
  return {engine::pe, engine::simd(stored_weight_bits(format))};
}

bool keeps_weights(const Question& question, Folding f) {
  if (runs_on_engine(question.format)) {
    return std::ranges::all_of(question.work, [&](const LayerWork& layer) {
      return layer.kind == WorkKind::max_pool ||
             linear_cost(question, layer, f).weight_bytes <= engine::max_weight_bytes;
    });
  }
  return std::ranges::all_of(fused_layers(question.work), [&](const FusedLayer& layer) {
    const TrainingShape shape = training_shape(layer, f);
    return shape.tiles * shape.vector_words * f.pe * f.simd <=
           std::int64_t{training::max_forward_words} * training::pe * training::simd;
  });
}

}  // namespace dovetail::cost
