// The Verilog units under Verilator: same bits as the twins under random back-pressure and as the
// HLS units on the same vectors, and the cycles that the cost model says.
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "activation.hpp"
#include "cost/cycles.hpp"
#include "cost/rtl_cases.hpp"
#include "matrix_vector.hpp"
#include "mvau_binary.h"
#include "mvau_int8.h"
#include "support/text.hpp"

namespace dovetail::cost {
namespace {

std::uint64_t fresh_seed() {
  return std::random_device{}();
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

/// The signed number in `bits` bits of a word.
int number_at(const Bits& word, std::size_t at, int bits) {
  int value = 0;
  for (int i = 0; i < bits; ++i) {
    const int weight = i + 1 == bits ? -(1 << i) : 1 << i;
    if (word[at + static_cast<std::size_t>(i)]) value += weight;
  }
  return value;
}

void set_bit(engine::Chunk& chunk, std::size_t bit) {
  chunk.byte[bit / 8] = static_cast<std::uint8_t>(chunk.byte[bit / 8] | 1 << bit % 8);
}

/// The same case through the HLS matrix-vector unit and its thresholds: 64 lanes and 32 outputs are
/// one word and one tile there.
Words hls_outputs(const BinaryCase& test, int vectors) {
  using namespace binary;
  static_assert(simd * words == engine::simd(1) && pe * tiles == engine::pe);
  engine::ChunkStream codes, marks, results;
  engine::WeightStream<1> weights;
  engine::ParameterStream parameters;
  engine::AccumulatorStream sums;
  engine::WeightWord<1> weight = {};
  engine::ParameterField no_complement = {}, limits = {};
  for (int o = 0; o < engine::pe; ++o) {
    const auto p = static_cast<std::size_t>(o % pe), t = static_cast<std::size_t>(o / pe);
    limits.value[o] = number_at(test.limits[t], p * accumulator, accumulator);
    for (std::size_t i = 0; i < std::size_t{simd} * words; ++i) {
      if (test.weights[t * words + i / simd][p * simd + i % simd])
        weight.plane[0][o] |= std::uint64_t{1} << i;
    }
  }
  weights.write(weight);
  parameters.write(no_complement);
  parameters.write(limits);
  for (std::size_t n = 0; n < static_cast<std::size_t>(vectors); ++n) {
    engine::Chunk code = {}, mark = {};
    for (std::size_t i = 0; i < std::size_t{simd} * words; ++i) {
      set_bit(mark, i);
      if (test.inputs[n * words + i / simd][i % simd]) set_bit(code, i);
    }
    codes.write(code);
    marks.write(mark);
  }
  engine::matrix_vector<1>(codes, marks, weights, sums, {vectors, 1, simd * words, 1, 1});
  engine::activate(sums, parameters, results, {vectors, 1, 1, 1, 0});
  Words outputs;
  for (int n = 0; n < vectors; ++n) {
    const engine::Chunk code = results.read();
    for (int t = 0; t < tiles; ++t) {
      Bits& bits = outputs.emplace_back();
      for (int o = t * pe; o < (t + 1) * pe; ++o)
        bits.push_back((code.byte[o / 8] >> o % 8 & 1) != 0);
    }
  }
  return outputs;
}

/// Likewise; of the tile's 32 outputs the unit in Verilog has eight.
Words hls_outputs(const Int8Case& test, int vectors) {
  using namespace bytes;
  constexpr int lanes = simd * words, hls_words = lanes / engine::simd(8);
  engine::ChunkStream codes, marks;
  engine::WeightStream<8> weights;
  engine::AccumulatorStream sums;
  for (int w = 0; w < hls_words; ++w) {
    engine::WeightWord<8> word = {};
    for (int l = 0; l < engine::simd(8); ++l) {
      const auto i = static_cast<std::size_t>(w * engine::simd(8) + l);
      for (std::size_t o = 0; o < std::size_t{pe} * tiles; ++o) {
        const Bits& from = test.weights[o / pe * words + i / simd];
        word.value[l][o] =
            static_cast<std::int8_t>(number_at(from, (o % pe * simd + i % simd) * 8, 8));
      }
    }
    weights.write(word);
  }
  for (std::size_t n = 0; n < static_cast<std::size_t>(vectors); ++n) {
    for (std::size_t first = 0; first < lanes; first += engine::chunk_bytes) {
      engine::Chunk chunk;
      for (std::size_t b = 0; b < engine::chunk_bytes; ++b) {
        const std::size_t i = first + b;
        chunk.byte[b] = static_cast<std::uint8_t>(
            number_at(test.inputs[n * words + i / simd], i % simd * 8, 8));
      }
      codes.write(chunk);
    }
  }
  engine::matrix_vector<8>(codes, marks, weights, sums,
                           {vectors, lanes / engine::chunk_bytes, lanes, 8, 1});
  Words outputs;
  for (int n = 0; n < vectors; ++n) {
    const engine::Accumulators sum = sums.read();
    for (int t = 0; t < tiles; ++t) {
      Bits& bits = outputs.emplace_back();
      for (int p = 0; p < pe; ++p) append(bits, sum.value[t * pe + p], accumulator);
    }
  }
  return outputs;
}

TEST(Rtl, UnitsHaveTheBitsOfTheHlsUnitsOnTheSameVectors) {
  const std::uint64_t seed = fresh_seed();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  SplitMix64 random(seed);
  const int vectors = 200;
  const BinaryCase binary_test = binary_case(vectors, random);
  const Words one_bit = hls_outputs(binary_test, vectors);
  EXPECT_EQ(simulate<mvau_binary>(binary_test.weights, &binary_test.limits, binary_test.inputs,
                                  one_bit.size(), binary::pe, 80, random)
                .outputs,
            one_bit);
  const Int8Case int8_test = int8_case(vectors, random);
  const Words accumulators = hls_outputs(int8_test, vectors);
  EXPECT_EQ(simulate<mvau_int8>(int8_test.weights, nullptr, int8_test.inputs, accumulators.size(),
                                std::size_t{bytes::pe} * bytes::accumulator, 80, random)
                .outputs,
            accumulators);
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
