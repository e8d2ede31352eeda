// Barrel shifters of chunks on a host with AVX-512: a shift up by any number of bytes is one
// shuffle, where memory would hand stored bytes on to a load across them only after many cycles.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "chunk_at.hpp"

namespace dovetail {
namespace hls {

/// The first `count` bytes of a chunk, none to all, from byte `by` < a chunk of two chunks on; all
/// other bytes are zero.
template <typename Chunk>
void shift_up(const Chunk& piece, int count, int by, Chunk& low, Chunk& high) {
  static_assert(sizeof(Chunk) == 16, "a chunk fills a vector register");
  __m128i bytes;
  std::memcpy(&bytes, &piece, sizeof bytes);
  const __m128i places = _mm_set_epi8(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  const __m128i from = _mm_sub_epi8(places, _mm_set1_epi8(static_cast<char>(by)));
  // Rotated by `by`: what is above stands in `low`, what came around in `high`.
  const __m128i around = _mm_and_si128(from, _mm_set1_epi8(15));
  const std::uint32_t taken = ((1U << count) - 1U) << by;
  const __m128i first = _mm_maskz_shuffle_epi8(static_cast<__mmask16>(taken), bytes, around);
  const __m128i second = _mm_maskz_shuffle_epi8(static_cast<__mmask16>(taken >> 16), bytes, around);
  std::memcpy(&low, &first, sizeof first);
  std::memcpy(&high, &second, sizeof second);
}

}  // namespace hls
}  // namespace dovetail
