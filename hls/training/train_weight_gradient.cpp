// FPGA kernel: weight and bias gradients of a dense or convolution layer, by the outer-product
// unit.
#include "dataflow.hpp"
#include "training/outer_product.hpp"
#include "training/window.hpp"

namespace {

using namespace dovetail::training;

/// The region: streams and calls alone, as UG1399 asks for ("Canonical Forms").
void weight_gradient_region(const WordBurst* input, const WordBurst* gradient,
                            RealWord* weight_gradient, RealWord* bias_gradient, int images,
                            int map_words, int gradient_map_words, int first_row, int all_rows,
                            int first_tile, int tiles, const Window& window,
                            const OuterProduct& work) {
  WordStream maps, windows, gradients;
  TileStream weight_tiles, bias_tiles;
  DATAFLOW_BEGIN();
  DATAFLOW_STAGE(load_words, input, maps, 0, images, map_words);
  DATAFLOW_STAGE(load_words, gradient, gradients, 0, images, gradient_map_words);
  DATAFLOW_STAGE(sliding_window, maps, windows, images, window);
  DATAFLOW_STAGE(outer_product, windows, gradients, weight_tiles, bias_tiles, work);
  DATAFLOW_STAGE(store_tiles, weight_tiles, weight_gradient, first_row, all_rows);
  DATAFLOW_STAGE(store_tiles, bias_tiles, bias_gradient, first_tile, tiles);
  DATAFLOW_END();
}

}  // namespace

/// weight_gradient [tile][word of the window][input][pe] = weight_scale · Σ gradient · input and
/// bias_gradient [tile][pe] = bias_scale · Σ gradient over all positions of `batch` maps, for
/// `tiles` tiles from `first_tile` on out of `all_tiles`. `bits`, `stochastic` and `key`: for
/// families that block anew along the sum.
extern "C" void train_weight_gradient(
    const WordBurst* input, const WordBurst* gradient, RealWord* weight_gradient,
    RealWord* bias_gradient, std::int32_t batch, std::int32_t height, std::int32_t width,
    std::int32_t words, std::int32_t first_tile, std::int32_t tiles, std::int32_t all_tiles,
    std::int32_t kernel, std::int32_t stride, std::int32_t padding, float weight_scale,
    float bias_scale, std::int32_t bits, std::int32_t stochastic, std::uint32_t key) {
#pragma HLS interface m_axi port = input bundle = gmem0 offset = slave
#pragma HLS interface m_axi port = gradient bundle = gmem1 offset = slave
#pragma HLS interface m_axi port = weight_gradient bundle = gmem2 offset = slave
#pragma HLS interface m_axi port = bias_gradient bundle = gmem3 offset = slave
#pragma HLS interface s_axilite port = return
  const int out_height = output_extent(height, kernel, stride, padding);
  const int out_width = output_extent(width, kernel, stride, padding);
  const Window window = {height, width, words, kernel, stride, 1, padding, out_height, out_width};
  const int pixels = out_height * out_width;
  const int rows = window.vector_words() * simd;
  const int gradient_words = all_tiles * words_per_tile;
  const OuterProduct work = {batch * pixels,
                             window.vector_words(),
                             gradient_words,
                             first_tile,
                             tiles,
                             weight_scale,
                             bias_scale,
                             {1.0F, bits, 0, 0},
                             {1.0F, bits, stochastic, key}};
  weight_gradient_region(input, gradient, weight_gradient, bias_gradient, batch,
                         height * width * words, pixels * gradient_words, first_tile * rows,
                         tiles * rows, first_tile, tiles, window, work);
}
