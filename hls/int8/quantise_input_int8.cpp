// FPGA kernel: uint8 images to int8 feature maps through one table a channel, which holds
// normalisation and scale.
#include "dataflow.hpp"
#include "memory.hpp"

namespace {

using namespace dovetail::int8;

/// tables: [channel][256] of int8, 16 words a channel.
void translate(LaneStream& pixels, LaneStream& table_words, LaneStream& output, int images,
               int channels, int height, int width) {
  Lanes tables[max_input_channels][256 / simd];
  Lanes image[max_image_bytes / simd];
  const int image_pixels = divide_up(channels * height * width, simd);
  const int row_words = row_bytes(width, channels) / simd;
  for (int c = 0; c < channels; ++c) table_words.read(tables[c], 256 / simd);
  for (int n = 0; n < images; ++n) {
    pixels.read(image, image_pixels);
    for (int row = 0; row < height; ++row) {
      int column = 0, channel = 0;
      for (int w = 0; w < row_words; ++w) {
        Lanes lanes = {};
        for (int l = 0; l < simd && column < width; ++l) {
#pragma HLS pipeline II = 1
          const int at = (channel * height + row) * width + column;
          const int pixel = static_cast<std::uint8_t>(image[at / simd].value[at % simd]);
          lanes.value[l] = tables[channel][pixel / simd].value[pixel % simd];
          channel = channel + 1 < channels ? channel + 1 : 0;
          column += channel == 0 ? 1 : 0;
        }
        output.write(lanes);
      }
    }
  }
}

}  // namespace

/// images: [batch][channels][height][width] of uint8, each image starting on a burst; tables:
/// [channels][256] of int8; output: [batch][height][width][channels] of int8, rows padded to simd
/// bytes, images to bursts.
extern "C" void quantise_input_int8(const Burst* images, const Burst* tables, Burst* output,
                                    std::int32_t batch, std::int32_t channels, std::int32_t height,
                                    std::int32_t width) {
#pragma HLS interface m_axi port = images bundle = gmem0 offset = slave
#pragma HLS interface m_axi port = tables bundle = gmem1 offset = slave
#pragma HLS interface m_axi port = output bundle = gmem2 offset = slave
#pragma HLS interface s_axilite port = return
  const int out_words = image_words(height, width, channels);
  LaneStream pixels, table_words, maps;
  DATAFLOW_BEGIN();
  DATAFLOW_STAGE(load_lanes, images, pixels, batch, divide_up(channels * height * width, simd));
  DATAFLOW_STAGE(load_lanes, tables, table_words, channels, 256 / simd);
  DATAFLOW_STAGE(translate, pixels, table_words, maps, batch, channels, height, width);
  DATAFLOW_STAGE(store_lanes, maps, output, batch, out_words);
  DATAFLOW_END();
}
