// The arithmetic of a family whose numbers are integers under one scale a tensor.
#pragma once

#include "training/real.hpp"

namespace dovetail {
namespace training {

/// Codes lie in ±(2^(bits−1) − 1), so that a sum of two products fits a Pair.
template <typename Element, typename Pair, typename Sum>
struct IntegerFamily {
  static_assert(2 * sizeof(Element) == sizeof(Pair), "two products fit in twice the bits");

  /// A word of a map: simd channels of one position.
  struct Word {
    Element value[simd];
  };
  /// The weights of one cycle: simd inputs × pe outputs.
  struct Square {
    Element value[simd][pe];
  };
  /// A word as the multipliers take it: on the card only its sign bits repeated.
  struct Operand {
    Pair value[simd];
  };
  /// pe accumulators, one an output.
  struct Sums {
    Sum value[pe];
  };

  static constexpr int add_cycles = 1;  // from one addition to a sum to the next

  static Operand operand(const Word& word) {
#pragma HLS inline
    Operand wide;
    for (int l = 0; l < simd; ++l) {
#pragma HLS unroll
      wide.value[l] = word.value[l];
    }
    return wide;
  }

  static Word ones() {
    Word word;
    for (int l = 0; l < simd; ++l) word.value[l] = 1;
    return word;
  }

  static Word quantise(const RealWord& real, const Rounding& rounding, std::uint32_t counter) {
#pragma HLS inline
    const std::int32_t largest = numeric::largest_code(rounding.bits);
    std::uint32_t thresholds[simd];
    rounding.thresholds(counter, thresholds);
    Word word;
    for (int l = 0; l < simd; ++l) {
#pragma HLS unroll
      word.value[l] = static_cast<Element>(
          numeric::quantise_real(real.value[l] * rounding.inverse, thresholds[l], largest));
    }
    return word;
  }

  /// out[l].value[r] = in[r].value[l].
  static void transpose(const Word (&in)[simd], Word (&out)[simd], const Rounding&, std::uint32_t) {
#pragma HLS inline
    for (int l = 0; l < simd; ++l) {
#pragma HLS unroll
      for (int r = 0; r < simd; ++r) {
#pragma HLS unroll
        out[l].value[r] = in[r].value[l];
      }
    }
  }

  /// Row r of a square takes lane r of each column: square.value[r][first + l] =
  /// columns[l].value[r].
  static void set_columns(const Word (&columns)[simd], int first, Square& square) {
#pragma HLS inline
    for (int r = 0; r < simd; ++r) {
#pragma HLS unroll
      for (int l = 0; l < simd; ++l) {
#pragma HLS unroll
        square.value[r][first + l] = columns[l].value[r];
      }
    }
  }

  /// The opposite of set_columns.
  static void get_columns(const Square& square, int first, Word (&columns)[simd]) {
#pragma HLS inline
    for (int l = 0; l < simd; ++l) {
#pragma HLS unroll
      for (int r = 0; r < simd; ++r) {
#pragma HLS unroll
        columns[l].value[r] = square.value[r][first + l];
      }
    }
  }

  /// sums[p] += Σ_l x[l] · w[l][p]: pe × simd multiplications, one cycle on the card. Products are
  /// added in pairs first, in half the bits of a sum, which doubles a host's vector lanes.
  static void multiply_accumulate(const Operand& x, const Square& w, Sums& sums) {
#pragma HLS inline
    for (int l = 0; l < simd; l += 2) {
#pragma HLS unroll
      for (int p = 0; p < pe; ++p) {
#pragma HLS unroll
        const Pair even = static_cast<Pair>(w.value[l][p] * x.value[l]);
        const Pair odd = static_cast<Pair>(w.value[l + 1][p] * x.value[l + 1]);
        sums.value[p] += static_cast<Pair>(even + odd);
      }
    }
  }

  static RealTile to_real(const Sums& sums, float scale) {
#pragma HLS inline
    RealTile real;
    for (int p = 0; p < pe; ++p) {
#pragma HLS unroll
      real.value[p] = static_cast<float>(sums.value[p]) * scale;
    }
    return real;
  }

  // A square in memory is its elements in order.
  static constexpr int square_bursts = sizeof(Square) / burst_bytes;
  static_assert(sizeof(Square) % burst_bytes == 0, "a square is whole bursts");
  struct SquareBurst {
    Element value[burst_bytes / sizeof(Element)];
  };
  static void set_burst(const SquareBurst& burst, int part, Square& square) {
#pragma HLS inline
    constexpr int count = burst_bytes / sizeof(Element);
    for (int i = 0; i < count; ++i) {
#pragma HLS unroll
      const int at = part * count + i;
      square.value[at / pe][at % pe] = burst.value[i];
    }
  }
};

}  // namespace training
}  // namespace dovetail
