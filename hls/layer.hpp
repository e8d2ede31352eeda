// The two layers of the engine as dataflow regions; the kernels give them a name and an interface.
#pragma once

#include "activation.hpp"
#include "dataflow.hpp"
#include "matrix_vector.hpp"
#include "sliding_window.hpp"

namespace dovetail {
namespace engine {

/// The region of a convolution: streams and calls alone, as UG1399 asks for ("Canonical Forms").
/// All that the stages are told is computed before it.
template <int WeightBits>
void conv2d_region(const Burst* input, const Burst* weights, const Burst* parameters, Burst* output,
                   int images, int in_chunks, int weight_words, int fields, int out_chunks,
                   int channels, bool marked, const WindowShape& shape, const Product& product,
                   const Output& out) {
  ChunkStream rows, windows, validity, codes;
  WeightStream<WeightBits> weight_stream;
  ParameterStream parameter_stream;
  AccumulatorStream sums;
  DATAFLOW_BEGIN();
  DATAFLOW_STAGE(load_chunks, input, rows, images, in_chunks);
  DATAFLOW_STAGE(load_weights<WeightBits>, weights, weight_stream, weight_words);
  DATAFLOW_STAGE(load_parameters, parameters, parameter_stream, fields);
  DATAFLOW_STAGE(sliding_window, rows, windows, validity, images, shape, channels, marked);
  DATAFLOW_STAGE(matrix_vector<WeightBits>, windows, validity, weight_stream, sums, product);
  DATAFLOW_STAGE(activate, sums, parameter_stream, codes, out);
  DATAFLOW_STAGE(store_chunks, codes, output, images, out_chunks);
  DATAFLOW_END();
}

/// A 2-D convolution. `channels` are the map's own, `stored` of them lie in memory.
template <int WeightBits>
void conv2d(const Burst* input, const Burst* weights, const Burst* parameters, Burst* output,
            const WindowShape& shape, int stored, int channels, int in_bits, const Output& out) {
#pragma HLS inline
  const Product product = {out.images * out.pixels, shape.window_chunks(),
                           shape.kernel * shape.kernel * stored, in_bits, out.tiles};
  const int weight_words = out.tiles * vector_words(product.lanes, WeightBits);
  conv2d_region<WeightBits>(input, weights, parameters, output, out.images, shape.image_chunks(),
                            weight_words, out.tiles * out.fields(), out.image_chunks(), channels,
                            in_bits == 1, shape, product, out);
}

/// The region of a dense layer.
template <int WeightBits>
void dense_region(const Burst* input, const Burst* weights, const Burst* parameters, Burst* output,
                  int images, int in_chunks, int weight_words, int fields, int out_chunks,
                  int pixels, int pixel_bytes, int channels, bool marked, const Product& product,
                  const Output& out) {
  ChunkStream vectors, validity, codes;
  WeightStream<WeightBits> weight_stream;
  ParameterStream parameter_stream;
  AccumulatorStream sums;
  DATAFLOW_BEGIN();
  DATAFLOW_STAGE(load_chunks, input, vectors, images, in_chunks);
  DATAFLOW_STAGE(load_weights<WeightBits>, weights, weight_stream, weight_words);
  DATAFLOW_STAGE(load_parameters, parameters, parameter_stream, fields);
  DATAFLOW_STAGE(mark_vectors, validity, images, pixels, pixel_bytes, channels, marked);
  DATAFLOW_STAGE(matrix_vector<WeightBits>, vectors, validity, weight_stream, sums, product);
  DATAFLOW_STAGE(activate, sums, parameter_stream, codes, out);
  DATAFLOW_STAGE(store_chunks, codes, output, images, out_chunks);
  DATAFLOW_END();
}

/// A dense layer on whole maps of `pixels` pixels.
template <int WeightBits>
void dense(const Burst* input, const Burst* weights, const Burst* parameters, Burst* output,
           int pixels, int stored, int channels, int in_bits, const Output& out) {
#pragma HLS inline
  const int pixel_bytes = code_bytes(stored, in_bits), in_chunks = chunks(pixels * pixel_bytes);
  const Product product = {out.images, in_chunks, pixels * stored, in_bits, out.tiles};
  const int weight_words = out.tiles * vector_words(product.lanes, WeightBits);
  dense_region<WeightBits>(input, weights, parameters, output, out.images, in_chunks, weight_words,
                           out.tiles * out.fields(), out.image_chunks(), pixels, pixel_bytes,
                           channels, in_bits == 1, product, out);
}

}  // namespace engine
}  // namespace dovetail
