// Sliding-window unit: turns a stream of feature maps into the stream of a convolution's windows.
#pragma once

#include "memory.hpp"

namespace dovetail {
namespace engine {

constexpr int line_count = 8;  // rows kept; a power of two, at least max_kernel
static_assert(line_count >= max_kernel && (line_count & (line_count - 1)) == 0,
              "rows are found by their low bits");

/// Bytes of one kept row: with both paddings, what its first and last chunk hold of its neighbours,
/// and what the last window's last chunk reads beyond.
constexpr int line_bytes = max_row_bytes + 3 * chunk_bytes;

/// What a convolution reads. Bytes and rows as numeric/engine_layout.hpp lays maps out.
struct WindowShape {
  int height, width;  // of the map
  int pixel_bytes;
  int kernel, stride, padding;

  int out_height() const { return output_extent(height, kernel, stride, padding); }
  int out_width() const { return output_extent(width, kernel, stride, padding); }
  int row_bytes() const { return width * pixel_bytes; }
  int image_chunks() const { return chunks(height * row_bytes()); }
  int window_chunks() const { return chunks(kernel * kernel * pixel_bytes); }
};

/// Reads images row by row, though rows begin within chunks: a chunk that two rows share is kept.
class RowReader {
 public:
  /// One row of the padded image: chunks land where the row needs them, then both paddings are
  /// cleared. `row` is −padding to height + padding − 1; rows outside the image are zero.
  void fill(ChunkStream& input, std::uint8_t* line, const WindowShape& shape, int row) {
    const int left = chunk_bytes + shape.padding * shape.pixel_bytes;
    const int right = left + shape.row_bytes();
    const int end = right + shape.padding * shape.pixel_bytes + chunk_bytes;
    const bool inside = row >= 0 && row < shape.height;
    if (inside) {
      const int begin = row * shape.row_bytes();  // within the image
      const int last = (begin + shape.row_bytes() - 1) / chunk_bytes;
      if (row == 0) newest_ = -1;
      // invariant: at most one chunk comes in each cycle, and sixteen bytes in a row are written.
      for (int c = begin / chunk_bytes; c <= last; ++c) {
#pragma HLS pipeline II = 1
        if (c != newest_) shared_ = input.read();
        newest_ = c;
        std::uint8_t* to = line + left + (c * chunk_bytes - begin);
        const Chunk chunk = shared_;
        for (int i = 0; i < chunk_bytes; ++i) to[i] = chunk.byte[i];
      }
    }
    // invariant: one byte is written in each cycle.
    for (int i = chunk_bytes; i < left; ++i) {
#pragma HLS pipeline II = 1
      line[i] = 0;
    }
    // invariant: one byte is written in each cycle.
    for (int i = inside ? right : left; i < end; ++i) {
#pragma HLS pipeline II = 1
      line[i] = 0;
    }
  }

