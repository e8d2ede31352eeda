// Random cases for the Verilog units, with their results by plain loops.
#pragma once

#include "cost/rtl_simulation.hpp"

namespace dovetail::cost {

// The parameters with which the units are verilated: their defaults.
namespace binary {
constexpr int pe = 8, simd = 16, words = 4, tiles = 4, accumulator = 8;
}
namespace bytes {
constexpr int pe = 4, simd = 8, words = 4, tiles = 2, accumulator = 32;
}

struct BinaryCase {
  Words weights, limits, inputs, expected;
};

/// The twin: y = (Σ w·x ≥ threshold), all of {−1, +1}.
inline BinaryCase binary_case(int vectors, SplitMix64& random) {
  using namespace binary;
  constexpr int in = simd * words, out = pe * tiles;
  const auto sign = [&] { return random.below(2) == 1 ? 1 : -1; };
  std::vector<int> w(static_cast<std::size_t>(in * out)), x(static_cast<std::size_t>(in)), limit;
  for (int& value : w) value = sign();
  for (int o = 0; o < out; ++o) limit.push_back(static_cast<int>(random.below(41)) - 20);
  const auto at = [&](int o, int i) { return w[static_cast<std::size_t>(o * in + i)]; };
  BinaryCase test;
  for (int t = 0; t < tiles; ++t) {
    for (int word = 0; word < words; ++word) {
      Bits& bits = test.weights.emplace_back();
      for (int p = 0; p < pe; ++p) {
        for (int l = 0; l < simd; ++l) bits.push_back(at(t * pe + p, word * simd + l) > 0);
      }
    }
    Bits& bits = test.limits.emplace_back();
    for (int p = 0; p < pe; ++p)
      append(bits, limit[static_cast<std::size_t>(t * pe + p)], accumulator);
  }
  for (int n = 0; n < vectors; ++n) {
    for (int& value : x) value = sign();
    for (int word = 0; word < words; ++word) {
      Bits& bits = test.inputs.emplace_back();
      for (int l = 0; l < simd; ++l)
        bits.push_back(x[static_cast<std::size_t>(word * simd + l)] > 0);
    }
    for (int t = 0; t < tiles; ++t) {
      Bits& bits = test.expected.emplace_back();
      for (int p = 0; p < pe; ++p) {
        int sum = 0;
        for (int i = 0; i < in; ++i) sum += at(t * pe + p, i) * x[static_cast<std::size_t>(i)];
        bits.push_back(sum >= limit[static_cast<std::size_t>(t * pe + p)]);
      }
    }
  }
  return test;
}

struct Int8Case {
  Words weights, inputs, expected;
};

/// The twin: accumulators of plain int32 sums. Weights lie in ±127; the extremes come up often.
inline Int8Case int8_case(int vectors, SplitMix64& random) {
  using namespace bytes;
  constexpr int in = simd * words, out = pe * tiles;
  const auto draw = [&](int lowest) {
    const std::uint64_t kind = random.below(8);
    if (kind == 0) return lowest;
    if (kind == 1) return 127;
    return static_cast<int>(random.below(static_cast<std::uint64_t>(128 - lowest))) + lowest;
  };
  std::vector<std::int8_t> w, x;
  for (int i = 0; i < in * out; ++i) w.push_back(static_cast<std::int8_t>(draw(-127)));
  for (int i = 0; i < in * vectors; ++i) x.push_back(static_cast<std::int8_t>(draw(-128)));
  Int8Case test;
  for (int t = 0; t < tiles; ++t) {
    for (int word = 0; word < words; ++word) {
      Bits& bits = test.weights.emplace_back();
      for (int p = 0; p < pe; ++p) {
        for (int l = 0; l < simd; ++l)
          append(bits, w[static_cast<std::size_t>((t * pe + p) * in + word * simd + l)], 8);
      }
    }
  }
  for (int n = 0; n < vectors; ++n) {
    for (int word = 0; word < words; ++word) {
      Bits& bits = test.inputs.emplace_back();
      for (int l = 0; l < simd; ++l)
        append(bits, x[static_cast<std::size_t>(n * in + word * simd + l)], 8);
    }
    for (int t = 0; t < tiles; ++t) {
      Bits& bits = test.expected.emplace_back();
      for (int p = 0; p < pe; ++p) {
        std::int32_t sum = 0;
        for (int i = 0; i < in; ++i) {
          sum += w[static_cast<std::size_t>((t * pe + p) * in + i)] *
                 x[static_cast<std::size_t>(n * in + i)];
        }
        append(bits, sum, accumulator);
      }
    }
  }
  return test;
}

}  // namespace dovetail::cost
