// Drives a Verilog unit that Verilator has compiled: words of bits over valid/ready streams.
#pragma once

#include <verilated.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "support/random.hpp"

namespace dovetail::cost {

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

inline void append(Bits& word, std::int64_t value, int bits) {
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

}  // namespace dovetail::cost
