// The resource formulas.
#include "cost/resources.hpp"

#include <algorithm>

#include "cost/cycles.hpp"

namespace dovetail::cost {
namespace {

bool in_dsp(const Operands& operands) {
  return operands.multiplier == Multiplier::dsp || operands.multiplier == Multiplier::dsp_pair;
}

struct Terms {
  double product = 0, tree = 0;
};

/// FINN's LUTs of one output channel: simd products, and the tree that adds them.
Terms finn_terms(const Operands& o, int simd) {
  const int bits = o.weight_bits + o.input_bits;
  const auto lanes = static_cast<double>(simd);
  const double product =
      in_dsp(o) ? 0 : lanes * (2 * static_cast<double>(divide_up(bits, 6)) - 1) * bits;
  return {product, bits * (2 * lanes - 1)};
}

/// LUTs of one product with its share of the adder tree, fitted to Yosys' counts of hls/rtl/mvau.v
/// (tests/cost/primitives.csv).
struct Calibrated {
  int weight_bits, input_bits;
  double luts;
};
constexpr Calibrated calibrated[] = {{1, 1, 2.1},  {1, 2, 11.1}, {1, 4, 17.0}, {1, 8, 30.6},
                                     {2, 2, 13.8}, {2, 4, 21.6}, {2, 8, 35.8}, {4, 4, 36.9},
                                     {4, 8, 70.0}, {8, 8, 32.0}};

/// Where nothing was counted FINN's terms stand as they are.
double luts_of_products(const Operands& o, int simd) {
  for (const Calibrated& row : calibrated) {
    if (row.weight_bits == o.weight_bits && row.input_bits == o.input_bits) return row.luts * simd;
  }
  const Terms terms = finn_terms(o, simd);
  return terms.product + terms.tree;
}

constexpr double control_luts = 40;  // fold counters and handshakes, by the same counts
constexpr double block_alignment_luts =
    150;  // exponent adder and shifter of a channel; not calibrated
constexpr std::int64_t requantise_dsps = 4;    // 32 × 32 bits
constexpr std::int64_t requantise_luts = 250;  // shift, rounding, clamp; not calibrated

/// Yosys' LUTs of the circuits in hls/rtl that move the bytes of chunks, for chunks of 128 bits. A
/// chunk of one byte moves nothing.
constexpr std::int64_t counted_bits = 128;
constexpr std::int64_t funnel_luts = 280, counted_realigner_luts = 737, line_filler_luts = 466;

std::int64_t scaled(std::int64_t luts, std::int64_t chunk_bits) {
  return chunk_bits > 8 ? divide_up(luts * chunk_bits, counted_bits) : 0;
}

/// Thresholds or requantisation with the memory of their parameters.
Resources activation(const Card& card, const Operands& o, int pe, int accumulator_bits,
                     std::int64_t words, std::int64_t tiles) {
  if (o.output_bits == 0) return {};
  const std::int64_t fields = o.thresholds ? ((std::int64_t{1} << o.output_bits) - 1) : 3;
  const std::int64_t bits = o.thresholds ? accumulator_bits : 32;
  // A tile leaves every `words` cycles.
  return memory(card, tiles, fields * bits * pe) + activation_logic(o, pe, accumulator_bits, words);
}

}  // namespace

std::int64_t product_luts_by_finn(const Operands& o, Folding folding, int accumulator_bits) {
  const Terms terms = finn_terms(o, folding.simd);
  return static_cast<std::int64_t>(300 + 1.1 * folding.pe *
                                             (terms.product + terms.tree + accumulator_bits));
}

std::int64_t product_luts(const Operands& o, Folding folding, int accumulator_bits) {
  if (o.multiplier == Multiplier::bit_serial) {
    // A counter of XNORs for each plane of the weights; then the planes of both are added up.
    const double plane = calibrated[0].luts * folding.simd + accumulator_bits;
    return static_cast<std::int64_t>(control_luts +
                                     folding.pe * (o.weight_bits * plane + accumulator_bits));
  }
  const double align = o.block_exponent ? block_alignment_luts : 0;
  const double channel = luts_of_products(o, folding.simd) + accumulator_bits + align;
  return static_cast<std::int64_t>(control_luts + folding.pe * channel);
}

std::int64_t product_dsps(const Operands& o, Folding folding) {
  const std::int64_t products = std::int64_t{folding.pe} * folding.simd;
  if (o.multiplier == Multiplier::dsp) return products;
  if (o.multiplier == Multiplier::dsp_pair) return divide_up(folding.pe, 2) * folding.simd;
  return 0;
}

Resources activation_logic(const Operands& o, int pe, int accumulator_bits, std::int64_t interval) {
  if (o.output_bits == 0) return {};
  if (o.thresholds)
    return {.lut = ((std::int64_t{1} << o.output_bits) - 1) * accumulator_bits * pe};
  // A requantiser serves as many channels in turn as a tile has cycles.
  const std::int64_t units = divide_up(pe, interval);
  return {.lut = units * requantise_luts, .dsp = units * requantise_dsps};
}

std::int64_t bram18_of(std::int64_t depth, std::int64_t width, bool two_reads) {
  constexpr std::int64_t shapes[][2] = {{16384, 1}, {8192, 2}, {4096, 4}, {2048, 9}, {1024, 18}};
  constexpr std::int64_t simple_dual_port[2] = {512, 36};
  const auto blocks = [&](const std::int64_t(&shape)[2]) {
    return divide_up(depth, shape[0]) * divide_up(width, shape[1]);
  };
  std::int64_t least = two_reads ? blocks(shapes[0]) : blocks(simple_dual_port);
  for (const auto& shape : shapes) least = std::min(least, blocks(shape));
  return least;
}

std::int64_t uram_of(std::int64_t depth, std::int64_t width) {
  return divide_up(width, 72) * divide_up(depth, 4096);
}

Resources memory(const Card& card, std::int64_t depth, std::int64_t width) {
  const Resources lut_ram{.lut = divide_up(depth, 64) * width};
  const Resources bram{.bram18 = bram18_of(depth, width)};
  const Resources uram{.uram = uram_of(depth, width)};
  const Resources& block = card.share(bram) <= card.share(uram) ? bram : uram;
  return depth <= deepest_lut_ram && card.share(lut_ram) <= card.share(block) ? lut_ram : block;
}

Resources matrix_vector_unit(const Card& card, const Operands& o, Folding folding,
                             int accumulator_bits, std::int64_t words, std::int64_t tiles,
                             std::int64_t weight_depth) {
  Resources used{.lut = product_luts(o, folding, accumulator_bits),
                 .dsp = product_dsps(o, folding)};
  used += memory(card, weight_depth, std::int64_t{folding.pe} * folding.simd * o.weight_bits);
  used += memory(card, words, std::int64_t{folding.simd} * o.input_bits);
  return used + activation(card, o, folding.pe, accumulator_bits, words, tiles);
}

std::int64_t realigner_luts(std::int64_t chunk_bits) {
  return scaled(counted_realigner_luts, chunk_bits);
}

std::int64_t shifter_luts(std::int64_t chunk_bits, int streams) {
  return scaled(line_filler_luts + streams * (funnel_luts + counted_realigner_luts), chunk_bits);
}

Resources window_unit(const Card& card, std::int64_t row_elements, int rows, int simd, int bits) {
  Resources used{.lut = window_control_luts};
  return used + memory(card, rows * divide_up(row_elements, simd), std::int64_t{simd} * bits);
}

std::int64_t pool_luts(std::int64_t bits) {
  return 200 + 2 * bits;  // a comparison takes half a LUT a bit, a choice another; plus counters
}

std::int64_t engine_pool_luts(std::int64_t bits) {
  // Fields of 2, 4 and 8 bits are compared, half a LUT a bit each; of two bits one LUT takes the
  // answer of their width, and another of each bit chooses, or joins codes of 1 bit.
  constexpr std::int64_t stages = 2, luts_of_two_bits = 3 + 1 + 2;
  return 200 + stages * divide_up(luts_of_two_bits * bits, 2);
}

Resources pool_unit(const Card& card, std::int64_t row_elements, int rows, int lanes, int bits) {
  Resources used{.lut = pool_luts(std::int64_t{lanes} * bits)};
  return used + memory(card, rows * divide_up(row_elements, lanes), std::int64_t{lanes} * bits);
}

}  // namespace dovetail::cost
