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

/// Maxima of `bytes` bytes of codes, in place.
template <int Bits>
void take_maxima(std::uint8_t* most, const std::uint8_t* candidate, int bytes) {
  // invariant: a byte depends on those at its own place alone; sixteen a cycle.
  for (int i = 0; i < bytes; ++i) {
#pragma HLS pipeline II = 1
#pragma HLS unroll factor = 16
    most[i] = larger<Bits>(most[i], candidate[i]);
  }
}

/// Each output row begins as the maxima over the kernel's rows, a whole row at a time; then each
/// pixel takes the maximum over its columns.
template <int Bits>
void pool_codes(ChunkStream& input, ChunkStream& output, int images, const WindowShape& shape) {
  std::uint8_t lines[line_count][line_bytes];
#pragma HLS array_partition variable = lines cyclic factor = 16 dim = 2
  std::uint8_t columns[line_bytes];
#pragma HLS array_partition variable = columns cyclic factor = 16
  std::uint8_t pixel[max_tiles * pe];
#pragma HLS array_partition variable = pixel cyclic factor = 16
  const int bytes = shape.pixel_bytes;
  for (int image = 0; image < images; ++image) {
    RowReader reader;
    Realigner joined;
    int filled = 0;  // rows so far; row r lies in lines[r mod line_count]
    for (int row = 0; row < shape.out_height(); ++row) {
      const int top = row * shape.stride;
      for (; filled < top + shape.kernel; ++filled) {
        reader.fill(input, lines[filled & (line_count - 1)], shape, filled);
      }
      for (int i = 0; i < shape.row_bytes(); ++i) {
        columns[i] = lines[top & (line_count - 1)][chunk_bytes + i];
      }
      for (int k = 1; k < shape.kernel; ++k) {
        take_maxima<Bits>(columns, lines[(top + k) & (line_count - 1)] + chunk_bytes,
                          shape.row_bytes());
      }
      for (int column = 0; column < shape.out_width(); ++column) {
        const std::uint8_t* first = columns + column * shape.stride * bytes;
        for (int i = 0; i < bytes; ++i) pixel[i] = first[i];
        for (int k = 1; k < shape.kernel; ++k) take_maxima<Bits>(pixel, first + k * bytes, bytes);
        // invariant: one piece is joined in each cycle, and at most one chunk leaves.
        for (int at = 0; at < bytes; at += chunk_bytes) {
#pragma HLS pipeline II = 1
          Chunk piece;
          for (int i = 0; i < chunk_bytes; ++i) piece.byte[i] = pixel[at + i];
          joined.append(piece, bytes - at < chunk_bytes ? bytes - at : chunk_bytes, output);
        }
      }
    }
    joined.flush(output);
    for (; filled < shape.height; ++filled) {
      reader.fill(input, lines[filled & (line_count - 1)], shape, filled);
    }
  }
}

void pool_windows(ChunkStream& input, ChunkStream& output, int images, const WindowShape& shape,
                  int bits) {
  switch (bits) {
    case 1:
      return pool_codes<1>(input, output, images, shape);
    case 2:
      return pool_codes<2>(input, output, images, shape);
    case 4:
      return pool_codes<4>(input, output, images, shape);
    default:
      return pool_codes<8>(input, output, images, shape);
  }
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
  const int in_chunks = shape.image_chunks();
  const int out_chunks = chunks(shape.out_height() * shape.out_width() * shape.pixel_bytes);
  ChunkStream maps, pooled;
  DATAFLOW_BEGIN();
  DATAFLOW_STAGE(load_chunks, input, maps, batch, in_chunks);
  DATAFLOW_STAGE(pool_windows, maps, pooled, batch, shape, bits);
  DATAFLOW_STAGE(store_chunks, pooled, output, batch, out_chunks);
  DATAFLOW_END();
}
