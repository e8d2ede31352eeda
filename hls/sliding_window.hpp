// Sliding-window unit: turns a stream of feature maps into the stream of a convolution's windows.
//
// Rows are kept in lines of whole chunks, which are written and read at whole chunks alone; a
// window begins at any byte, which a barrel shifter serves (shift.hpp). Were a line's bytes spread
// over sixteen memories, sixteen bytes from any byte on would lie in sixteen memories too, but
// Vitis has no proof of it and is expected to schedule each as an access to every memory, of which
// two ports serve two a cycle (UG1399, "Array Partitioning"; UG1448, HLS 200-448).
#pragma once

#include "memory.hpp"

namespace dovetail {
namespace engine {

constexpr int line_count = 8;  // rows kept; a power of two, at least max_kernel
static_assert(line_count >= max_kernel && (line_count & (line_count - 1)) == 0,
              "rows are found by their low bits");
/// Chunks of one kept row: a padded row, and one more, which a shifter reads beside the last.
constexpr int line_chunks = chunks(max_row_bytes) + 1;
static_assert((line_chunks & (line_chunks - 1)) == 0, "lines fill a memory");

/// What a convolution reads. Bytes and rows as numeric/engine_layout.hpp lays maps out.
struct WindowShape {
  int height, width;  // of the map
  int pixel_bytes;
  int kernel, stride, padding;
  // Once for all: a stage would divide for each row.
  int out_height = output_extent(height, kernel, stride, padding);
  int out_width = output_extent(width, kernel, stride, padding);

  int row_bytes() const { return width * pixel_bytes; }
  int padding_bytes() const { return padding * pixel_bytes; }
  int image_chunks() const { return chunks(height * row_bytes()); }
  int kernel_row_bytes() const { return kernel * pixel_bytes; }
  int window_bytes() const { return kernel * kernel_row_bytes(); }
  int window_chunks() const { return chunks(window_bytes()); }

  /// Cycles that fill a line: its chunks, with both paddings.
  int line_cycles() const { return chunks(row_bytes() + 2 * padding_bytes()); }
  /// Whether a window's last piece falls in two chunks: the second leaves in a cycle of its own.
  bool ends_split() const {
    const int last = (kernel_row_bytes() - 1) % chunk_bytes + 1;
    return (window_bytes() - last) % chunk_bytes + last > chunk_bytes;
  }
  /// Cycles of a window: the pieces of its kernel rows.
  int window_cycles() const { return kernel * chunks(kernel_row_bytes()) + (ends_split() ? 1 : 0); }
};

/// Takes an image's chunks as its padded rows. Rows begin within chunks: one that two rows share is
/// kept.
class RowReader {
 public:
  /// Row `row`, −padding to height + padding − 1, into lines[slot]: byte i of the line is byte i of
  /// the padded row, zero outside the image. line_cycles() cycles.
  void fill(ChunkStream& input, Chunk (*lines)[line_chunks], int slot, const WindowShape& shape,
            int row) {
    const int left = shape.padding_bytes(), right = left + shape.row_bytes();
    const bool inside = row >= 0 && row < shape.height;
    const int begin = inside ? row * shape.row_bytes() : 0;  // within the image
    const int last = (begin + shape.row_bytes() - 1) / chunk_bytes;
    // A line's chunk is the last `shift` bytes of an image's chunk and the first of the next, c.
    const int shift = (left - begin) & (chunk_bytes - 1);
    int c = (begin - left + shift) / chunk_bytes;  // divides; negative in the padding
    const int count = shape.line_cycles();
    // invariant: where the row has bytes in it, `newest_` is chunk c − 1 when a turn begins. One
    // chunk at most is read, and one is written, whole, to the lines; nothing of them is read.
    for (int at = 0; at < count; ++at) {
#pragma HLS pipeline II = 1
      Chunk before, now, rest, padded;
      hls::shift_up(newest_, chunk_bytes, shift, rest, before);
      if (inside && c > index_ && c <= last) {
        newest_ = input.read();
        index_ = c;
      }
      hls::shift_up(newest_, chunk_bytes, shift, now, rest);
      for (int i = 0; i < chunk_bytes; ++i) {
#pragma HLS unroll
        const int byte = at * chunk_bytes + i;
        const bool own = inside && byte >= left && byte < right;
        padded.byte[i] = own ? before.byte[i] | now.byte[i] : std::uint8_t{0};
      }
      lines[slot][at] = padded;
      ++c;
    }
  }
  /// The rest of an image of `count` chunks, which no window reads.
  void skip(ChunkStream& input, int count) {
    // invariant: a chunk comes in each cycle.
    for (; index_ + 1 < count; ++index_) {
#pragma HLS pipeline II = 1
      input.read();
    }
  }

