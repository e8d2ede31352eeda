// FPGA kernel: max-pool of int8 feature maps, windows without padding.
#include "dataflow.hpp"
#include "memory.hpp"

namespace {

using namespace dovetail::int8;

constexpr int line_count = 8;  // rows kept; a power of two, at least max_kernel
static_assert(line_count >= max_kernel && (line_count & (line_count - 1)) == 0,
              "rows are found by their low bits");

/// Maxima over windows, simd channels a word; `depth` words hold the channels of one pixel.
void pool_windows(LaneStream& input, LaneStream& output, int images, int height, int width,
                  int depth, int kernel, int stride) {
  Lanes lines[line_count][max_row_bytes / simd];
  const int out_height = output_extent(height, kernel, stride, 0);
  const int out_width = output_extent(width, kernel, stride, 0);
  for (int image = 0; image < images; ++image) {
    int filled = 0;  // rows so far; row r lies in lines[r mod line_count]
    for (int row = 0; row < out_height; ++row) {
      for (; filled < row * stride + kernel; ++filled)
        input.read(lines[filled & (line_count - 1)], width * depth);
      for (int word = 0; word < out_width * depth; ++word) {
        const int first = word / depth * stride * depth + word % depth;
        Lanes most = lines[(row * stride) & (line_count - 1)][first];
        for (int element = 1; element < kernel * kernel; ++element) {
#pragma HLS pipeline II = 1
          const int line = (row * stride + element / kernel) & (line_count - 1);
          const Lanes candidate = lines[line][first + element % kernel * depth];
          for (int l = 0; l < simd; ++l) {
            most.value[l] = candidate.value[l] > most.value[l] ? candidate.value[l] : most.value[l];
          }
        }
        output.write(most);
      }
    }
    for (; filled < height; ++filled) input.read(lines[filled & (line_count - 1)], width * depth);
  }
}

}  // namespace

/// input [batch][height][width][channels], channels a multiple of pe; output likewise with the
/// pooled extents.
extern "C" void max_pool_int8(const Burst* input, Burst* output, std::int32_t batch,
                              std::int32_t height, std::int32_t width, std::int32_t channels,
                              std::int32_t kernel, std::int32_t stride) {
#pragma HLS interface m_axi port = input bundle = gmem0 offset = slave
#pragma HLS interface m_axi port = output bundle = gmem1 offset = slave
#pragma HLS interface s_axilite port = return
  const int depth = channels / simd;
  const int pixels =
      output_extent(height, kernel, stride, 0) * output_extent(width, kernel, stride, 0);
  LaneStream maps, pooled;
  DATAFLOW_BEGIN();
  DATAFLOW_STAGE(load_lanes, input, maps, batch, height * width * depth);
  DATAFLOW_STAGE(pool_windows, maps, pooled, batch, height, width, depth, kernel, stride);
  DATAFLOW_STAGE(store_lanes, pooled, output, batch, pixels * depth);
  DATAFLOW_END();
}
