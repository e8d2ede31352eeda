// How feature maps, gradients and weights of the training kernels lie in an FPGA card's memory, and
// what the kernels can take.
//
// C++14: the engine and the HLS kernels agree through this one header.
//
// A word is `simd` consecutive channels of one position. Maps are [image][row][column][word]: every
// position has its channels padded to whole words (hidden maps to whole tiles), and every image
// starts on a burst. A burst holds as many words as fit whole. A dense layer is a convolution of a
// 1 × 1 map; the map before it is taken as one position with the channels [row][column][channel].
// Real maps hold the same words as float32, one word a burst; routes hold them as int8. Weights:
// [output tile][word of the window][simd inputs][pe outputs], a window's words being [kernel
// row][kernel column][word]. Weight gradients lie likewise in float32.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dovetail {
namespace training {

// Folding: pe outputs × simd inputs are multiplied a cycle.
constexpr int pe = 32;
constexpr int simd = 16;
constexpr int burst_bytes = 64;  // one 512-bit AXI word
constexpr int words_per_tile = pe / simd;
static_assert(pe == 2 * simd, "a tile of outputs is two words of the next layer's inputs");
static_assert(simd * 4 == burst_bytes, "a word of float32 fills one burst");

// Maxima of the kernels' on-chip buffers.
constexpr int max_kernel = 7;            // rows and columns of a window
constexpr int max_row_words = 2048;      // of one row of a map
constexpr int max_vector_words = 2048;   // of one window
constexpr int max_weight_words = 2048;   // simd × pe weights a layer: 1,048,576 weights
constexpr int max_forward_words = 4096;  // the same where no gradient is asked for
constexpr int max_positions = 131072;    // of all maps that one launch sums over
constexpr int max_tiles = 64;            // 2,048 outputs
constexpr int max_pool = 7;              // rows and columns of a pool's window
constexpr int max_image_bytes = 65536;   // of the network's input, as uint8
constexpr int max_input_channels = 4;

/// A route says which element of its pool's window a gradient goes back to, or that it stops there.
constexpr std::int8_t route_stopped = -1;
static_assert(max_pool * max_pool <= 127, "a route is an int8");

constexpr int divide_up(int value, int divisor) {
  return (value + divisor - 1) / divisor;
}
/// Words of one position of a map with so many channels.
constexpr int channel_words(int channels) {
  return divide_up(channels, simd);
}
/// Output tiles of a layer; its output has words_per_tile · tiles words a position.
constexpr int output_tiles(int channels) {
  return divide_up(channels, pe);
}
/// Extent of a convolution's output along one axis.
constexpr int output_extent(int extent, int kernel, int stride, int padding) {
  return (extent + 2 * padding - kernel) / stride + 1;
}

// A family stores elements of its own size.
constexpr int bursts_for(int words, int words_per_burst) {
  return divide_up(words, words_per_burst);
}

}  // namespace training
}  // namespace dovetail