 private:
  Chunk newest_ = {};
  int index_ = -1;  // of newest_ within the image
};

/// Ones where a row of `pixels` pixels of 1-bit codes holds channels of the map: not in the
/// `padding` pixels at both ends, and not in the channels that a pixel is filled up with.
inline void mark_line(Chunk* marks, int padding, int pixels, int pixel_bytes, int channels) {
  const int count = chunks((pixels + 2 * padding) * pixel_bytes);
  int pixel = -padding, byte = 0;
  for (int c = 0; c < count; ++c) {
    Chunk chunk;
#pragma HLS array_partition variable = chunk.byte complete
    // invariant: one byte of marks in each cycle, to a chunk of registers, which is written whole;
    // pixel and byte are counters without a division.
    for (int i = 0; i < chunk_bytes; ++i) {
#pragma HLS pipeline II = 1
      const int left = channels - byte * 8;  // channels from this byte on
      const int ones = left >= 8 ? 0xff : left > 0 ? (1 << left) - 1 : 0;
      chunk.byte[i] = static_cast<std::uint8_t>(pixel >= 0 && pixel < pixels ? ones : 0);
      byte = byte + 1 < pixel_bytes ? byte + 1 : 0;
      pixel += byte == 0 ? 1 : 0;
    }
    marks[c] = chunk;
  }
}

/// The windows of one output row: kernel rows of kernel · pixel_bytes bytes, joined without gaps;
/// each window ends with a whole chunk. `lines[(top + k) mod line_count]` holds the padded image's
/// row top + k. If `marked`, the windows of `marks` leave in step with those of the codes.
inline void write_windows(const Chunk (*lines)[line_chunks], const Chunk* marks, int top,
                          const WindowShape& shape, ChunkStream& windows, ChunkStream& validity,
                          bool marked) {
  Realigner codes, taps;
  const int bytes = shape.kernel_row_bytes(), step = shape.stride * shape.pixel_bytes;
  const int turns = shape.kernel + (shape.ends_split() ? 1 : 0);
  const int cycles = shape.out_width * shape.window_cycles();
  int first = 0, k = 0, at = 0;  // byte of the line where the window begins, row, byte of the row
  // invariant: a piece of at most sixteen bytes is joined in each cycle: two chunks of the lines
  // and two of the marks are read, a port each, at most one leaves for each stream. From cycle to
  // cycle go the counters and the realigners' registers.
  for (int cycle = 0; cycle < cycles; ++cycle) {
#pragma HLS pipeline II = 1
    const bool taken = k == shape.kernel;  // the pieces are; only their rest leaves
    const int left = taken ? 0 : bytes - at, row = top + k - shape.padding;
    const int count = left < chunk_bytes ? left : chunk_bytes;
    const bool row_ends = left <= chunk_bytes, ends = row_ends && k == turns - 1;
    Chunk piece = {}, mark = {};
    if (!taken) piece = hls::chunk_at(lines[(top + k) & (line_count - 1)], first + at);
    codes.append(piece, count, ends, windows);
    if (marked) {
      if (!taken && row >= 0 && row < shape.height) mark = hls::chunk_at(marks, first + at);
      taps.append(mark, count, ends, validity);
    }
    at = row_ends ? 0 : at + chunk_bytes;
    k = !row_ends ? k : ends ? 0 : k + 1;
    first += ends ? step : 0;
  }
}

/// For each image: every window in row-major order, window_chunks() chunks each, filled up with
/// zeros. Taps outside the image are zero codes. Where a code cannot be 0 (`marked`: 1-bit codes)
/// the same number of chunks in `validity` says which bits are taps of the image.
inline void sliding_window(ChunkStream& input, ChunkStream& windows, ChunkStream& validity,
                           int images, const WindowShape& shape, int channels, bool marked) {
  Chunk lines[line_count][line_chunks], marks[line_chunks];
#pragma HLS aggregate variable = lines
#pragma HLS aggregate variable = marks
#pragma HLS bind_storage variable = lines type = ram_2p impl = uram
#pragma HLS bind_storage variable = marks type = ram_2p impl = bram
  if (marked) mark_line(marks, shape.padding, shape.width, shape.pixel_bytes, channels);
  const int out_height = shape.out_height;
  for (int image = 0; image < images; ++image) {
    RowReader reader;
    int filled = 0;  // rows of the padded image so far; row r lies in lines[r mod line_count]
    for (int row = 0; row < out_height; ++row) {
      const int top = row * shape.stride;
      for (; filled < top + shape.kernel; ++filled)
        reader.fill(input, lines, filled & (line_count - 1), shape, filled - shape.padding);
      write_windows(lines, marks, top, shape, windows, validity, marked);
    }
    reader.skip(input, shape.image_chunks());
  }
}

/// A dense layer's vectors are whole images; this gives the marks of each, as sliding_window does.
inline void mark_vectors(ChunkStream& validity, int images, int pixels, int pixel_bytes,
                         int channels, bool marked) {
  if (!marked) return;
  Chunk marks[chunks(max_lanes / 8)];
#pragma HLS aggregate variable = marks
  mark_line(marks, 0, pixels, pixel_bytes, channels);
  const int count = chunks(pixels * pixel_bytes);
  // invariant: a chunk is read and leaves in each cycle.
  for (int image = 0; image < images; ++image) validity.write(marks, count);
}

}  // namespace engine
}  // namespace dovetail
