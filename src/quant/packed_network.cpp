// What the kernels demand of a network, and how its layers follow from its format.
#include "quant/packed_network.hpp"

#include <algorithm>

#include "numeric/engine_layout.hpp"
#include "quant/training_format.hpp"
#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail::quant {
namespace {

constexpr int max_extent = 4096;

[[noreturn]] void refuse(const PackedLayer& layer, const std::string& why) {
  throw Error(fmt::format("layer {} cannot run on the FPGA kernels: {}", layer.name, why),
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
    demand(channels >= 1 && channels <= engine::max_lanes, layer,
           "channels must lie between 1 and 65536");
  }
}

void check_window(const PackedLayer& layer) {
  demand(layer.kernel >= 1 && layer.kernel <= engine::max_kernel, layer,
         "its kernel must lie between 1 and 7");
  demand(layer.stride >= 1 && layer.stride <= max_extent, layer, "its stride must be at least 1");
  demand(layer.padding >= 0 && layer.padding < layer.kernel, layer,
         "its padding must be smaller than its kernel");
  demand(layer.kernel <= layer.in_height + 2 * layer.padding &&
             layer.kernel <= layer.in_width + 2 * layer.padding,
         layer, "its kernel is larger than the padded feature map");
  demand(layer.out_height == engine::output_extent(layer.in_height, layer.kernel, layer.stride,
                                                   layer.padding) &&
             layer.out_width ==
                 engine::output_extent(layer.in_width, layer.kernel, layer.stride, layer.padding),
         layer, "its output extents do not follow from its input");
  demand((std::int64_t{layer.in_width} + 2 * layer.padding) * layer.stored_in_channels() *
                 layer.in_bits <=
             std::int64_t{engine::max_row_bytes} * 8,
         layer, "one row of its padded input is larger than 32,752 bytes");
}

void check_weights(const PackedLayer& layer) {
  const std::int64_t taps = layer.kind == LayerKind::conv2d
                                ? std::int64_t{layer.kernel} * layer.kernel
                                : std::int64_t{layer.in_height} * layer.in_width;
  demand(taps * layer.stored_in_channels() <= engine::max_lanes, layer,
         "its inputs are more than 65,536 lanes");
  demand(layer.tiles() <= engine::max_tiles, layer, "it has more than 2,048 outputs");
  demand(layer.weight_bytes() <= engine::max_weight_bytes, layer,
         "its weights are more than 2 MiB");
}

/// What the format's activations can express. Sign and thresholds need a clamp at zero.
void check_activation(const PackedLayer& layer) {
  switch (layer.activation) {
    case Activation::none:
      demand(layer.out_bits >= 8, layer, "activations below 8 bits need a ReLU or a sign");
      return;
    case Activation::relu:
      return;
    case Activation::sign:
      demand(layer.out_bits == 1, layer, "a sign needs activations of 1 bit");
      return;
  }
  refuse(layer, "its activation is unknown");
}

void check_dense(const PackedLayer& layer) {
  demand(layer.out_height == 1 && layer.out_width == 1 && layer.kernel == 1 && layer.padding == 0,
         layer, "a dense layer has neither window nor output map");
}

void check_max_pool(const PackedLayer& layer) {
  demand(layer.stored_input, layer, "a max-pool must follow another layer");
  demand(layer.padding == 0 && layer.activation == Activation::none, layer,
         "a max-pool has neither padding nor ReLU");
  demand(layer.in_channels == layer.out_channels, layer, "a max-pool keeps the channels");
}

void check_layer(const PackedLayer& layer) {
  check_extents(layer);
  switch (layer.kind) {
    case LayerKind::conv2d:
      check_window(layer);
      check_weights(layer);
      check_activation(layer);
      return;
    case LayerKind::dense:
      check_dense(layer);
      check_weights(layer);
      check_activation(layer);
      return;
    case LayerKind::max_pool:
      check_window(layer);
      check_max_pool(layer);
      return;
  }
  refuse(layer, "its kind is unknown");
}

}  // namespace

const std::vector<std::string>& pack_formats() {
  static const std::vector<std::string> known = [] {
    std::vector<std::string> names{"int8", "int4", "int2"};
    for (const char weights : {'1', 't', '2', '4', '8'}) {
      for (const char activations : {'1', '2', '4', '8'})
        names.push_back(fmt::format("w{}a{}", weights, activations));
    }
    return names;
  }();
  return known;
}

numeric::Format fpga_format(const std::string& name) {
  const auto& known = pack_formats();
  if (std::find(known.begin(), known.end(), name) == known.end()) {
    throw UsageError(fmt::format("unknown FPGA format '{}'", name),
                     fmt::format("Known formats: {}", fmt::join(known, ", ")));
  }
  return numeric::parse_format(name);
}

bool is_forward_format(const std::string& format) {
  const auto& known = pack_formats();
  return std::find(known.begin(), known.end(), format) == known.end() &&
         find_training_format(format).has_value();
}

std::string inference_formats() {
  return fmt::format("{}, fixed2 ... fixed16, bfp2 ... bfp8, int3 ... int16",
                     fmt::join(pack_formats(), ", "));
}

bool is_inference_format(const std::string& format) {
  const auto& known = pack_formats();
  return std::find(known.begin(), known.end(), format) != known.end() || is_forward_format(format);
}

void check_inference_format(const std::string& format) {
  if (is_inference_format(format)) return;
  throw UsageError(fmt::format("unknown FPGA format '{}'", format),
                   fmt::format("Known FPGA formats: {}", inference_formats()));
}

std::string kernel_family(const std::string& format) {
  check_inference_format(format);
  if (is_forward_format(format)) return "training_" + training_format(format).family;
  return fmt::format("w{}", fpga_format(format).weights.bits);
}

void assign_bits(PackedNetwork& network) {
  const numeric::Format format = fpga_format(network.format);
  int bits = engine::input_bits;
  for (PackedLayer& layer : network.layers) {
    const bool last = &layer == &network.layers.back();
    layer.stored_input = &layer != &network.layers.front();
    layer.weight_bits = format.weights.bits;
    layer.in_bits = bits;
    if (layer.kind != LayerKind::max_pool) bits = last ? engine::raw_bits : format.activations.bits;
    layer.out_bits = bits;
  }
}

void check_layers(const PackedNetwork& network) {
  if (network.channels < 1 || network.channels > engine::max_input_channels || network.height < 1 ||
      network.height > max_extent || network.width < 1 || network.width > max_extent ||
      std::int64_t{network.channels} * network.height * network.width > engine::max_image_bytes) {
    throw Error(fmt::format("images of {} × {} × {} are too large for the FPGA kernels",
                            network.channels, network.height, network.width),
                fmt::format("They take up to {} channels and {} bytes", engine::max_input_channels,
                            engine::max_image_bytes));
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
        "The FPGA chain takes the logits from there");
  }
}

}  // namespace dovetail::quant
