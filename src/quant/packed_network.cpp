// Where weights and parameters lie in a packed layer, and what the kernels demand of a network.
#include "quant/packed_network.hpp"

#include "numeric/int8_layout.hpp"
#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail::quant {
namespace {

constexpr int max_extent = 4096;

[[noreturn]] void refuse(const PackedLayer& layer, const std::string& why) {
  throw Error(fmt::format("layer {} cannot run on the int8 FPGA kernels: {}", layer.name, why),
              "Change the model, or infer in float32");
}

void demand(bool holds, const PackedLayer& layer, const char* why) {
  if (!holds) refuse(layer, why);
}

void check_extents(const PackedLayer& layer) {
  for (const int extent : {layer.in_height, layer.in_width, layer.out_height, layer.out_width}) {
    demand(extent >= 1 && extent <= max_extent, layer,
           "heights and widths must lie between 1 and 4096");
  }
  for (const int channels : {layer.in_channels, layer.out_channels}) {
    demand(channels >= 1 && channels <= int8::max_vector_words * int8::simd, layer,
           "channels must lie between 1 and 65536");
  }
}

void check_window(const PackedLayer& layer) {
  demand(layer.kernel >= 1 && layer.kernel <= int8::max_kernel, layer,
         "its kernel must lie between 1 and 7");
  demand(layer.stride >= 1 && layer.stride <= max_extent, layer, "its stride must be at least 1");
  demand(layer.padding >= 0 && layer.padding < layer.kernel, layer,
         "its padding must be smaller than its kernel");
  demand(layer.kernel <= layer.in_height + 2 * layer.padding &&
             layer.kernel <= layer.in_width + 2 * layer.padding,
         layer, "its kernel is larger than the padded feature map");
  demand(layer.out_height ==
                 int8::output_extent(layer.in_height, layer.kernel, layer.stride, layer.padding) &&
             layer.out_width ==
                 int8::output_extent(layer.in_width, layer.kernel, layer.stride, layer.padding),
         layer, "its output extents do not follow from its input");
  demand(std::int64_t{layer.in_width + 2 * layer.padding} * layer.stored_in_channels() <=
             int8::max_row_bytes,
         layer, "one row of its padded input is larger than 32,768 bytes");
}

void check_weights(const PackedLayer& layer) {
  demand(layer.words() <= int8::max_vector_words, layer, "its inputs are more than 65,536 bytes");
  demand(layer.tiles() <= int8::max_tiles, layer, "it has more than 2,048 outputs");
  demand(layer.words() * layer.tiles() <= int8::max_weight_words, layer,
         "its weights are more than 2 MiB");
}

void check_dense(const PackedLayer& layer) {
  demand(layer.out_height == 1 && layer.out_width == 1 && layer.kernel == 1 && layer.padding == 0,
         layer, "a dense layer has neither window nor output map");
  demand(std::int64_t{layer.in_height} * layer.in_width * layer.stored_in_channels() <=
             int8::max_vector_words * int8::simd,
         layer, "its inputs are more than 65,536 bytes");
}

void check_max_pool(const PackedLayer& layer) {
  demand(layer.stored_input, layer, "a max-pool must follow another layer");
  demand(layer.padding == 0 && layer.activation == Activation::none, layer,
         "a max-pool has neither padding nor ReLU");
  demand(layer.in_channels == layer.out_channels, layer, "a max-pool keeps the channels");
}

void check_layer(const PackedLayer& layer) {
  check_extents(layer);
  demand(layer.activation == Activation::none || layer.activation == Activation::relu, layer,
         "its activation is neither a ReLU nor none");
  switch (layer.kind) {
    case LayerKind::conv2d:
      check_window(layer);
      check_weights(layer);
      return;
    case LayerKind::dense:
      check_dense(layer);
      check_weights(layer);
      return;
    case LayerKind::max_pool:
      check_window(layer);
      check_max_pool(layer);
      return;
  }
  refuse(layer, "its kind is unknown");
}

}  // namespace

int PackedLayer::stored_in_channels() const {
  return stored_input ? int8::stored_channels(in_channels) : in_channels;
}

int PackedLayer::words() const {
  return kind == LayerKind::conv2d ? int8::window_words(kernel, stored_in_channels())
                                   : int8::image_words(in_height, in_width, stored_in_channels());
}

int PackedLayer::tiles() const {
  return int8::tiles(out_channels);
}

std::size_t PackedLayer::weight_index(int out, int in, int row, int column) const {
  const int channels = stored_in_channels();
  const int row_words = kind == LayerKind::conv2d
                            ? int8::window_row_words(kernel, channels)
                            : int8::row_bytes(in_width, channels) / int8::simd;
  const int in_row = column * channels + in;  // byte within one row of the window or map
  const int word = (out / int8::pe) * words() + row * row_words + in_row / int8::simd;
  return static_cast<std::size_t>((word * int8::simd + in_row % int8::simd) * int8::pe +
                                  out % int8::pe);
}

std::int8_t PackedLayer::weight(int out, int in, int row, int column) const {
  return weights[weight_index(out, in, row, column)];
}

PackedLayer::Channel PackedLayer::channel(int out) const {
  const auto field = [&](int which) {
    return parameters[static_cast<std::size_t>((out / int8::pe * 3 + which) * int8::pe +
                                               out % int8::pe)];
  };
  return {field(0), {field(1), field(2)}};
}

void check_layers(const PackedNetwork& network) {
  if (network.channels < 1 || network.channels > int8::max_input_channels || network.height < 1 ||
      network.height > max_extent || network.width < 1 || network.width > max_extent ||
      std::int64_t{network.channels} * network.height * network.width > int8::max_image_bytes) {
    throw Error(fmt::format("images of {} × {} × {} are too large for the int8 FPGA kernels",
                            network.channels, network.height, network.width),
                fmt::format("They take up to {} channels and {} bytes", int8::max_input_channels,
                            int8::max_image_bytes));
  }
  int channels = network.channels, height = network.height, width = network.width;
  for (const PackedLayer& layer : network.layers) {
    demand(layer.in_channels == channels && layer.in_height == height && layer.in_width == width,
           layer, "its input is not what the layer before it gives");
    check_layer(layer);
    channels = layer.out_channels;
    height = layer.out_height;
    width = layer.out_width;
  }
  if (network.layers.empty() || network.layers.back().kind != LayerKind::dense ||
      network.layers.back().activation != Activation::none || channels != network.classes) {
    throw Error(
        fmt::format(
            "model {} does not end in a dense layer without ReLU and with one output a class",
            network.model),
        "The int8 FPGA chain takes the logits from there");
  }
}

}  // namespace dovetail::quant
