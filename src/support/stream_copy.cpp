// By SSE2's non-temporal stores, which x86-64 always has.
#include "support/stream_copy.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace dovetail {

void stream_copy(void* to, const void* from, std::size_t bytes) {
#ifdef __SSE2__
  constexpr std::size_t width = sizeof(__m128i);
  auto* target = static_cast<std::byte*>(to);
  const auto* source = static_cast<const std::byte*>(from);
  const std::size_t beyond = reinterpret_cast<std::uintptr_t>(target) % width;
  const std::size_t head = beyond == 0 ? 0 : std::min(bytes, width - beyond);
  std::memcpy(target, source, head);
  std::size_t at = head;
  for (; at + width <= bytes; at += width) {
    _mm_stream_si128(reinterpret_cast<__m128i*>(target + at),
                     _mm_loadu_si128(reinterpret_cast<const __m128i*>(source + at)));
  }
  std::memcpy(target + at, source + at, bytes - at);
#else
  std::memcpy(to, from, bytes);
#endif
}

void publish_stream_copies() {
#ifdef __SSE2__
  _mm_sfence();
#endif
}

}  // namespace dovetail
