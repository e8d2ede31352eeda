// Maps, weights and parameters as they lie on the card, written and read value by value from the
// words of numeric/engine_layout.hpp, for the tests of the engine's kernels.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "ops/reference/integer.hpp"
#include "word.hpp"

namespace dovetail::engine {

/// The card's bytes, filled with noise so that a kernel that leans on padding shows.
class CardMemory {
 public:
  CardMemory(std::size_t bytes, std::mt19937& random) : bursts_((bytes + 63) / 64) {
    for (std::size_t i = 0; i < bursts_.size() * 64; ++i)
      byte(i) = static_cast<std::uint8_t>(random());
  }
  std::uint8_t& byte(std::size_t i) { return bursts_[i / 64].chunk[i / 16 % 4].byte[i % 16]; }
  void set_bits(std::size_t first, int count, int code) {
    for (int b = 0; b < count; ++b) {
      const std::size_t at = first + static_cast<std::size_t>(b);
      const auto mask = static_cast<std::uint8_t>(1 << at % 8);
      byte(at / 8) = static_cast<std::uint8_t>(byte(at / 8) & ~mask);
      if ((code >> b & 1) != 0) byte(at / 8) = static_cast<std::uint8_t>(byte(at / 8) | mask);
    }
  }
  int bits(std::size_t first, int count) {
    int code = 0;
    for (int b = 0; b < count; ++b) {
      const std::size_t at = first + static_cast<std::size_t>(b);
      code |= (byte(at / 8) >> at % 8 & 1) << b;
    }
    return code;
  }
  void set_int32(std::size_t index, std::int32_t value) {
    for (std::size_t b = 0; b < 4; ++b) {
      byte(index * 4 + b) = static_cast<std::uint8_t>(static_cast<std::uint32_t>(value) >> (8 * b));
    }
  }
  std::int32_t int32(std::size_t index) {
    std::uint32_t value = 0;
    for (std::size_t b = 4; b-- > 0;) value = value << 8 | byte(index * 4 + b);
    return static_cast<std::int32_t>(value);
  }
  Burst* data() { return bursts_.data(); }

 private:
  std::vector<Burst> bursts_;
};

inline std::size_t size(int value) {
  return static_cast<std::size_t>(value);
}

/// First bit of a value in a map of `stored` channels.
inline std::size_t map_bit(const reference::IntegerMaps& maps, int stored, int bits, int n, int c,
                           int y, int x) {
  return size(n * image_bytes(maps.height, maps.width, stored, bits)) * 8 +
         size(((y * maps.width + x) * stored + c) * bits);
}

/// Maps on the card; channels that the map does not have hold code 0, as the kernels leave them.
inline CardMemory on_card(const reference::IntegerMaps& maps, int stored, int bits,
                          std::mt19937& random) {
  CardMemory memory(size(maps.batch * image_bytes(maps.height, maps.width, stored, bits)), random);
  for (int n = 0; n < maps.batch; ++n) {
    for (int y = 0; y < maps.height; ++y) {
      for (int x = 0; x < maps.width; ++x) {
        for (int c = 0; c < stored; ++c) {
          const int value = c < maps.channels ? maps.at(n, c, y, x) : bits == 1 ? -1 : 0;
          memory.set_bits(map_bit(maps, stored, bits, n, c, y, x), bits,
                          bits == 1 ? (value + 1) / 2 : value);
        }
      }
    }
  }
  return memory;
}

inline void from_card(CardMemory& memory, int stored, int bits, reference::IntegerMaps& maps) {
  for (int n = 0; n < maps.batch; ++n) {
    for (int y = 0; y < maps.height; ++y) {
      for (int x = 0; x < maps.width; ++x) {
        for (int c = 0; c < maps.channels; ++c) {
          const int code = memory.bits(map_bit(maps, stored, bits, n, c, y, x), bits);
          maps.at(n, c, y, x) = static_cast<std::int8_t>(bits == 1 ? 2 * code - 1 : code);
        }
      }
    }
  }
}

/// Weights [out, in, rows, columns] on the card; lanes and outputs that there are none of are zero
/// bits.
inline CardMemory weights_on_card(const reference::IntegerFilter& filter, int rows, int columns,
                                  int in, int stored, int weight_bits, std::mt19937& random) {
  const int words = vector_words(rows * columns * stored, weight_bits);
  const int word_bytes = weight_word_bytes(weight_bits), lanes = simd(weight_bits);
  CardMemory memory(size(tiles(filter.out) * words * word_bytes), random);
  for (int i = 0; i < tiles(filter.out) * words * word_bytes; ++i) memory.byte(size(i)) = 0;
  std::size_t i = 0;
  for (int out = 0; out < filter.out; ++out) {
    for (int c = 0; c < in; ++c) {
      for (int tap = 0; tap < rows * columns; ++tap, ++i) {
        const int lane = tap * stored + c, value = filter.weight[i];
        const std::size_t word = size((out / pe * words + lane / lanes) * word_bytes) * 8;
        const int p = out % pe, at = lane % lanes;
        if (weight_bits == 8) {
          memory.set_bits(word + size((at * pe + p) * 8), 8, value);
          continue;
        }
        const int code = weight_bits == 1 ? (value + 1) / 2 : value;
        for (int k = 0; k < weight_bits; ++k)
          memory.set_bits(word + size((k * pe + p) * lanes + at), 1, code >> k & 1);
      }
    }
  }
  return memory;
}

/// Parameters on the card; outputs that there are none of give code 0.
inline CardMemory parameters_on_card(const reference::IntegerFilter& filter, int bits,
                                     std::mt19937& random) {
  const int fields = parameter_fields(bits);
  CardMemory memory(size(tiles(filter.out) * fields * parameter_bytes), random);
  for (int out = 0; out < tiles(filter.out) * pe; ++out) {
    const auto put = [&](int field, std::int32_t value) {
      memory.set_int32(size((out / pe * fields + field) * pe + out % pe), value);
    };
    const bool real = out < filter.out;
    const reference::IntegerActivation idle;
    const auto& law = real ? filter.activation[size(out)] : idle;
    if (bits < 8) {
      put(0, law.downwards ? levels(bits) : 0);
      for (int t = 0; t < levels(bits); ++t) put(t + 1, real ? law.thresholds[size(t)] : INT32_MAX);
    } else {
      put(0, law.bias);
      put(1, law.multiplier);
      put(2, law.shift);
    }
  }
  return memory;
}

}  // namespace dovetail::engine
