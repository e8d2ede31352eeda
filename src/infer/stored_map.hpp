// Reads an inference kernel's feature map back from the bytes that lie in the card's memory.
#pragma once

#include <algorithm>
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

  /// Channels beyond a hidden map's own must have code 0, which the next layer's 1-bit weights rely
  /// on; accumulators of such channels have the same weights, and so are alike. What fills an
  /// image's last burst is zero.
  bool filler_holds(const std::vector<std::uint8_t>& from) const {
    const auto pixels = to_size(height * width), own = to_size(channels), all = to_size(stored);
    const std::size_t used = to_size(engine::code_bytes(height * width * stored, bits));
    for (std::size_t begin = 0; begin < from.size(); begin += bytes()) {
      const std::uint8_t* image = &from[begin];
      if (std::any_of(image + used, image + bytes(), [](std::uint8_t byte) { return byte != 0; }))
        return false;
      for (std::size_t p = 0; p < pixels; ++p) {
        const std::size_t first = p * all + own;
        for (std::size_t i = first; i < (p + 1) * all; ++i) {
          const std::int32_t code = bits == 1 ? -1 : 0;
          if (value(image, i) != (bits == engine::raw_bits ? value(image, first) : code))
            return false;
        }
      }
    }
    return true;
  }
};

}  // namespace dovetail::infer
