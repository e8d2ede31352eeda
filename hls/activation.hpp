// What follows the products: bias, ReLU and requantisation to int8, or bias alone for the last
// layer.
#pragma once

#include "memory.hpp"
#include "numeric/requantise.hpp"

namespace dovetail {
namespace int8 {

/// int8 activations of pe channels from their accumulators: pe / simd words.
inline void write_requantised(const Accumulators& sums, const ChannelParameters& parameters,
                              std::int32_t low, LaneStream& out) {
  std::int8_t values[pe];
  for (int p = 0; p < pe; ++p) {
#pragma HLS unroll
    values[p] = numeric::requantise(sums.value[p] + parameters.bias[p], parameters.multiplier[p],
                                    parameters.shift[p], low);
  }
  Lanes words[pe / simd];
  for (int p = 0; p < pe; ++p) words[p / simd].value[p % simd] = values[p];
  out.write(words, pe / simd);
}

/// The accumulators themselves with their bias, little-endian int32: 4 · pe / simd words.
inline void write_raw(const Accumulators& sums, const ChannelParameters& parameters,
                      LaneStream& out) {
  constexpr int per_word = simd / 4;
  for (int w = 0; w < pe / per_word; ++w) {
#pragma HLS pipeline II = 1
    Lanes word;
    for (int i = 0; i < simd; ++i) {
      const int p = w * per_word + i / 4;
      const std::uint32_t bits = static_cast<std::uint32_t>(sums.value[p] + parameters.bias[p]);
      word.value[i] = static_cast<std::int8_t>(static_cast<std::uint8_t>(bits >> (i % 4 * 8)));
    }
    out.write(word);
  }
}

/// `count` vectors of `tiles` accumulator words each. With `raw` the sums leave as int32, else as
/// int8, clamped at 0 from below when `relu`.
inline void activate(AccumulatorStream& sums, ParameterStream& parameters, LaneStream& out,
                     int count, int tiles, int relu, int raw) {
  ChannelParameters kept[max_tiles];
  parameters.read(kept, tiles);
  const std::int32_t low = relu != 0 ? 0 : numeric::int8_lowest;
  for (int n = 0; n < count; ++n) {
    for (int t = 0; t < tiles; ++t) {
      const Accumulators sum = sums.read();
      if (raw != 0) {
        write_raw(sum, kept[t], out);
      } else {
        write_requantised(sum, kept[t], low, out);
      }
    }
  }
}

}  // namespace int8
}  // namespace dovetail
