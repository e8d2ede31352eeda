// A weight pack as bytes: written, and read back with every check before every use.
//
// Little-endian. "DOVEPACK", layout, number of layers, format[16], model[32], version, channels,
// height, width, classes, input tables; then for each layer kind, extents, window, activation,
// name[32]; then for each layer with weights its weights, parameters and scales, whose sizes follow
// from the shapes; last the SHA-256 of all of it in 64 hexadecimal digits.
#include <algorithm>
#include <cmath>
#include <limits>

#include "numeric/engine_layout.hpp"
#include "numeric/requantise.hpp"
#include "quant/byte_string.hpp"
#include "quant/channel_law.hpp"
#include "quant/packed_network.hpp"

namespace dovetail::quant {
namespace {

constexpr char magic[] = "DOVEPACK";
constexpr std::int32_t layout_version = 2;
constexpr std::size_t format_bytes = 16, model_bytes = 32, name_bytes = 32;
constexpr std::int32_t max_layers = 1024;

PackedLayer read_layer(ByteReader& reader) {
  PackedLayer layer;
  layer.kind = static_cast<LayerKind>(reader.value<std::int32_t>());
  for (int* field :
       {&layer.in_channels, &layer.in_height, &layer.in_width, &layer.out_channels,
        &layer.out_height, &layer.out_width, &layer.kernel, &layer.stride, &layer.padding}) {
    *field = reader.value<std::int32_t>();
  }
  layer.activation = static_cast<Activation>(reader.value<std::int32_t>());
  layer.name = reader.text(name_bytes);
  return layer;
}

void write_layer(ByteWriter& writer, const PackedLayer& layer) {
  writer.value(static_cast<std::int32_t>(layer.kind));
  for (const int field :
       {layer.in_channels, layer.in_height, layer.in_width, layer.out_channels, layer.out_height,
        layer.out_width, layer.kernel, layer.stride, layer.padding}) {
    writer.value(std::int32_t{field});
  }
  writer.value(static_cast<std::int32_t>(layer.activation));
  writer.text(layer.name, name_bytes);
}

void read_blobs(ByteReader& reader, PackedLayer& layer) {
  layer.weights = reader.values<std::uint8_t>(layer.weight_bytes());
  layer.parameters = reader.values<std::int32_t>(layer.parameter_count());
  layer.scales = reader.values<float>(static_cast<std::size_t>(layer.out_channels));
  layer.biases = reader.values<float>(static_cast<std::size_t>(layer.out_channels));
  for (const auto* values : {&layer.scales, &layer.biases}) {
    for (const float value : *values) {
      if (!std::isfinite(value))
        damaged(fmt::format("layer {} has a scale or bias of {}", layer.name, value));
    }
  }
}

/// The kernels' 16-bit sums need byte weights of ±127; narrower ones have no such limit.
void check_weights(const PackedLayer& layer) {
  if (layer.weight_bits == 8 &&
      std::find(layer.weights.begin(), layer.weights.end(), 0x80) != layer.weights.end()) {
    damaged(fmt::format("layer {} has a weight of −128", layer.name));
  }
}

bool usable(const Channel& channel, int bits) {
  if (bits < 8) return std::is_sorted(channel.thresholds.begin(), channel.thresholds.end());
  return channel.bias >= -bias_limit && channel.bias <= bias_limit &&
         channel.factor.multiplier != std::numeric_limits<std::int32_t>::min() &&
         channel.factor.shift >= numeric::shift_lowest &&
         channel.factor.shift <= numeric::shift_highest;
}

/// Channels that a tile is filled up with must give code 0: 1-bit weights have no zero to meet them
/// with.
void check_parameters(const PackedLayer& layer) {
  for (int out = 0; out < layer.tiles() * engine::pe; ++out) {
    const Channel channel = layer.channel(out);
    const bool fits = out < layer.out_channels ? usable(channel, layer.out_bits)
                                               : channel == idle_channel(layer.out_bits);
    if (!fits)
      damaged(fmt::format("layer {} has unusable parameters for output {}", layer.name, out));
  }
}

/// Reads magic, layout and number of layers; the format name follows.
std::int32_t read_start(ByteReader& reader) {
  for (std::size_t i = 0; i + 1 < sizeof magic; ++i) {
    if (reader.value<char>() != magic[i]) damaged("it does not begin as one");
  }
  const auto layout = reader.value<std::int32_t>();
  if (layout != layout_version)
    damaged(fmt::format("its layout is {}, this program reads {}", layout, layout_version));
  return reader.value<std::int32_t>();
}

}  // namespace

std::string format_of(const WeightPack& pack) {
  ByteReader reader(pack.bytes);
  read_start(reader);
  return reader.text(format_bytes);
}

WeightPack serialise(const PackedNetwork& network) {
  ByteWriter writer;
  writer.values(magic, sizeof magic - 1);
  writer.value(layout_version);
  writer.value(static_cast<std::int32_t>(network.layers.size()));
  writer.text(network.format, format_bytes);
  writer.text(network.model, model_bytes);
  writer.value(network.version);
  for (const int field : {network.channels, network.height, network.width, network.classes}) {
    writer.value(std::int32_t{field});
  }
  writer.values(network.input_tables.data(), network.input_tables.size());
  for (const PackedLayer& layer : network.layers) write_layer(writer, layer);
  for (const PackedLayer& layer : network.layers) {
    writer.values(layer.weights.data(), layer.weights.size());
    writer.values(layer.parameters.data(), layer.parameters.size());
    writer.values(layer.scales.data(), layer.scales.size());
    writer.values(layer.biases.data(), layer.biases.size());
  }
  seal(writer.bytes());
  return {network.version, std::move(writer.bytes())};
}

PackedNetwork parse(const WeightPack& pack) {
  ByteReader reader(sealed_content(pack.bytes));
  PackedNetwork network;
  const std::int32_t layers = read_start(reader);
  network.format = reader.text(format_bytes);
  const auto& known = pack_formats();
  if (std::find(known.begin(), known.end(), network.format) == known.end())
    damaged(fmt::format("no engine runs its format {}", network.format));
  network.model = reader.text(model_bytes);
  network.version = reader.value<std::uint64_t>();
  if (network.version != pack.version) damaged("its version is not the announced one");
  for (int* field : {&network.channels, &network.height, &network.width, &network.classes}) {
    *field = reader.value<std::int32_t>();
  }
  if (network.channels < 1 || network.channels > engine::max_input_channels || layers < 1 ||
      layers > max_layers) {
    damaged("its counts are out of range");
  }
  network.input_tables =
      reader.values<std::int8_t>(static_cast<std::size_t>(network.channels) * 256);
  for (std::int32_t i = 0; i < layers; ++i) network.layers.push_back(read_layer(reader));
  assign_bits(network);
  check_layers(network);
  for (PackedLayer& layer : network.layers) {
    if (layer.kind == LayerKind::max_pool) continue;
    read_blobs(reader, layer);
    check_weights(layer);
    check_parameters(layer);
  }
  if (!reader.at_end()) damaged("bytes are left over");
  return network;
}

}  // namespace dovetail::quant
