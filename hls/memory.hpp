// Load and store stages: between bursts in the card's memory and the words of the streams.
#pragma once

#include "stream.hpp"
#include "word.hpp"

namespace dovetail {
namespace int8 {

// Deep enough that a stage rarely waits for its neighbour's start-up; 256 × 16 bytes are two
// BRAM36.
using LaneStream = hls::Stream<Lanes, 256>;
using WeightStream = hls::Stream<WeightWord, 4>;
using ParameterStream = hls::Stream<ChannelParameters, 2>;
using AccumulatorStream = hls::Stream<Accumulators, 64>;

constexpr int lanes_per_burst = burst_bytes / simd;

/// Reads `images` maps of `words` lanes each, every one starting on a burst.
inline void load_lanes(const Burst* memory, LaneStream& out, int images, int words) {
  const int bursts = divide_up(words, lanes_per_burst);
  for (int image = 0; image < images; ++image) {
    for (int b = 0; b < bursts; ++b) {
#pragma HLS pipeline II = 4
      const Burst burst = memory[image * bursts + b];
      for (int part = 0; part < lanes_per_burst; ++part) {
        Lanes lanes;
        for (int l = 0; l < simd; ++l) lanes.value[l] = burst.byte[part * simd + l];
        if (b * lanes_per_burst + part < words) out.write(lanes);
      }
    }
  }
}

/// Writes `images` maps of `words` lanes each, every one starting on a burst; the rest of its last
/// burst is zero.
inline void store_lanes(LaneStream& in, Burst* memory, int images, int words) {
  const int bursts = divide_up(words, lanes_per_burst);
  for (int image = 0; image < images; ++image) {
    for (int b = 0; b < bursts; ++b) {
#pragma HLS pipeline II = 4
      Burst burst = {};
      for (int part = 0; part < lanes_per_burst; ++part) {
        if (b * lanes_per_burst + part >= words) continue;
        const Lanes lanes = in.read();
        for (int l = 0; l < simd; ++l) burst.byte[part * simd + l] = lanes.value[l];
      }
      memory[image * bursts + b] = burst;
    }
  }
}

inline void load_weights(const Burst* memory, WeightStream& out, int words) {
  constexpr int bursts = weight_word_bytes / burst_bytes;
  constexpr int rows = burst_bytes / pe;  // of a weight word, in one burst
  for (int w = 0; w < words; ++w) {
#pragma HLS pipeline II = 8
    WeightWord word;
    for (int b = 0; b < bursts; ++b) {
      const Burst burst = memory[w * bursts + b];
      for (int i = 0; i < burst_bytes; ++i) word.value[b * rows + i / pe][i % pe] = burst.byte[i];
    }
    out.write(word);
  }
}

/// The little-endian int32 at a position of a burst.
inline std::int32_t int32_at(const Burst& burst, int position) {
  std::uint32_t bits = 0;
  for (int i = 3; i >= 0; --i)
    bits = bits << 8 | static_cast<std::uint8_t>(burst.byte[position * 4 + i]);
  return static_cast<std::int32_t>(bits);
}

inline void load_parameters(const Burst* memory, ParameterStream& out, int tiles) {
  constexpr int per_burst = burst_bytes / 4;
  constexpr int bursts_per_field = pe / per_burst;
  for (int t = 0; t < tiles; ++t) {
    ChannelParameters parameters;
    for (int b = 0; b < bursts_per_field; ++b) {
#pragma HLS pipeline II = 3
      const Burst* tile = memory + t * 3 * bursts_per_field + b;
      const Burst bias = tile[0];
      const Burst multiplier = tile[bursts_per_field];
      const Burst shift = tile[2 * bursts_per_field];
      for (int i = 0; i < per_burst; ++i) {
        parameters.bias[b * per_burst + i] = int32_at(bias, i);
        parameters.multiplier[b * per_burst + i] = int32_at(multiplier, i);
        parameters.shift[b * per_burst + i] = int32_at(shift, i);
      }
    }
    out.write(parameters);
  }
}

}  // namespace int8
}  // namespace dovetail
