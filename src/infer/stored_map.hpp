// Reads an inference kernel's feature map back from the bytes that lie in the card's memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "numeric/engine_layout.hpp"
#include "numeric/packing.hpp"

namespace dovetail::infer {

/// A map as it lies on the card, codes of `bits` bits with padded channels.
struct StoredMap {
  int channels, stored, height, width, bits;

  static std::size_t to_size(int value) { return static_cast<std::size_t>(value); }
  std::size_t values() const { return to_size(channels * height * width); }
  std::size_t bytes() const { return to_size(engine::image_bytes(height, width, stored, bits)); }

  std::int32_t value(const std::uint8_t* image, std::size_t index) const {
    if (bits == engine::raw_bits) {
      std::int32_t raw = 0;
      std::memcpy(&raw, image + index * sizeof raw, sizeof raw);
      return raw;
    }
    const std::uint32_t code = numeric::unpack_code(image, index, bits);
    if (bits == 1) return code != 0 ? 1 : -1;
    return bits == 8 ? numeric::sign_extend(code, 8) : static_cast<std::int32_t>(code);
  }

  /// Whole images, to [images, channels, height, width].
  void decode(const std::vector<std::uint8_t>& from, std::int32_t* to) const {
    const std::size_t pixels = to_size(height * width);
    for (std::size_t begin = 0; begin < from.size(); begin += bytes()) {
      for (std::size_t c = 0; c < to_size(channels); ++c) {
        for (std::size_t p = 0; p < pixels; ++p)
          *to++ = value(&from[begin], p * to_size(stored) + c);
      }
    }
  }

  /// Channels beyond a hidden map's own must have code 0: the next layer's 1-bit weights rely on
  /// it.
  bool padding_is_zero(const std::vector<std::uint8_t>& from) const {
    if (bits == engine::raw_bits) return true;  // no layer follows
    for (std::size_t begin = 0; begin < from.size(); begin += bytes()) {
      for (std::size_t i = 0; i < to_size(height * width * stored); ++i) {
        if (i % to_size(stored) < to_size(channels)) continue;
        const std::int32_t zero = bits == 1 ? -1 : 0;
        if (value(&from[begin], i) != zero) return false;
      }
    }
    return true;
  }
};

}  // namespace dovetail::infer
