// Cycle formulas of the units, for one image.
#pragma once

#include <algorithm>
#include <cstdint>

namespace dovetail::cost {

constexpr std::int64_t divide_up(std::int64_t value, std::int64_t divisor) {
  return (value + divisor - 1) / divisor;
}

/// From the begin of a loop's turn to its end, which a pipelined loop takes once more each time
/// that it is entered. An assumption: no tool has said it (hls/engine/README.md expects ten to
/// thirty).
inline constexpr std::int64_t assumed_loop_depth = 20;

/// A stage's pipelined loops: their turns, each of so many cycles as its II, and how many times one
/// of them is entered.
struct Loops {
  std::int64_t cycles = 0, entries = 0;

  std::int64_t with_depth() const { return cycles + entries * assumed_loop_depth; }
  friend Loops operator+(Loops a, Loops b) { return {a.cycles + b.cycles, a.entries + b.entries}; }
  friend Loops operator-(Loops a, Loops b) { return {a.cycles - b.cycles, a.entries - b.entries}; }
  friend Loops operator*(std::int64_t times, Loops a) {
    return {times * a.cycles, times * a.entries};
  }
  bool operator==(const Loops&) const = default;
};

/// Registers from the first word of a vector to its first accumulators: issue, product, sum,
/// output. tests/cost/rtl_test.cpp holds this against the Verilog.
constexpr std::int64_t matrix_vector_latency = 3;

/// `tiles` × `words` for each vector (FINN: (MH/P)·(MW/Q)·vectors).
constexpr std::int64_t matrix_vector_cycles(std::int64_t tiles, std::int64_t words,
                                            std::int64_t vectors) {
  return tiles * words * vectors;
}

/// A launch of the Verilog unit: the weights arrive word by word, then the vectors.
constexpr std::int64_t matrix_vector_launch(std::int64_t tiles, std::int64_t words,
                                            std::int64_t vectors) {
  return tiles * words + matrix_vector_cycles(tiles, words, vectors) + matrix_vector_latency;
}

/// FINN's sliding window (ConvolutionInputGenerator): W_in·k·(C/Q) to fill, then a row of windows
/// while the next rows arrive. `padded_width` includes both paddings.
constexpr std::int64_t window_cycles(std::int64_t padded_width, std::int64_t channels,
                                     std::int64_t kernel, std::int64_t stride,
                                     std::int64_t out_height, std::int64_t out_width,
                                     std::int64_t simd) {
  const std::int64_t depth = channels / simd;
  return padded_width * kernel * depth +
         out_height * std::max(out_width * kernel * kernel * depth, stride * padded_width * depth);
}

}  // namespace dovetail::cost
