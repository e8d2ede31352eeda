// What the training kernels demand of a network, and where its weights' blocks lie.
#include "numeric/training_layout.hpp"
#include "quant/training_pack.hpp"
#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail::quant {
namespace {

constexpr int max_extent = 4096;

void demand(bool holds, const TrainingLayer& layer, const char* why) {
  if (holds) return;
  throw Error(
      fmt::format("layer {} cannot run on the FPGA's training kernels: {}", layer.name, why),
      "Change the model, or take neither --boost nor a format that infers on these kernels");
}

void check_extents(const TrainingLayer& layer) {
  for (const int extent :
       {layer.in_height, layer.in_width, layer.out_height, layer.out_width, layer.stride}) {
    demand(extent >= 1 && extent <= max_extent, layer,
           "heights, widths and strides must lie between 1 and 4096");
  }
  constexpr int most = training::max_row_words * training::simd;
  demand(layer.in_channels >= 1 && layer.in_channels <= most && layer.out_channels >= 1 &&
             layer.out_channels <= training::max_tiles * training::pe,
         layer, "it takes up to 32,768 input channels and 2,048 outputs");
}

void check_window(const TrainingLayer& layer) {
  demand(layer.kernel >= 1 && layer.kernel <= training::max_kernel, layer,
         "its kernel must lie between 1 and 7");
  demand(layer.padding >= 0 && layer.padding < layer.kernel, layer,
         "its padding must be smaller than its kernel");
  const auto follows = [&](int in, int out) {
    return in + 2 * layer.padding >= layer.kernel &&
           out == training::output_extent(in, layer.kernel, layer.stride, layer.padding);
  };
  demand(follows(layer.in_height, layer.out_height) && follows(layer.in_width, layer.out_width),
         layer, "its output extents do not follow from its input");
}

/// Channels as the card stores them; the network's input is padded to words, the rest to tiles.
std::int64_t stored_words(const TrainingLayer& layer, bool first) {
  return first ? training::channel_words(layer.in_channels)
               : training::output_tiles(layer.in_channels) * training::words_per_tile;
}

void check_sizes(const TrainingLayer& layer, bool first, bool forward_only) {
  const std::int64_t words = stored_words(layer, first);
  const std::int64_t out_words =
      training::output_tiles(layer.out_channels) * training::words_per_tile;
  const std::int64_t vector = words * layer.rows() * layer.columns();
  const std::int64_t turned = out_words * layer.kernel * layer.kernel;
  demand(
      words * layer.in_width <= training::max_row_words &&
          (!layer.dense || words * layer.in_width * layer.in_height <= training::max_row_words) &&
          out_words * layer.out_width <= training::max_row_words,
      layer, "one row of its maps takes more than 2,048 words of 16 channels");
  demand(std::int64_t{layer.out_height} * layer.out_width <= training::max_positions, layer,
         "its output has more than 131,072 positions");
  demand(vector <= training::max_vector_words &&
             (forward_only || turned <= training::max_vector_words),
         layer, "one of its windows takes more than 2,048 words of 16 channels");
  const std::int64_t weight_words = vector * training::output_tiles(layer.out_channels);
  demand(weight_words <= training::max_forward_words, layer, "it has more than 2,097,152 weights");
  demand(forward_only || weight_words <= training::max_weight_words, layer,
         "it has more than 1,048,576 weights");
}

}  // namespace

std::size_t TrainingLayer::weight_count() const {
  return static_cast<std::size_t>(out_channels) * static_cast<std::size_t>(in_channels) *
         static_cast<std::size_t>(rows() * columns());
}

std::size_t TrainingLayer::block_count() const {
  return static_cast<std::size_t>(out_channels) *
         static_cast<std::size_t>(training::channel_words(in_channels)) *
         static_cast<std::size_t>(rows() * columns());
}

std::size_t TrainingLayer::block_of(std::size_t index) const {
  const auto positions = static_cast<std::size_t>(rows() * columns());
  const auto channels = static_cast<std::size_t>(in_channels);
  const std::size_t out = index / positions / channels, in = index / positions % channels;
  const auto blocks = static_cast<std::size_t>(training::channel_words(in_channels));
  return (out * blocks + in / training::simd) * positions + index % positions;
}

void check_training_layers(const TrainingNetwork& network) {
  const bool image_fits =
      network.channels >= 1 && network.channels <= training::max_input_channels &&
      network.height >= 1 && network.height <= max_extent && network.width >= 1 &&
      network.width <= max_extent &&
      std::int64_t{network.channels} * network.height * network.width <= training::max_image_bytes;
  if (!image_fits) {
    throw Error(fmt::format("images of {} × {} × {} are too large for the FPGA's training kernels",
                            network.channels, network.height, network.width),
                fmt::format("They take up to {} channels and {} bytes",
                            training::max_input_channels, training::max_image_bytes));
  }
  std::int64_t before = std::int64_t{network.channels} * network.height * network.width;
  for (const TrainingLayer& layer : network.layers) {
    check_extents(layer);
    demand(std::int64_t{layer.in_channels} * layer.in_height * layer.in_width == before, layer,
           "its input is not what the layer before it gives");
    if (layer.dense) {
      demand(layer.out_height == 1 && layer.out_width == 1 && layer.kernel == 1 &&
                 layer.padding == 0 && layer.stride == 1,
             layer, "a dense layer has neither window nor output map");
    } else {
      check_window(layer);
    }
    demand(layer.pool >= 1 && layer.pool <= training::max_pool && layer.pool <= layer.out_height &&
               layer.pool <= layer.out_width,
           layer, "its pool's window must lie between 1 and 7 and fit its map");
    check_sizes(layer, &layer == &network.layers.front(), network.forward_only);
    before = std::int64_t{layer.out_channels} * layer.pooled_height() * layer.pooled_width();
  }
  if (network.layers.empty() || !network.layers.back().dense || network.layers.back().relu ||
      network.layers.back().out_channels != network.classes) {
    throw Error(fmt::format("model {} does not end in a dense layer without ReLU and with one "
                            "output a class",
                            network.model),
                "The FPGA's training kernels take the logits from there");
  }
}

}  // namespace dovetail::quant
