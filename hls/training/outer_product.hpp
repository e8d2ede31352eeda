// Outer-product unit: weight and bias gradients, summed over all positions of all images.
#pragma once

#include "training/memory.hpp"

namespace dovetail {
namespace training {

/// simd positions of a stream at a time, turned so that a word holds one channel at simd positions:
/// the direction in which the sum runs. The last ones may be missing and count as zero.
inline void read_positions(WordStream& in, Word (*kept)[max_vector_words], int present, int words) {
  for (int r = 0; r < simd; ++r) {
    if (r < present) {
      in.read(kept[r], words);
    } else {
      // invariant: one word is written in each cycle.
      for (int w = 0; w < words; ++w) {
#pragma HLS pipeline II = 1
        kept[r][w] = Word{};
      }
    }
  }
}

/// The gradients of one tile at simd positions as the matrix of the products: [position][output].
inline Square gradient_square(const Word (*gradients)[max_vector_words], int tile,
                              const Rounding& rounding, std::uint32_t counter) {
  Square square;
#pragma HLS aggregate variable = square
  // invariant: the halves are columns apart: simd words are read and turned in each cycle.
  for (int half = 0; half < words_per_tile; ++half) {
#pragma HLS pipeline II = 1
    Word positions[simd], outputs[simd];
    for (int r = 0; r < simd; ++r) positions[r] = gradients[r][tile * words_per_tile + half];
    Family::transpose(positions, outputs, rounding,
                      counter + static_cast<std::uint32_t>(half * simd * simd));
    Family::set_columns(outputs, half * simd, square);
  }
  return square;
}

struct OuterProduct {
  int count;              // positions in all
  int words;              // of a window
  int gradient_words;     // of a position of the gradient: all its tiles
  int first_tile, tiles;  // that this unit sums
  float weight_scale, bias_scale;
  Rounding input_rounding, gradient_rounding;  // in block floating point: towards the sum's blocks
};

/// Adds one group of simd positions: sums[tile][word][input], biases[tile].
inline void add_positions(const Word (*windows)[max_vector_words],
                          const Word (*gradients)[max_vector_words], const OuterProduct& work,
                          int group, Sums* sums, Sums* biases) {
  Square squares[max_tiles];
#pragma HLS aggregate variable = squares
  for (int t = 0; t < work.tiles; ++t) {
    const int tile = work.first_tile + t;
    const int word = group * work.gradient_words + tile * words_per_tile;
    squares[t] = gradient_square(gradients, tile, work.gradient_rounding,
                                 static_cast<std::uint32_t>(word * simd * simd));
    Family::multiply_accumulate(Family::operand(Family::ones()), squares[t], biases[t]);
  }
  for (int w = 0; w < work.words; ++w) {
    Word positions[simd], inputs[simd];
    for (int r = 0; r < simd; ++r) positions[r] = windows[r][w];
    Family::transpose(positions, inputs, work.input_rounding, 0);
    Operand operands[simd];
    for (int l = 0; l < simd; ++l) operands[l] = Family::operand(inputs[l]);
    for (int t = 0; t < work.tiles; ++t) {
      // invariant: an iteration adds to a sum of its own; the same sum comes again in the next
      // group.
      for (int l = 0; l < simd; ++l) {
#pragma HLS pipeline II = 1
        Family::multiply_accumulate(operands[l], squares[t], sums[(t * work.words + w) * simd + l]);
      }
    }
  }
}

/// dW[o][i] = Σ dy[o] · x[i] over all positions, db[o] = Σ dy[o]. Leaves [tile][word][input] tiles
/// of weight gradients, then the bias gradients. invariant: every group of simd positions is added
/// in simd · tiles · words cycles, and to each sum in the order of the groups.
inline void outer_product(WordStream& windows, WordStream& gradients, TileStream& weight_out,
                          TileStream& bias_out, const OuterProduct& work) {
  Sums sums[max_weight_words * simd];
#pragma HLS aggregate variable = sums
#pragma HLS bind_storage variable = sums type = ram_2p impl = uram
  Sums biases[max_tiles];
#pragma HLS aggregate variable = biases
  // A word of each of simd positions is read at a time.
  Word kept_windows[simd][max_vector_words], kept_gradients[simd][max_vector_words];
#pragma HLS aggregate variable = kept_windows
#pragma HLS aggregate variable = kept_gradients
#pragma HLS array_partition variable = kept_windows complete dim = 1
#pragma HLS array_partition variable = kept_gradients complete dim = 1
  const int rows = work.tiles * work.words * simd;
  // invariant: one sum is written in each cycle.
  for (int i = 0; i < rows; ++i) {
#pragma HLS pipeline II = 1
    sums[i] = Sums{};
  }
  for (int t = 0; t < work.tiles; ++t) biases[t] = Sums{};
  const int groups = divide_up(work.count, simd);
  for (int group = 0; group < groups; ++group) {
    const int left = work.count - group * simd;
    const int present = left < simd ? left : simd;
    read_positions(windows, kept_windows, present, work.words);
    read_positions(gradients, kept_gradients, present, work.gradient_words);
    add_positions(kept_windows, kept_gradients, work, group, sums, biases);
  }
  // invariant: one sum is read and leaves in each cycle.
  for (int i = 0; i < rows; ++i) {
#pragma HLS pipeline II = 1
    weight_out.write(Family::to_real(sums[i], work.weight_scale));
  }
  for (int t = 0; t < work.tiles; ++t) bias_out.write(Family::to_real(biases[t], work.bias_scale));
}

}  // namespace training
}  // namespace dovetail
