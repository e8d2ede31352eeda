// Matrix-vector unit: the products of every dense and convolution layer, in the arithmetic of its
// weights.
#pragma once

#include "bit_serial.hpp"
#include "byte_product.hpp"

namespace dovetail {
namespace engine {

/// What the unit multiplies: `count` vectors or windows of `chunk_count` chunks, `lanes` codes of
/// `bits` bits each, against `tiles` tiles of weights.
struct Product {
  int count, chunk_count, lanes, bits, tiles;
};

/// The layer's weights are kept on chip while all its vectors pass.
template <int WeightBits>
void matrix_vector(ChunkStream& vectors, ChunkStream& validity, WeightStream<WeightBits>& weights,
                   AccumulatorStream& out, const Product& product) {
  WeightWord<WeightBits> kept[max_weight_words(WeightBits)];
#pragma HLS aggregate variable = kept
#pragma HLS bind_storage variable = kept type = ram_1p impl = uram
  weights.read(kept, product.tiles * vector_words(product.lanes, WeightBits));
  multiply(vectors, validity, kept, out, product.count, product.chunk_count, product.lanes,
           product.tiles, product.bits);
}

}  // namespace engine
}  // namespace dovetail
