// The two layers of the engine as dataflow regions; the kernels give them a name and an interface.
#pragma once

#include "activation.hpp"
#include "dataflow.hpp"
#include "matrix_vector.hpp"
#include "sliding_window.hpp"

namespace dovetail {
namespace engine {

/// A 2-D convolution. `channels` are the map's own, `stored` of them lie in memory.
template <int WeightBits>
void conv2d(const Burst* input, const Burst* weights, const Burst* parameters, Burst* output,
            const WindowShape& shape, int stored, int channels, int in_bits, const Output& out) {
  const bool marked = in_bits == 1;
  const Product product = {out.images * out.pixels, shape.window_chunks(),
                           shape.kernel * shape.kernel * stored, in_bits, out.tiles};
  const int weight_words = out.tiles * vector_words(product.lanes, WeightBits);
  const int in_chunks = shape.image_chunks(), out_chunks = out.image_chunks();
  const int fields = out.tiles * out.fields();
  ChunkStream rows, windows, validity, codes;
  WeightStream<WeightBits> weight_stream;
  ParameterStream parameter_stream;
  AccumulatorStream sums;
  DATAFLOW_BEGIN();
  DATAFLOW_STAGE(load_chunks, input, rows, out.images, in_chunks);
  DATAFLOW_STAGE(load_weights<WeightBits>, weights, weight_stream, weight_words);
  DATAFLOW_STAGE(load_parameters, parameters, parameter_stream, fields);
  DATAFLOW_STAGE(sliding_window, rows, windows, validity, out.images, shape, channels, marked);
  DATAFLOW_STAGE(matrix_vector<WeightBits>, windows, validity, weight_stream, sums, product);
  DATAFLOW_STAGE(activate, sums, parameter_stream, codes, out);
  DATAFLOW_STAGE(store_chunks, codes, output, out.images, out_chunks);
  DATAFLOW_END();
}

/// A dense layer on whole maps of `pixels` pixels.
template <int WeightBits>
void dense(const Burst* input, const Burst* weights, const Burst* parameters, Burst* output,
           int pixels, int stored, int channels, int in_bits, const Output& out) {
  const bool marked = in_bits == 1;
  const int pixel_bytes = code_bytes(stored, in_bits);
  const Product product = {out.images, chunks(pixels * pixel_bytes), pixels * stored, in_bits,
                           out.tiles};
  const int weight_words = out.tiles * vector_words(product.lanes, WeightBits);
  const int out_chunks = out.image_chunks(), fields = out.tiles * out.fields();
  ChunkStream vectors, validity, codes;
  WeightStream<WeightBits> weight_stream;
  ParameterStream parameter_stream;
  AccumulatorStream sums;
  DATAFLOW_BEGIN();
  DATAFLOW_STAGE(load_chunks, input, vectors, out.images, product.chunk_count);
  DATAFLOW_STAGE(load_weights<WeightBits>, weights, weight_stream, weight_words);
  DATAFLOW_STAGE(load_parameters, parameters, parameter_stream, fields);
  DATAFLOW_STAGE(mark_vectors, validity, out.images, pixels, pixel_bytes, channels, marked);
  DATAFLOW_STAGE(matrix_vector<WeightBits>, vectors, validity, weight_stream, sums, product);
  DATAFLOW_STAGE(activate, sums, parameter_stream, codes, out);
  DATAFLOW_STAGE(store_chunks, codes, output, out.images, out_chunks);
  DATAFLOW_END();
}

}  // namespace engine
}  // namespace dovetail
