// How int8 feature maps, weights and channel parameters lie in an FPGA card's memory, and what the
// kernels can take.
//
// C++14: the pack, the engine and the HLS kernels agree through this one header.
//
// Feature map: [image][row][column][channel] of int8. Hidden maps have channels padded to a
// multiple of `pe`, the network's input has its 1 or 3 channels as they are. Rows are padded to
// `simd` bytes, images to `burst_bytes`; what lies in the padding is read, but multiplied by zero
// weights only. A dense layer's vector is a map of height and width 1. Weights: [output
// tile][word][simd][pe] of int8; a tile is `pe` output channels, a word `simd` inputs. A
// convolution's words are kernel rows, each padded to whole words: [kernel row][word of kernel
// column × channel]. Channel parameters: [output tile] of pe × int32 bias, pe × int32 multiplier,
// pe × int32 shift.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dovetail {
namespace int8 {

// Folding: pe output channels × simd inputs are multiplied a cycle.
constexpr int pe = 32;
constexpr int simd = 16;
constexpr int burst_bytes = 64;  // one 512-bit AXI word
static_assert(pe * 2 == burst_bytes, "two words of activations fill one burst");
static_assert(burst_bytes % simd == 0, "a burst holds whole words of inputs");

// Maxima of the kernels' on-chip buffers.
constexpr int max_kernel = 7;           // rows and columns of a window
constexpr int max_row_bytes = 32768;    // (width + 2 padding) · channels of a map
constexpr int max_vector_words = 4096;  // simd-byte words in one input vector or window
constexpr int max_weight_words = 4096;  // simd × pe weights a layer: 2 MiB
constexpr int max_tiles = 64;           // 2,048 output channels
constexpr int max_image_bytes = 65536;  // of the network's input, as uint8
constexpr int max_input_channels = 4;
static_assert(
    static_cast<std::int64_t>(max_vector_words) * simd * 127 * 128 < (std::int64_t{1} << 30) * 1,
    "an accumulator has 30 bits for products, so that a bias of 30 bits never overflows it");

constexpr int round_up(int value, int multiple) {
  return (value + multiple - 1) / multiple * multiple;
}
constexpr int divide_up(int value, int divisor) {
  return (value + divisor - 1) / divisor;
}

/// Channels of a hidden map as stored.
constexpr int stored_channels(int channels) {
  return round_up(channels, pe);
}
/// Output tiles of a layer.
constexpr int tiles(int channels) {
  return divide_up(channels, pe);
}
/// Bytes of one row as stored; `channels` as stored.
constexpr int row_bytes(int width, int channels) {
  return round_up(width * channels, simd);
}
/// simd-byte words of one image; the rest of its last burst is padding.
constexpr int image_words(int height, int width, int channels) {
  return height * row_bytes(width, channels) / simd;
}
/// Bytes from one image to the next.
constexpr int image_bytes(int height, int width, int channels) {
  return round_up(height * row_bytes(width, channels), burst_bytes);
}
/// simd-byte words of one kernel row of a convolution.
constexpr int window_row_words(int kernel, int channels) {
  return divide_up(kernel * channels, simd);
}
/// simd-byte words of a whole window.
constexpr int window_words(int kernel, int channels) {
  return kernel * window_row_words(kernel, channels);
}
/// Extent of a convolution's or a pool's output along one axis.
constexpr int output_extent(int extent, int kernel, int stride, int padding) {
  return (extent + 2 * padding - kernel) / stride + 1;
}

constexpr int weight_word_bytes = simd * pe;
constexpr int parameter_tile_bytes = 3 * pe * 4;
static_assert(parameter_tile_bytes % burst_bytes == 0, "parameters of a tile are whole bursts");

}  // namespace int8
}  // namespace dovetail
