// Primitives that the units take, after FINN's formulas with our own calibration
// (docs/cost-model.md).
#pragma once

#include "cost/arithmetic.hpp"
#include "cost/card.hpp"

namespace dovetail::cost {

/// pe output channels × simd inputs a cycle. For a pool: simd channels a cycle, pe = 1.
struct Folding {
  int pe = 1;
  int simd = 1;
  bool operator==(const Folding&) const = default;
};

/// LUTs of the matrix-vector unit without its memories and activation: FINN's structure with the
/// LUTs of a product as Yosys counts them in hls/rtl/, or FINN's own where that format was not
/// counted.
std::int64_t product_luts(const Operands& operands, Folding folding, int accumulator_bits);
/// FINN's formula as it stands (Blott et al., FINN-R, 2018; MVAU.lut_estimation), for the
/// comparison in docs/cost-model.md.
std::int64_t product_luts_by_finn(const Operands& operands, Folding folding, int accumulator_bits);
std::int64_t product_dsps(const Operands& operands, Folding folding);

/// BRAM18 of a memory: the cheapest of the block's shapes, 16384 × 1 … 1024 × 18, and 512 × 36 with
/// a port that reads and one that writes, but not where `two_reads` take both ports in one cycle
/// (UG573, "Block RAM"). Two of them are a RAMB36.
std::int64_t bram18_of(std::int64_t depth, std::int64_t width, bool two_reads = false);
/// UltraRAM has one shape, 4096 × 72, and two ports, each of which reads or writes (UG573,
/// "UltraRAM").
std::int64_t uram_of(std::int64_t depth, std::int64_t width);
/// Deeper LUT RAM needs read multiplexers, and only half of the slices have it.
inline constexpr std::int64_t deepest_lut_ram = 128;
/// As LUT RAM (up to 128 deep, as in FINN), block RAM or UltraRAM: whichever takes the smallest
/// share of the card.
Resources memory(const Card& card, std::int64_t depth, std::int64_t width);

/// Thresholds, or requantisation of a tile in `interval` cycles, without the parameters' memory.
Resources activation_logic(const Operands& operands, int pe, int accumulator_bits,
                           std::int64_t interval);
/// Products, their weights on chip, thresholds or requantisation with their memory.
/// @param words  SIMD words of a vector; @param tiles PE tiles of the matrix.
/// @param weight_depth words of PE × SIMD weights that the memory holds.
Resources matrix_vector_unit(const Card& card, const Operands& operands, Folding folding,
                             int accumulator_bits, std::int64_t words, std::int64_t tiles,
                             std::int64_t weight_depth);
/// LUTs of a Realigner of chunks of so many bits (hls/memory.hpp), after Yosys' count of
/// hls/rtl/realigner.v for 128 bits.
std::int64_t realigner_luts(std::int64_t chunk_bits);
/// LUTs that let `streams` streams read lines of such chunks from any byte: what fills the lines,
/// and a funnel shifter and a Realigner for each stream; after the counts of hls/rtl/line_filler.v
/// and funnel.v.
std::int64_t shifter_luts(std::int64_t chunk_bits, int streams);
/// Counters of row, column, tap and word with their comparisons; FINN uses the same constant.
inline constexpr std::int64_t window_control_luts = 300;
/// Line buffer of `rows` image rows and its control; `bits` of an element.
Resources window_unit(const Card& card, std::int64_t row_elements, int rows, int simd, int bits);
/// Comparisons of `bits` bits in all and counters.
std::int64_t pool_luts(std::int64_t bits);
/// The same of hls/engine/max_pool.cpp: maxima over rows and then over columns, each of codes of
/// any width.
std::int64_t engine_pool_luts(std::int64_t bits);
/// Maximum over windows, `lanes` channels a cycle.
Resources pool_unit(const Card& card, std::int64_t row_elements, int rows, int lanes, int bits);

}  // namespace dovetail::cost
