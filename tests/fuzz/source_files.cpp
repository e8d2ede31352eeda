// Compresses through zlib itself, since a seed is made in memory.
#include "fuzz/source_files.hpp"

#include <zlib.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "support/error.hpp"

namespace dovetail::fuzz {

Bytes joined(const Bytes& first, const Bytes& second) {
  Bytes both(4);
  for (std::size_t i = 0; i < both.size(); ++i)
    both[i] = static_cast<std::uint8_t>(first.size() >> (8 * i));
  both.insert(both.end(), first.begin(), first.end());
  both.insert(both.end(), second.begin(), second.end());
  return both;
}

std::pair<Input, Input> parted(Input both) {
  std::size_t first = 0;
  const std::size_t head = std::min<std::size_t>(both.size(), 4);
  for (std::size_t i = 0; i < head; ++i) first |= std::size_t{both[i]} << (8 * i);
  both = both.subspan(head);
  first = std::min(first, both.size());
  return {both.first(first), both.subspan(first)};
}

Bytes compressed(const Bytes& bytes) {
  z_stream stream{};
  constexpr int gzip_window = 15 + 16, memory_level = 8;
  if (deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, gzip_window, memory_level,
                   Z_DEFAULT_STRATEGY) != Z_OK) {
    std::abort();
  }
  Bytes packed(deflateBound(&stream, bytes.size()));
  Bytes from = bytes;
  stream.next_in = from.data();
  stream.avail_in = static_cast<uInt>(from.size());
  stream.next_out = packed.data();
  stream.avail_out = static_cast<uInt>(packed.size());
  if (deflate(&stream, Z_FINISH) != Z_STREAM_END) std::abort();
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

Bytes pixels(std::size_t count) {
  Bytes bytes;
  for (std::size_t i = 0; i < count; ++i) bytes.push_back(static_cast<std::uint8_t>(37 * i));
  return bytes;
}

void in_a_line(const std::function<void()>& action) {
  constexpr std::size_t longest = 2000;
  try {
    action();
  } catch (const Error& failure) {
    const std::string_view text = failure.what();
    const bool shown = std::none_of(text.begin(), text.end(),
                                    [](unsigned char c) { return c < ' ' || c == 0x7f; });
    if (shown && text.size() <= longest) throw;
    std::fprintf(stderr, "no short line: %s\n", failure.what());
    std::abort();
  }
}

void expect_whole(const Samples& samples) {
  if (samples.size() == 0 || samples.images.size() != samples.size() * samples.shape.bytes())
    std::abort();
}

}  // namespace dovetail::fuzz
