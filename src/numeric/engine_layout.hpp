// How feature maps, weights and channel parameters of every format wXaY lie in an FPGA card's
// memory, and what the kernels can take.
//
// C++14: the pack, the engine and the HLS kernels agree through this one header.
//
// Feature map: [image][row][column][channel] of codes of 1, 2, 4 or 8 bits, the first in a byte's
// low bits, without gaps but for the end of each image, which is padded to `burst_bytes`. Hidden
// maps have channels padded to a multiple of `pe` with code 0 (which 1-bit weights rely on); the
// network's input is int8 with its 1 to 4 channels as they are. A dense layer's vector is a map of
// height and width 1.
//
// Codes: 1 bit: 0 stands for −1 and 1 for +1; 2 and 4 bits: the value itself, unsigned; 8 bits:
// int8.
//
// Weights: [output tile][word]; a tile is `pe` output channels, a word `simd` lanes of a window or
// vector, in the order of the map's bytes: [row][column][channel], the last word filled up with
// zero weights. A word of 8-bit weights is [simd][pe] of int8. A word of 1-, 2- or 4-bit weights is
// [bit plane][pe] of 64 bits, one a lane: two's complement, or for 1 bit 0 = −1 and 1 = +1.
//
// Channel parameters: [output tile][field][pe] of int32. For outputs of 8 bits and for raw
// accumulators the fields are bias, multiplier, shift; for outputs of A < 8 bits they are a
// complement (0, or 2^A − 1 where a code counts downwards) and 2^A − 1 thresholds in ascending
// order.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dovetail {
namespace engine {

constexpr int pe = 32;           // output channels multiplied a cycle
constexpr int layer_units = 2;   // compute units of the convolution and of the dense layer each
constexpr int chunk_bytes = 16;  // of a feature map, a cycle
constexpr int burst_bytes = 64;  // one 512-bit AXI word
static_assert(burst_bytes % chunk_bytes == 0, "a burst holds whole chunks");

// Maxima of the kernels' on-chip buffers.
constexpr int max_kernel = 7;              // rows and columns of a window
constexpr int max_row_bytes = 32752;       // of (width + 2 padding) pixels: a line less a chunk
constexpr int max_lanes = 65536;           // of one input vector or window
constexpr int max_weight_bytes = 2097152;  // a layer
constexpr int max_tiles = 64;              // 2,048 output channels
constexpr int max_image_bytes = 65536;     // of the network's input
constexpr int max_input_channels = 4;
constexpr int max_activation_bits = 8;
static_assert(std::int64_t{max_lanes} * 127 * 128 < (std::int64_t{1} << 30),
              "an accumulator has 30 bits for products, so that a bias of 30 bits never overflows");

constexpr int input_bits = 8;  // of the network's input
constexpr int raw_bits = 32;   // of a last layer's accumulators

constexpr int round_up(int value, int multiple) {
  return (value + multiple - 1) / multiple * multiple;
}
constexpr int divide_up(int value, int divisor) {
  return (value + divisor - 1) / divisor;
}

/// Lanes that one weight word multiplies: what fills chunks for 8 bits, one machine word for less.
constexpr int simd(int weight_bits) {
  return weight_bits == 8 ? 16 : 64;
}
constexpr int weight_word_bytes(int weight_bits) {
  return simd(weight_bits) * pe * weight_bits / 8;
}
constexpr int max_weight_words(int weight_bits) {
  return max_weight_bytes / weight_word_bytes(weight_bits);
}
/// Words of a vector or window of `lanes`.
constexpr int vector_words(int lanes, int weight_bits) {
  return divide_up(lanes, simd(weight_bits));
}

/// Channels of a hidden map as stored.
constexpr int stored_channels(int channels) {
  return round_up(channels, pe);
}
/// Output tiles of a layer.
constexpr int tiles(int channels) {
  return divide_up(channels, pe);
}
/// Bytes of `lanes` codes; they fill whole bytes wherever they lie in memory.
constexpr int code_bytes(int lanes, int bits) {
  return lanes * bits / 8;
}
constexpr int chunks(int bytes) {
  return divide_up(bytes, chunk_bytes);
}
/// Bytes from one image to the next; `channels` as stored.
constexpr int image_bytes(int height, int width, int channels, int bits) {
  return round_up(code_bytes(height * width * channels, bits), burst_bytes);
}
/// Extent of a convolution's or a pool's output along one axis.
constexpr int output_extent(int extent, int kernel, int stride, int padding) {
  return (extent + 2 * padding - kernel) / stride + 1;
}

/// Thresholds of one channel for outputs of `bits` bits.
constexpr int levels(int bits) {
  return (1 << bits) - 1;
}
constexpr int max_levels = 15;
constexpr int parameter_fields(int out_bits) {
  return out_bits < 8 ? levels(out_bits) + 1 : 3;
}
constexpr int parameter_bytes = pe * 4;  // of one field of a tile
static_assert(parameter_bytes % burst_bytes == 0, "a field is whole bursts");

}  // namespace engine
}  // namespace dovetail
