// FPGA kernel: uint8 images to int8 feature maps through one table a channel, which holds
// normalisation and scale.
#include "dataflow.hpp"
#include "memory.hpp"

namespace {

using namespace dovetail::engine;

constexpr int table_chunks = 256 / chunk_bytes;

/// tables: [channel][256] of int8. Planes of pixels become pixels of channels.
void translate(ChunkStream& pixels, ChunkStream& table_chunks_in, ChunkStream& output, int images,
               int channels, int plane) {
  std::uint8_t tables[max_input_channels][256];
  std::uint8_t image[max_image_bytes + chunk_bytes];
#pragma HLS array_partition variable = image cyclic factor = 16
  std::uint8_t map[max_image_bytes + chunk_bytes];
#pragma HLS array_partition variable = map cyclic factor = 16
  for (int c = 0; c < channels; ++c) {
    for (int i = 0; i < table_chunks; ++i) {
      const Chunk chunk = table_chunks_in.read();
      for (int b = 0; b < chunk_bytes; ++b) tables[c][i * chunk_bytes + b] = chunk.byte[b];
    }
  }
  const int count = chunks(channels * plane);
  for (int n = 0; n < images; ++n) {
    // invariant: a chunk is written in each cycle, byte b of it to part b of `image`: a constant,
    // so that nothing has to be proved.
    for (int i = 0; i < count; ++i) {
#pragma HLS pipeline II = 1
      const Chunk chunk = pixels.read();
      for (int b = 0; b < chunk_bytes; ++b) image[i * chunk_bytes + b] = chunk.byte[b];
    }
    for (int c = 0; c < channels; ++c) {
      // invariant: one pixel and one entry of a table are read, one byte is written in each cycle.
      for (int i = 0; i < plane; ++i) {
#pragma HLS pipeline II = 1
        map[i * channels + c] = tables[c][image[c * plane + i]];
      }
    }
    // invariant: one byte is written in each cycle.
    for (int i = channels * plane; i < count * chunk_bytes; ++i) {
#pragma HLS pipeline II = 1
      map[i] = 0;
    }
    // invariant: a chunk is read in each cycle, byte b of it from part b of `map`.
    for (int i = 0; i < count; ++i) {
#pragma HLS pipeline II = 1
      Chunk chunk;
      for (int b = 0; b < chunk_bytes; ++b) chunk.byte[b] = map[i * chunk_bytes + b];
      output.write(chunk);
    }
  }
}

/// The region: streams and calls alone, as UG1399 asks for ("Canonical Forms").
void quantise_input_region(const Burst* images, const Burst* tables, Burst* output, int batch,
                           int channels, int plane, int image_chunks) {
  ChunkStream pixels, table_stream, maps;
  DATAFLOW_BEGIN();
  DATAFLOW_STAGE(load_chunks, images, pixels, batch, image_chunks);
  DATAFLOW_STAGE(load_chunks, tables, table_stream, channels, table_chunks);
  DATAFLOW_STAGE(translate, pixels, table_stream, maps, batch, channels, plane);
  DATAFLOW_STAGE(store_chunks, maps, output, batch, image_chunks);
  DATAFLOW_END();
}

}  // namespace

/// images: [batch][channels][height · width] of uint8, each image starting on a burst; tables:
/// [channels][256] of int8; output: [batch][height · width][channels] of int8, likewise. `plane` is
/// height · width.
extern "C" void quantise_input(const Burst* images, const Burst* tables, Burst* output,
                               std::int32_t batch, std::int32_t channels, std::int32_t plane) {
#pragma HLS interface m_axi port = images bundle = gmem0 offset = slave
#pragma HLS interface m_axi port = tables bundle = gmem1 offset = slave
#pragma HLS interface m_axi port = output bundle = gmem2 offset = slave
#pragma HLS interface s_axilite port = return
  quantise_input_region(images, tables, output, batch, channels, plane, chunks(channels * plane));
}