 private:
  Chunk shared_ = {};
  int newest_ = -1;  // index within the image of the chunk read last
};

/// Ones where a padded row of 1-bit codes holds channels of the image: not in the padding, and not
/// in the channels that a pixel is filled up with.
inline void mark_line(std::uint8_t* marks, const WindowShape& shape, int channels) {
  const int end = (shape.width + 2 * shape.padding) * shape.pixel_bytes + chunk_bytes;
  int pixel = 0, byte = 0;
  for (int i = 0; i < chunk_bytes; ++i) marks[i] = 0;
  // invariant: one byte of marks in each cycle; pixel and byte are counters without a division.
  for (int i = 0; i < end; ++i) {
#pragma HLS pipeline II = 1
    const bool inside = pixel >= shape.padding && pixel < shape.padding + shape.width;
    const int left = channels - byte * 8;  // channels from this byte on
    const int ones = left >= 8 ? 0xff : left > 0 ? (1 << left) - 1 : 0;
    marks[chunk_bytes + i] = static_cast<std::uint8_t>(inside ? ones : 0);
    byte = byte + 1 < shape.pixel_bytes ? byte + 1 : 0;
    pixel += byte == 0 ? 1 : 0;
  }
}

/// One window: kernel rows of kernel · pixel_bytes bytes, joined without gaps.
/// `lines[(top + k) mod line_count]` holds the padded image's row top + k.
inline void write_window(const std::uint8_t (*lines)[line_bytes], int top, int first,
                         const WindowShape& shape, ChunkStream& out) {
  Realigner joined;
  const int bytes = shape.kernel * shape.pixel_bytes;
  for (int k = 0; k < shape.kernel; ++k) {
    const std::uint8_t* line = lines[(top + k) & (line_count - 1)] + chunk_bytes + first;
    // invariant: sixteen bytes in a row are read in each cycle, one piece is joined, at most one
    // chunk leaves.
    for (int at = 0; at < bytes; at += chunk_bytes) {
#pragma HLS pipeline II = 1
      Chunk piece;
      for (int i = 0; i < chunk_bytes; ++i) piece.byte[i] = line[at + i];
      joined.append(piece, bytes - at < chunk_bytes ? bytes - at : chunk_bytes, out);
    }
  }
  joined.flush(out);
}

/// The marks of one window, in step with its codes.
inline void write_marks(const std::uint8_t* marks, int top, int first, const WindowShape& shape,
                        ChunkStream& out) {
  Realigner joined;
  const int bytes = shape.kernel * shape.pixel_bytes;
  for (int k = 0; k < shape.kernel; ++k) {
    const int row = top + k - shape.padding;
    const bool inside = row >= 0 && row < shape.height;
    // invariant: as in write_window.
    for (int at = 0; at < bytes; at += chunk_bytes) {
#pragma HLS pipeline II = 1
      Chunk piece;
      for (int i = 0; i < chunk_bytes; ++i) {
        piece.byte[i] = inside ? marks[chunk_bytes + first + at + i] : std::uint8_t{0};
      }
      joined.append(piece, bytes - at < chunk_bytes ? bytes - at : chunk_bytes, out);
    }
  }
  joined.flush(out);
}

/// For each image: every window in row-major order, window_chunks() chunks each, filled up with
/// zeros. Taps outside the image are zero codes. Where a code cannot be 0 (`marked`: 1-bit codes)
/// the same number of chunks in `validity` says which bits are taps of the image.
inline void sliding_window(ChunkStream& input, ChunkStream& windows, ChunkStream& validity,
                           int images, const WindowShape& shape, int channels, bool marked) {
  std::uint8_t lines[line_count][line_bytes];
#pragma HLS array_partition variable = lines cyclic factor = 16 dim = 2
  std::uint8_t marks[line_bytes];
#pragma HLS array_partition variable = marks cyclic factor = 16
  if (marked) mark_line(marks, shape, channels);
  const int out_height = shape.out_height(), out_width = shape.out_width();
  const int step = shape.stride * shape.pixel_bytes;
  for (int image = 0; image < images; ++image) {
    RowReader reader;
    int filled = 0;  // rows of the padded image so far; row r lies in lines[r mod line_count]
    for (int row = 0; row < out_height; ++row) {
      const int top = row * shape.stride;
      for (; filled < top + shape.kernel; ++filled) {
        reader.fill(input, lines[filled & (line_count - 1)], shape, filled - shape.padding);
      }
      for (int column = 0; column < out_width; ++column) {
        write_window(lines, top, column * step, shape, windows);
        if (marked) write_marks(marks, top, column * step, shape, validity);
      }
    }
    for (; filled < shape.padding + shape.height; ++filled) {
      reader.fill(input, lines[filled & (line_count - 1)], shape, filled - shape.padding);
    }
  }
}

/// A dense layer's vectors are whole images; this gives the marks of each, as sliding_window does.
inline void mark_vectors(ChunkStream& validity, int images, int pixels, int pixel_bytes,
                         int channels, bool marked) {
  if (!marked) return;
  const int count = chunks(pixels * pixel_bytes);
  for (int image = 0; image < images; ++image) {
    int byte = 0, pixel = 0;
    for (int c = 0; c < count; ++c) {
      Chunk marks;
      // invariant: one byte of marks in each cycle; pixel and byte are counters without a division.
      for (int i = 0; i < chunk_bytes; ++i) {
#pragma HLS pipeline II = 1
        const int left = channels - byte * 8;
        const int ones = left >= 8 ? 0xff : left > 0 ? (1 << left) - 1 : 0;
        marks.byte[i] = static_cast<std::uint8_t>(pixel < pixels ? ones : 0);
        byte = byte + 1 < pixel_bytes ? byte + 1 : 0;
        pixel += byte == 0 ? 1 : 0;
      }
      validity.write(marks);
    }
  }
}

}  // namespace engine
}  // namespace dovetail
