// Writes training packs as bytes and reads them back.
//
// Little-endian. "DOVETRNP", layout, number of layers, format[16], model[32], version, forward
// only, channels, height, width, classes, means, deviations; then for each layer name[32], extents,
// window, pool, ReLU; then for each its step, output range, biases, exponents and codes, whose
// sizes follow from the shapes and the format's bits; last the SHA-256 of all of it in 64
// hexadecimal digits.
#include <algorithm>
#include <array>
#include <cmath>
#include <span>

#include "numeric/packing.hpp"
#include "numeric/quantise_real.hpp"
#include "numeric/shared_exponent.hpp"
#include "numeric/training_layout.hpp"
#include "quant/byte_string.hpp"
#include "quant/training_pack.hpp"

namespace dovetail::quant {
namespace {

constexpr char magic[] = {'D', 'O', 'V', 'E', 'T', 'R', 'N', 'P'};
constexpr std::int32_t layout_version = 2;
constexpr std::int32_t max_layers = 1024;
constexpr std::size_t format_bytes = 16, model_bytes = 32, name_bytes = 32;

/// The fields of a layer that stand in the table, in order.
template <typename Layer>
auto fields(Layer& layer) {
  return std::array{&layer.in_channels, &layer.in_height, &layer.in_width, &layer.out_channels,
                    &layer.out_height,  &layer.out_width, &layer.kernel,   &layer.stride,
                    &layer.padding,     &layer.pool};
}

void write_codes(ByteWriter& writer, const TrainingLayer& layer, int bits) {
  std::vector<std::uint8_t> packed(numeric::packed_bytes(layer.codes.size(), bits));
  for (std::size_t i = 0; i < layer.codes.size(); ++i)
    numeric::pack_code(packed.data(), i, bits, static_cast<std::uint16_t>(layer.codes[i]));
  writer.values(packed.data(), packed.size());
}

void read_codes(ByteReader& reader, TrainingLayer& layer, int bits) {
  const std::size_t count = layer.weight_count();
  const auto packed = reader.values<std::uint8_t>(numeric::packed_bytes(count, bits));
  const int largest = numeric::largest_code(bits);
  for (std::size_t i = 0; i < count; ++i) {
    const std::int32_t code =
        numeric::sign_extend(numeric::unpack_code(packed.data(), i, bits), bits);
    if (code < -largest) damaged(fmt::format("layer {} has a weight out of range", layer.name));
    layer.codes.push_back(static_cast<std::int16_t>(code));
  }
}

void read_header(ByteReader& reader, TrainingNetwork& network) {
  const auto layers = reader.value<std::int32_t>();
  network.format = training_format(reader.text(format_bytes));
  network.model = reader.text(model_bytes);
  network.version = reader.value<std::uint64_t>();
  network.forward_only = reader.value<std::int32_t>() != 0;
  for (int* field : {&network.channels, &network.height, &network.width, &network.classes})
    *field = reader.value<std::int32_t>();
  if (network.channels < 1 || network.channels > training::max_input_channels || layers < 1 ||
      layers > max_layers) {
    damaged("its counts are out of range");
  }
  const auto channels = static_cast<std::size_t>(network.channels);
  network.input_mean = reader.values<float>(channels);
  network.input_deviation = reader.values<float>(channels);
  for (std::int32_t i = 0; i < layers; ++i) {
    TrainingLayer layer;
    layer.name = reader.text(name_bytes);
    for (int* field : fields(layer)) *field = reader.value<std::int32_t>();
    layer.dense = reader.value<std::int32_t>() != 0;
    layer.relu = reader.value<std::int32_t>() != 0;
    network.layers.push_back(std::move(layer));
  }
}

void read_weights(ByteReader& reader, const TrainingFormat& format, TrainingLayer& layer) {
  layer.step = reader.value<float>();
  layer.output_range = reader.value<float>();
  layer.bias = reader.values<float>(static_cast<std::size_t>(layer.out_channels));
  if (format.blocks) layer.exponents = reader.values<std::int8_t>(layer.block_count());
  for (const std::int8_t exponent : layer.exponents) {
    if (exponent < numeric::shared_exponent_lowest || exponent > numeric::shared_exponent_highest)
      damaged(fmt::format("layer {} has an exponent out of range", layer.name));
  }
  if (!(std::isfinite(layer.step) && layer.step > 0))
    damaged(fmt::format("layer {} has a step of {}", layer.name, layer.step));
  if (!(std::isfinite(layer.output_range) && layer.output_range >= 0))
    damaged(fmt::format("layer {} has outputs up to {}", layer.name, layer.output_range));
  read_codes(reader, layer, format.bits);
}

}  // namespace

void check_input_statistics(const TrainingNetwork& network) {
  const auto channels = static_cast<std::size_t>(std::max(network.channels, 0));
  bool usable = network.input_mean.size() == channels && network.input_deviation.size() == channels;
  for (const float mean : network.input_mean) usable = usable && std::isfinite(mean);
  for (const float deviation : network.input_deviation)
    usable = usable && std::isfinite(deviation) && deviation > 0;
  if (usable) return;
  throw Error(
      fmt::format("model {} has unusable means or standard deviations of its input", network.model),
      "Check the data set's manifest");
}

WeightPack serialise_training(TrainingNetwork& network) {
  ByteWriter writer;
  writer.values(magic, sizeof magic);
  writer.value(layout_version);
  writer.value(static_cast<std::int32_t>(network.layers.size()));
  writer.text(network.format.name, format_bytes);
  writer.text(network.model, model_bytes);
  writer.value(network.version);
  writer.value(std::int32_t{network.forward_only});
  for (const int field : {network.channels, network.height, network.width, network.classes})
    writer.value(std::int32_t{field});
  writer.values(network.input_mean.data(), network.input_mean.size());
  writer.values(network.input_deviation.data(), network.input_deviation.size());
  for (const TrainingLayer& layer : network.layers) {
    writer.text(layer.name, name_bytes);
    for (const int* field : fields(layer)) writer.value(std::int32_t{*field});
    writer.value(std::int32_t{layer.dense});
    writer.value(std::int32_t{layer.relu});
  }
  for (const TrainingLayer& layer : network.layers) {
    writer.value(layer.step);
    writer.value(layer.output_range);
    writer.values(layer.bias.data(), layer.bias.size());
    writer.values(layer.exponents.data(), layer.exponents.size());
    write_codes(writer, layer, network.format.bits);
  }
  seal(writer.bytes());
  return {network.version, std::move(writer.bytes())};
}

TrainingNetwork parse_training(const WeightPack& pack) {
  ByteReader reader(sealed_content(pack.bytes));
  const auto start = reader.values<char>(sizeof magic);
  if (!std::equal(start.begin(), start.end(), magic)) damaged("it is no pack for training");
  if (reader.value<std::int32_t>() != layout_version) damaged("its layout is another one");
  TrainingNetwork network;
  read_header(reader, network);
  if (network.version != pack.version) damaged("its version is not the announced one");
  check_input_statistics(network);
  check_training_layers(network);
  for (TrainingLayer& layer : network.layers) read_weights(reader, network.format, layer);
  if (!reader.at_end()) damaged("bytes are left over");
  return network;
}

}  // namespace dovetail::quant
