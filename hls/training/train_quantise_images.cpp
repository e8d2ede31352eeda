// FPGA kernel: uint8 images to a family's numbers, through one table of normalised values a
// channel.
#include "dataflow.hpp"
#include "training/memory.hpp"

namespace {

using namespace dovetail::training;

using PixelStream = dovetail::hls::Stream<PixelBurst, 16>;

constexpr int table_words = 256 / simd;

void load_pixels(const PixelBurst* memory, PixelStream& out, int bursts) {
  // invariant: a burst is read and leaves in each cycle.
  for (int b = 0; b < bursts; ++b) {
#pragma HLS pipeline II = 1
    out.write(memory[b]);
  }
}

/// How an image becomes a map: channel j of position p is its pixel number j · positions + p, which
/// belongs to input channel (j · positions + p) / plane.
struct Picture {
  int positions, channels, plane;

  int words() const { return channel_words(channels); }
  int bursts() const { return divide_up(positions * channels, burst_bytes); }
};

void translate(PixelStream& pixels, RealStream& table_stream, WordStream& out, int images,
               const Picture& picture, const Rounding& rounding) {
  RealWord tables[max_input_channels * table_words];
  PixelBurst image[max_image_bytes / burst_bytes];
#pragma HLS aggregate variable = tables
#pragma HLS aggregate variable = image
  const int input_channels = picture.positions * picture.channels / picture.plane;
  table_stream.read(tables, input_channels * table_words);
  for (int n = 0; n < images; ++n) {
    pixels.read(image, picture.bursts());
    RealWord value = {};
#pragma HLS array_partition variable = value.value complete
    int position = 0, map_channel = 0, lane = 0;
    int at = 0, channel = 0, end = picture.plane;  // pixel; its input channel, and where that ends
    // invariant: one pixel and one entry of its table are read in each cycle, and behind a word's
    // last lane the word leaves. A step of `positions` pixels, at most a plane, ends at most one
    // channel.
    for (int cycle = 0; cycle < picture.positions * picture.channels; ++cycle) {
#pragma HLS pipeline II = 1
      const int pixel = image[at / burst_bytes].byte[at % burst_bytes];
      if (lane == 0) value = {};
      value.value[lane] = tables[channel * table_words + pixel / simd].value[pixel % simd];
      const bool ends_position = map_channel + 1 == picture.channels;
      const bool ends_word = ends_position || lane + 1 == simd;
      if (ends_word) out.write(Family::quantise(value, rounding, 0));
      lane = ends_word ? 0 : lane + 1;
      ++map_channel;
      at += picture.positions;
      if (at >= end) {
        ++channel;
        end += picture.plane;
      }
      if (!ends_position) continue;
      ++position;
      at = position;
      map_channel = channel = 0;
      end = picture.plane;
    }
  }
}

/// The region: streams and calls alone, as UG1399 asks for ("Canonical Forms").
void quantise_images_region(const PixelBurst* images, const RealWord* tables, WordBurst* output,
                            int batch, int bursts, int all_table_words, int map_words,
                            const Picture& picture, const Rounding& rounding) {
  PixelStream pixels;
  RealStream table_stream;
  WordStream codes;
  DATAFLOW_BEGIN();
  DATAFLOW_STAGE(load_pixels, images, pixels, bursts);
  DATAFLOW_STAGE(load_reals, tables, table_stream, all_table_words);
  DATAFLOW_STAGE(translate, pixels, table_stream, codes, batch, picture, rounding);
  DATAFLOW_STAGE(store_words, codes, output, batch, map_words);
  DATAFLOW_END();
}

}  // namespace

/// images: [batch][positions · channels] of uint8, each image starting on a burst; tables: [input
/// channel][256] of float32; output: [batch][positions][words of the channels].
extern "C" void train_quantise_images(const PixelBurst* images, const RealWord* tables,
                                      WordBurst* output, std::int32_t batch, std::int32_t positions,
                                      std::int32_t channels, std::int32_t plane, float inverse,
                                      std::int32_t bits) {
#pragma HLS interface m_axi port = images bundle = gmem0 offset = slave
#pragma HLS interface m_axi port = tables bundle = gmem1 offset = slave
#pragma HLS interface m_axi port = output bundle = gmem2 offset = slave
#pragma HLS interface s_axilite port = return
  const Picture picture = {positions, channels, plane};
  const Rounding rounding = {inverse, bits, 0, 0};
  quantise_images_region(images, tables, output, batch, batch * picture.bursts(),
                         positions * channels / plane * table_words, positions * picture.words(),
                         picture, rounding);
}
