// The Verilog units under Verilator: same bits as the twins under random back-pressure, and the
// cycles that the cost model says.
#include <gtest/gtest.h>
#include <verilated.h>

#include <cstdlib>
#include <memory>
#include <random>

#include "cost/cycles.hpp"
#include "mvau_binary.h"
#include "mvau_int8.h"
#include "support/random.hpp"
#include "support/text.hpp"

namespace dovetail::cost {
namespace {

using Bits = std::vector<bool>;
using Words = std::vector<Bits>;

template <typename Port>
void drive(Port& port, const Bits& bits) {
  port = 0;
  for (std::size_t i = 0; i < bits.size(); ++i)
    port = static_cast<Port>(port | (static_cast<Port>(bits[i]) << i));
}

template <std::size_t Count>
void drive(VlWide<Count>& port, const Bits& bits) {
  for (std::size_t w = 0; w < Count; ++w) port[w] = 0;
  for (std::size_t i = 0; i < bits.size(); ++i)
    port[i / 32] |= static_cast<EData>(bits[i]) << (i % 32);
}

template <typename Port>
bool bit_of(const Port& port, std::size_t i) {
  return (port >> i & 1) != 0;
}

template <std::size_t Count>
bool bit_of(const VlWide<Count>& port, std::size_t i) {
  return (port[i / 32] >> (i % 32) & 1) != 0;
}

void append(Bits& word, std::int64_t value, int bits) {
  for (int i = 0; i < bits; ++i) word.push_back((value >> i & 1) != 0);
}

/// A producer: once offered, a word stays until it is taken.
struct Source {
  const Words* words;
  std::size_t next = 0;
  bool offered = false;

  bool offer(SplitMix64& random, unsigned percent) {
    if (!offered && next < words->size()) offered = random.below(100) < percent;
    return offered;
  }
  void taken() {
    ++next;
    offered = false;
  }
};

struct Outcome {
  Words outputs;
  std::int64_t cycles = 0;  // from the first after the reset to the last output, both counted
};

template <typename Unit>
void clock(Unit& unit) {
  unit.clk = 1;
  unit.eval();
  unit.clk = 0;
  unit.eval();
}

/// Runs until `expected` outputs have left. `percent` is the chance that a producer offers, and
/// that the consumer is ready; 100: no stream ever waits for us. Thresholds only where the unit has
/// some.
template <typename Unit>
Outcome simulate(const Words& weights, const Words* limits, const Words& inputs,
                 std::size_t expected, std::size_t output_bits, unsigned percent,
                 SplitMix64& random) {
  VerilatedContext context;
  const auto unit = std::make_unique<Unit>(&context);
  unit->reset = 1;
  unit->clk = 0;
  clock(*unit);
  unit->reset = 0;
  Source weight{&weights}, limit{limits}, input{&inputs};
  Outcome outcome;
  const std::int64_t patience = 1'000'000;
  while (outcome.outputs.size() < expected && outcome.cycles < patience) {
    unit->weight_valid = weight.offer(random, percent);
    if (unit->weight_valid) drive(unit->weight_data, weights[weight.next]);
    unit->input_valid = input.offer(random, percent);
    if (unit->input_valid) drive(unit->input_data, inputs[input.next]);
    if constexpr (requires { unit->threshold_valid; }) {
      unit->threshold_valid = limit.offer(random, percent);
      if (unit->threshold_valid) drive(unit->threshold_data, (*limits)[limit.next]);
    }
    unit->output_ready = random.below(100) < percent;
    unit->eval();
    if (unit->weight_valid && unit->weight_ready) weight.taken();
    if (unit->input_valid && unit->input_ready) input.taken();
    if constexpr (requires { unit->threshold_valid; }) {
      if (unit->threshold_valid && unit->threshold_ready) limit.taken();
    }
    if (unit->output_valid && unit->output_ready) {
      Bits word;
      for (std::size_t i = 0; i < output_bits; ++i) word.push_back(bit_of(unit->output_data, i));
      outcome.outputs.push_back(std::move(word));
    }
    clock(*unit);
    ++outcome.cycles;
  }
  unit->final();
  return outcome;
}

std::uint64_t fresh_seed() {
  return std::random_device{}();
}

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
BinaryCase binary_case(int vectors, SplitMix64& random) {
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
Int8Case int8_case(int vectors, SplitMix64& random) {
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

void expect_within_two_percent(std::int64_t measured, std::int64_t modelled) {
  EXPECT_LE(std::abs(measured - modelled) * 50, measured)
      << measured << " cycles counted, " << modelled << " modelled";
}

TEST(Rtl, BinaryUnitHasTheTwinsBitsUnderBackPressure) {
  const std::uint64_t seed = fresh_seed();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  SplitMix64 random(seed);
  for (const unsigned percent : {100u, 70u, 20u}) {
    const BinaryCase test = binary_case(200, random);
    const Outcome outcome = simulate<mvau_binary>(
        test.weights, &test.limits, test.inputs, test.expected.size(), binary::pe, percent, random);
    EXPECT_EQ(outcome.outputs, test.expected) << percent << " % ready";
  }
}

TEST(Rtl, Int8UnitHasTheTwinsBitsUnderBackPressure) {
  const std::uint64_t seed = fresh_seed();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  SplitMix64 random(seed);
  for (const unsigned percent : {100u, 70u, 20u}) {
    const Int8Case test = int8_case(200, random);
    const Outcome outcome =
        simulate<mvau_int8>(test.weights, nullptr, test.inputs, test.expected.size(),
                            std::size_t{bytes::pe} * bytes::accumulator, percent, random);
    EXPECT_EQ(outcome.outputs, test.expected) << percent << " % ready";
  }
}

TEST(Rtl, CyclesOfTheBinaryUnitAreTheModels) {
  SplitMix64 random(1);
  for (const int vectors : {8, 100, 600}) {
    const BinaryCase test = binary_case(vectors, random);
    const Outcome outcome = simulate<mvau_binary>(test.weights, &test.limits, test.inputs,
                                                  test.expected.size(), binary::pe, 100, random);
    // The thresholds add a register.
    expect_within_two_percent(outcome.cycles,
                              matrix_vector_launch(binary::tiles, binary::words, vectors) + 1);
  }
}

TEST(Rtl, CyclesOfTheInt8UnitAreTheModels) {
  SplitMix64 random(1);
  for (const int vectors : {8, 100, 600}) {
    const Int8Case test = int8_case(vectors, random);
    const Outcome outcome =
        simulate<mvau_int8>(test.weights, nullptr, test.inputs, test.expected.size(),
                            std::size_t{bytes::pe} * bytes::accumulator, 100, random);
    expect_within_two_percent(outcome.cycles,
                              matrix_vector_launch(bytes::tiles, bytes::words, vectors));
  }
}

}  // namespace
}  // namespace dovetail::cost
