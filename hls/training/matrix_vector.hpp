// Matrix-vector unit of the training kernels, forward and transposed, folded pe × simd.
#pragma once

#include "training/memory.hpp"

namespace dovetail {
namespace training {

/// Takes the weights as they come: kept[tile · words + word].
inline void keep(SquareStream& weights, Square* kept, int squares) {
  // invariant: one square comes in each cycle and is written once.
  for (int s = 0; s < squares; ++s) {
#pragma HLS pipeline II = 1
    kept[s] = weights.read();
  }
}

/// Takes the same weights for the product with the transposed matrix: the convolution of the
/// gradient with the kernel turned by 180°. Inputs become outputs: two words of `in_words` are a
/// tile, and a tile of the forward outputs is two words of the gradient's window. A square splits
/// into two halves of 16 × 16, each of which is transposed whole.
inline void keep_transposed(SquareStream& weights, Square* kept, int tiles, int positions,
                            int in_words, const Rounding& rounding) {
  const int gradient_words = tiles * words_per_tile;
  for (int t = 0; t < tiles; ++t) {
    for (int position = 0; position < positions; ++position) {
      for (int w = 0; w < in_words; ++w) {
        const Square square = weights.read();
        // invariant: half a square changes: it is read, changed and written before the next one is
        // read. Once a launch, so nothing is gained by less.
        for (int half = 0; half < words_per_tile; ++half) {
#pragma HLS pipeline II = 4
          Word columns[simd], rows[simd];
          Family::get_columns(square, half * simd, columns);
          Family::transpose(columns, rows, rounding, 0);
          const int turned = positions - 1 - position;
          const int word = turned * gradient_words + t * words_per_tile + half;
          Family::set_columns(rows, w % words_per_tile * simd,
                              kept[w / words_per_tile * positions * gradient_words + word]);
        }
      }
    }
  }
}

/// One vector against all tiles.
inline void multiply_vector(const Operand* vector, const Square* kept, TileStream& out, int words,
                            int tiles, float scale) {
  for (int t = 0; t < tiles; ++t) {
    Sums sums = {};
#pragma HLS array_partition variable = sums.value complete
    // invariant: what an iteration needs of the one before is one addition: of integers in one
    // cycle, or of float32, in block floating point, in the cycles of an adder.
    for (int w = 0; w < words; ++w) {
#pragma HLS pipeline II = Family::add_cycles
      Family::multiply_accumulate(vector[w], kept[t * words + w], sums);
    }
    out.write(Family::to_real(sums, scale));
  }
}

inline void read_vector(WordStream& vectors, Operand* vector, int words) {
  // invariant: one word comes in each cycle.
  for (int w = 0; w < words; ++w) {
#pragma HLS pipeline II = 1
    vector[w] = Family::operand(vectors.read());
  }
}

/// `count` vectors of `words` words each against tiles × words squares. invariant: cycles =
/// max(words, tiles · words · Family::add_cycles) · count, reading and multiplying overlap.
inline void multiply_vectors(WordStream& vectors, const Square* kept, TileStream& out, int count,
                             int words, int tiles, float scale) {
  for (int n = 0; n < count; ++n) {
#pragma HLS dataflow
    Operand vector[max_vector_words];
#pragma HLS aggregate variable = vector
    read_vector(vectors, vector, words);
    multiply_vector(vector, kept, out, words, tiles, scale);
  }
}

/// y = W x. tiles × words squares.
inline void matrix_vector(WordStream& vectors, SquareStream& weights, TileStream& out, int count,
                          int words, int tiles, float scale) {
  Square kept[max_forward_words];
#pragma HLS aggregate variable = kept
#pragma HLS bind_storage variable = kept type = ram_1p impl = uram
  keep(weights, kept, tiles * words);
  multiply_vectors(vectors, kept, out, count, words, tiles, scale);
}

/// x = Wᵀ y for weights of `tiles` output tiles, `positions` kernel positions and `in_words` words
/// each, an even number.
inline void transposed_matrix_vector(WordStream& vectors, SquareStream& weights, TileStream& out,
                                     int count, int tiles, int positions, int in_words, float scale,
                                     const Rounding& rounding) {
  Square kept[max_weight_words];
#pragma HLS aggregate variable = kept
#pragma HLS bind_storage variable = kept type = ram_2p impl = uram
  keep_transposed(weights, kept, tiles, positions, in_words, rounding);
  multiply_vectors(vectors, kept, out, count, positions * tiles * words_per_tile,
                   in_words / words_per_tile, scale);
}

}  // namespace training
}  // namespace dovetail
