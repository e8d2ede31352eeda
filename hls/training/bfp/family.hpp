// Family bfp of the training kernels: block floating point with mantissas of 2 to 8 bits, 16 under
// one exponent, along the dimension that is summed.
//
// A block's products are summed as integers, blocks as float32 in the order in which they come.
#pragma once

#include "numeric/shared_exponent.hpp"
#include "training/real.hpp"

namespace dovetail {
namespace training {

static_assert(simd == numeric::shared_block, "a word is a block");

struct Family {
  /// A word of a map: simd channels of one position, value · 2^exponent.
  struct Word {
    std::int8_t value[simd];
    std::int8_t exponent;
  };
  /// The weights of one cycle: simd inputs × pe outputs, a block an output.
  struct Square {
    std::int8_t value[simd][pe];
    std::int8_t exponent[pe];
  };
  /// A word as the multipliers take it: on the card only its sign bits repeated.
  struct Operand {
    std::int16_t value[simd];
    std::int32_t exponent;
  };
  struct Sums {
    float value[pe];
  };

  /// From one addition to a sum to the next: the order of the blocks is the law, so the latency of
  /// a float32 adder at 300 MHz. An estimate.
  static constexpr int add_cycles = 8;

  static Operand operand(const Word& word) {
#pragma HLS inline
    Operand wide;
    wide.exponent = word.exponent;
    for (int l = 0; l < simd; ++l) {
#pragma HLS unroll
      wide.value[l] = word.value[l];
    }
    return wide;
  }

  static Word ones() {
    Word word = {};
    for (int l = 0; l < simd; ++l) word.value[l] = 1;
    return word;
  }

  static Word block(const RealWord& real, const Rounding& rounding, std::uint32_t counter) {
#pragma HLS inline
    std::uint32_t largest = 0;
    for (int l = 0; l < simd; ++l) {
#pragma HLS unroll
      const std::uint32_t magnitude = numeric::magnitude_bits(real.value[l]);
      largest = magnitude > largest ? magnitude : largest;
    }
    const std::int32_t exponent = numeric::exponent_for(largest, rounding.bits);
    const float inverse = numeric::power_of_two(-exponent);
    const std::int32_t largest_code = numeric::largest_code(rounding.bits);
    std::uint32_t thresholds[simd];
    rounding.thresholds(counter, thresholds);
    Word word;
    word.exponent = static_cast<std::int8_t>(exponent);
    for (int l = 0; l < simd; ++l) {
#pragma HLS unroll
      word.value[l] = static_cast<std::int8_t>(
          numeric::quantise_real(real.value[l] * inverse, thresholds[l], largest_code));
    }
    return word;
  }

  static Word quantise(const RealWord& real, const Rounding& rounding, std::uint32_t counter) {
#pragma HLS inline
    return block(real, rounding, counter);
  }

  /// out[l] is a block of what stood in lane l of the blocks `in`.
  static void transpose(const Word (&in)[simd], Word (&out)[simd], const Rounding& rounding,
                        std::uint32_t counter) {
    RealWord turned[simd];
    for (int r = 0; r < simd; ++r) {
#pragma HLS unroll
      const float scale = numeric::power_of_two(in[r].exponent);
      for (int l = 0; l < simd; ++l) {
#pragma HLS unroll
        turned[l].value[r] = static_cast<float>(in[r].value[l]) * scale;
      }
    }
    for (int l = 0; l < simd; ++l) {
#pragma HLS unroll
      out[l] = block(turned[l], rounding, counter + static_cast<std::uint32_t>(l * simd));
    }
  }

  static void set_columns(const Word (&columns)[simd], int first, Square& square) {
#pragma HLS inline
    for (int l = 0; l < simd; ++l) {
#pragma HLS unroll
      for (int r = 0; r < simd; ++r) {
#pragma HLS unroll
        square.value[r][first + l] = columns[l].value[r];
      }
      square.exponent[first + l] = columns[l].exponent;
    }
  }

  static void get_columns(const Square& square, int first, Word (&columns)[simd]) {
#pragma HLS inline
    for (int l = 0; l < simd; ++l) {
#pragma HLS unroll
      for (int r = 0; r < simd; ++r) {
#pragma HLS unroll
        columns[l].value[r] = square.value[r][first + l];
      }
      columns[l].exponent = square.exponent[first + l];
    }
  }

  static void multiply_accumulate(const Operand& x, const Square& w, Sums& sums) {
#pragma HLS inline
    std::int32_t dot[pe] = {};
    for (int l = 0; l < simd; l += 2) {
#pragma HLS unroll
      for (int p = 0; p < pe; ++p) {
#pragma HLS unroll
        const std::int16_t even = static_cast<std::int16_t>(w.value[l][p] * x.value[l]);
        const std::int16_t odd = static_cast<std::int16_t>(w.value[l + 1][p] * x.value[l + 1]);
        dot[p] += static_cast<std::int16_t>(even + odd);
      }
    }
    for (int p = 0; p < pe; ++p) {
#pragma HLS unroll
      const float scale = numeric::power_of_two(x.exponent + w.exponent[p]);
      sums.value[p] += static_cast<float>(dot[p]) * scale;
    }
  }

  static RealTile to_real(const Sums& sums, float scale) {
#pragma HLS inline
    RealTile real;
    for (int p = 0; p < pe; ++p) {
#pragma HLS unroll
      real.value[p] = sums.value[p] * scale;
    }
    return real;
  }

  // A square in memory is its mantissas, then a burst with its exponents.
  static constexpr int mantissa_bursts = simd * pe / burst_bytes;
  static constexpr int square_bursts = mantissa_bursts + 1;
  struct SquareBurst {
    std::int8_t value[burst_bytes];
  };
  static void set_burst(const SquareBurst& burst, int part, Square& square) {
#pragma HLS inline
    if (part == mantissa_bursts) {
      for (int p = 0; p < pe; ++p) square.exponent[p] = burst.value[p];
      return;
    }
    for (int i = 0; i < burst_bytes; ++i) {
#pragma HLS unroll
      const int at = part * burst_bytes + i;
      square.value[at / pe][at % pe] = burst.value[i];
    }
  }
};

}  // namespace training
}  // namespace dovetail
