// Where weights and parameters lie in a packed layer.
#include "numeric/engine_layout.hpp"
#include "quant/packed_network.hpp"
#include "tensor/layout.hpp"

namespace dovetail::quant {

int PackedLayer::stored_in_channels() const {
  return stored_input ? engine::stored_channels(in_channels) : in_channels;
}

int PackedLayer::tiles() const {
  return engine::tiles(out_channels);
}

int PackedLayer::lanes() const {
  const int taps = kind == LayerKind::conv2d ? kernel * kernel : in_height * in_width;
  return taps * stored_in_channels();
}

int PackedLayer::words() const {
  return engine::vector_words(lanes(), weight_bits);
}

std::size_t PackedLayer::weight_bytes() const {
  return extent(tiles()) * extent(words()) * extent(engine::weight_word_bytes(weight_bits));
}

std::size_t PackedLayer::parameter_count() const {
  return extent(tiles()) * extent(engine::parameter_fields(out_bits)) * engine::pe;
}

PackedLayer::Place PackedLayer::place(int out, int in, int row, int column, int plane) const {
  const int columns = kind == LayerKind::conv2d ? kernel : in_width;
  const int lane = (row * columns + column) * stored_in_channels() + in;
  const int simd = engine::simd(weight_bits);
  const std::size_t word = extent(out / engine::pe) * extent(words()) + extent(lane / simd);
  const std::size_t begin = word * extent(engine::weight_word_bytes(weight_bits));
  const int at = lane % simd, p = out % engine::pe;
  if (weight_bits == 8) return {begin + extent(at * engine::pe + p), 0};
  return {begin + extent((plane * engine::pe + p) * simd + at) / 8, at % 8};
}

int PackedLayer::weight(int out, int in, int row, int column) const {
  if (weight_bits == 8)
    return static_cast<std::int8_t>(weights[place(out, in, row, column, 0).byte]);
  int code = 0;
  for (int plane = 0; plane < weight_bits; ++plane) {
    const Place at = place(out, in, row, column, plane);
    code |= (weights[at.byte] >> at.bit & 1) << plane;
  }
  if (weight_bits == 1) return 2 * code - 1;
  return code >> (weight_bits - 1) == 0 ? code : code - (1 << weight_bits);
}

void PackedLayer::set_weight(int out, int in, int row, int column, int value) {
  if (weight_bits == 8) {
    weights[place(out, in, row, column, 0).byte] = static_cast<std::uint8_t>(value);
    return;
  }
  const int code = weight_bits == 1 ? (value > 0 ? 1 : 0) : value;
  for (int plane = 0; plane < weight_bits; ++plane) {
    const Place at = place(out, in, row, column, plane);
    const auto bit = static_cast<std::uint8_t>(1 << at.bit);
    std::uint8_t& byte = weights[at.byte];
    byte = static_cast<std::uint8_t>((code >> plane & 1) != 0 ? byte | bit : byte & ~bit);
  }
}

std::int32_t& PackedLayer::parameter(int out, int field) {
  const int tile = out / engine::pe * engine::parameter_fields(out_bits);
  return parameters[extent((tile + field) * engine::pe + out % engine::pe)];
}

std::int32_t PackedLayer::parameter(int out, int field) const {
  return const_cast<PackedLayer*>(this)->parameter(out, field);
}

Channel PackedLayer::channel(int out) const {
  if (out_bits >= 8) return {parameter(out, 0), {parameter(out, 1), parameter(out, 2)}, {}, false};
  Channel channel;
  channel.downwards = parameter(out, 0) != 0;
  for (int t = 1; t <= engine::levels(out_bits); ++t)
    channel.thresholds.push_back(parameter(out, t));
  return channel;
}

void PackedLayer::set_channel(int out, const Channel& channel) {
  if (out_bits >= 8) {
    parameter(out, 0) = channel.bias;
    parameter(out, 1) = channel.factor.multiplier;
    parameter(out, 2) = channel.factor.shift;
    return;
  }
  parameter(out, 0) = channel.downwards ? engine::levels(out_bits) : 0;
  for (int t = 1; t <= engine::levels(out_bits); ++t)
    parameter(out, t) = channel.thresholds[extent(t - 1)];
}

}  // namespace dovetail::quant
