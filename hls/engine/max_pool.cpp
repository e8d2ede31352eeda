// FPGA kernel: max-pool of feature maps of any code width, windows without padding.
#include "dataflow.hpp"
#include "sliding_window.hpp"

namespace {

using namespace dovetail::engine;

/// The larger of the codes in two bytes. int8 codes are signed, narrower ones are not.
template <int Bits>
std::uint8_t larger(std::uint8_t a, std::uint8_t b) {
#pragma HLS inline
  if (Bits == 1) return a | b;
  if (Bits == 8) return static_cast<std::int8_t>(a) > static_cast<std::int8_t>(b) ? a : b;
  constexpr int mask = (1 << Bits) - 1;
  int joint = 0;
  for (int shift = 0; shift < 8; shift += Bits) {
    const int x = a >> shift & mask, y = b >> shift & mask;
    joint |= (x > y ? x : y) << shift;
  }
  return static_cast<std::uint8_t>(joint);
}

template <int Bits>
void take_larger(Chunk& most, const Chunk& other) {
#pragma HLS inline
  for (int i = 0; i < chunk_bytes; ++i) {
#pragma HLS unroll
    most.byte[i] = larger<Bits>(most.byte[i], other.byte[i]);
  }
}

/// Of codes of `bits` bits. Comparisons alone differ by width: what moves bytes serves all of them.
void take_larger(Chunk& most, const Chunk& other, int bits) {
#pragma HLS inline
  switch (bits) {
    case 1:
      return take_larger<1>(most, other);
    case 2:
      return take_larger<2>(most, other);
    case 4:
      return take_larger<4>(most, other);
    default:
      return take_larger<8>(most, other);
  }
}

/// columns = the maxima over the kernel's rows, a whole row of the map. line_cycles() · kernel
/// cycles.
void pool_rows(const Chunk (*lines)[line_chunks], int top, const WindowShape& shape, int bits,
               Chunk* columns) {
  const int cycles = shape.line_cycles() * shape.kernel;
  Chunk most = {};
  int at = 0, k = 0;
  // invariant: one chunk of the lines is read in each cycle, and one at most of the columns is
  // written. `most` goes from cycle to cycle: one comparison of bytes, and the choice of a width.
  for (int cycle = 0; cycle < cycles; ++cycle) {
#pragma HLS pipeline II = 1
    const Chunk row = lines[(top + k) & (line_count - 1)][at];
    if (k == 0) most = row;
    take_larger(most, row, bits);
    k = k + 1 < shape.kernel ? k + 1 : 0;
    if (k > 0) continue;
    columns[at] = most;
    ++at;
  }
}

/// Each pixel of an output row: the maxima over its columns. chunks of a pixel · kernel cycles.
void pool_pixels(const Chunk* columns, const WindowShape& shape, int bits, Realigner& joined,
                 ChunkStream& output) {
  const int bytes = shape.pixel_bytes, step = shape.stride * bytes;
  const int cycles = shape.out_width * chunks(bytes) * shape.kernel;
  Chunk most = {};
  int first = 0, at = 0;  // where the window begins; byte of its pixels
  int k = 0, tap = 0;     // pixel of the window; where it begins in the window
  // invariant: two chunks of the columns are read in each cycle, a port each, and at most one chunk
  // leaves. From cycle to cycle go the counters, `most` and the realigner's registers.
  for (int cycle = 0; cycle < cycles; ++cycle) {
#pragma HLS pipeline II = 1
    const Chunk piece = dovetail::hls::chunk_at(columns, first + tap + at);
    if (k == 0) most = piece;
    take_larger(most, piece, bits);
    k = k + 1 < shape.kernel ? k + 1 : 0;
    tap = k == 0 ? 0 : tap + bytes;
    if (k > 0) continue;
    joined.append(most, bytes - at < chunk_bytes ? bytes - at : chunk_bytes, output);
    at = at + chunk_bytes < bytes ? at + chunk_bytes : 0;
    first += at == 0 ? step : 0;
  }
}

/// Each output row begins as the maxima over the kernel's rows, a whole row at a time; then each
/// pixel takes the maximum over its columns.
void pool_windows(ChunkStream& input, ChunkStream& output, int images, const WindowShape& shape,
                  int bits) {
  Chunk lines[line_count][line_chunks], columns[line_chunks];
#pragma HLS aggregate variable = lines
#pragma HLS aggregate variable = columns
#pragma HLS bind_storage variable = lines type = ram_2p impl = uram
#pragma HLS bind_storage variable = columns type = ram_2p impl = bram
  for (int image = 0; image < images; ++image) {
    RowReader reader;
    Realigner joined;
    int filled = 0;  // rows so far; row r lies in lines[r mod line_count]
    for (int row = 0; row < shape.out_height; ++row) {
      const int top = row * shape.stride;
      for (; filled < top + shape.kernel; ++filled)
        reader.fill(input, lines, filled & (line_count - 1), shape, filled);
      pool_rows(lines, top, shape, bits, columns);
      pool_pixels(columns, shape, bits, joined, output);
    }
    joined.flush(output);
    reader.skip(input, shape.image_chunks());
  }
}

/// The region: streams and calls alone, as UG1399 asks for ("Canonical Forms").
void pool_region(const Burst* input, Burst* output, int images, int in_chunks, int out_chunks,
                 const WindowShape& shape, int bits) {
  ChunkStream maps, pooled;
  DATAFLOW_BEGIN();
  DATAFLOW_STAGE(load_chunks, input, maps, images, in_chunks);
  DATAFLOW_STAGE(pool_windows, maps, pooled, images, shape, bits);
  DATAFLOW_STAGE(store_chunks, pooled, output, images, out_chunks);
  DATAFLOW_END();
}

}  // namespace

/// input [batch][height][width][stored] in codes of `bits` bits, `stored` a multiple of pe; output
/// likewise with the pooled extents.
extern "C" void max_pool(const Burst* input, Burst* output, std::int32_t batch, std::int32_t height,
                         std::int32_t width, std::int32_t stored, std::int32_t kernel,
                         std::int32_t stride, std::int32_t bits) {
#pragma HLS interface m_axi port = input bundle = gmem0 offset = slave
#pragma HLS interface m_axi port = output bundle = gmem1 offset = slave
#pragma HLS interface s_axilite port = return
  const WindowShape shape = {height, width, code_bytes(stored, bits), kernel, stride, 0};
  const int out_chunks = chunks(shape.out_height * shape.out_width * shape.pixel_bytes);
  pool_region(input, output, batch, shape.image_chunks(), out_chunks, shape, bits);
}
