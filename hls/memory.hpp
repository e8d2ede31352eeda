// Load and store stages: between bursts in the card's memory and the words of the streams.
#pragma once

#include <shift.hpp>

#include "bits.hpp"
#include "stream.hpp"
#include "word.hpp"

namespace dovetail {
namespace engine {

// Deep enough that a stage rarely waits for its neighbour's start-up; 1,024 × 16 bytes are four
// BRAM36, 256 accumulator words fifteen.
using ChunkStream = hls::Stream<Chunk, 1024>;
using ParameterStream = hls::Stream<ParameterField, 4>;
using AccumulatorStream = hls::Stream<Accumulators, 256>;
template <int Bits>
using WeightStream = hls::Stream<WeightWord<Bits>, 4>;

constexpr int chunks_per_burst = burst_bytes / chunk_bytes;

/// Reads `images` maps of `count` chunks each, every one starting on a burst.
inline void load_chunks(const Burst* memory, ChunkStream& out, int images, int count) {
  const int bursts = divide_up(count, chunks_per_burst);
  for (int image = 0; image < images; ++image) {
    // invariant: one burst is read and four chunks leave in four cycles, so the stream never
    // carries more than one a cycle.
    for (int b = 0; b < bursts; ++b) {
#pragma HLS pipeline II = 4
      const Burst burst = memory[image * bursts + b];
      const int left = count - b * chunks_per_burst;
      out.write_up_to<chunks_per_burst>(burst.chunk, left);
    }
  }
}

/// Writes `images` maps of `count` chunks each, every one starting on a burst; the rest of its last
/// burst is zero.
inline void store_chunks(ChunkStream& in, Burst* memory, int images, int count) {
  const int bursts = divide_up(count, chunks_per_burst);
  for (int image = 0; image < images; ++image) {
    // invariant: four chunks come and one burst is written in four cycles.
    for (int b = 0; b < bursts; ++b) {
#pragma HLS pipeline II = 4
      Burst burst = {};
      const int left = count - b * chunks_per_burst;
      in.read_up_to<chunks_per_burst>(burst.chunk, left);
      memory[image * bursts + b] = burst;
    }
  }
}

inline void place_burst(const Burst& burst, int index, ByteWeights& word) {
  for (int i = 0; i < burst_bytes; ++i) {
    const int at = index * burst_bytes + i;
    word.value[at / pe][at % pe] =
        static_cast<std::int8_t>(burst.chunk[i / chunk_bytes].byte[i % chunk_bytes]);
  }
}

template <int Bits>
void place_burst(const Burst& burst, int index, PlaneWeights<Bits>& word) {
  for (int i = 0; i < burst_bytes / 8; ++i) {
    const int at = index * (burst_bytes / 8) + i;
    word.plane[at / pe][at % pe] = word_at(burst.chunk[i / 2].byte + i % 2 * 8);
  }
}

template <int Bits>
void load_weights(const Burst* memory, WeightStream<Bits>& out, int words) {
  constexpr int bursts = weight_word_bytes(Bits) / burst_bytes;
  // invariant: a burst is read in each cycle; burst b alone fills its part of the word, which
  // leaves whole.
  for (int w = 0; w < words; ++w) {
#pragma HLS pipeline II = bursts
    WeightWord<Bits> word;
    for (int b = 0; b < bursts; ++b) {
#pragma HLS unroll
      place_burst(memory[w * bursts + b], b, word);
    }
    out.write(word);
  }
}

/// `fields` of pe little-endian int32 each.
inline void load_parameters(const Burst* memory, ParameterStream& out, int fields) {
  constexpr int bursts = parameter_bytes / burst_bytes;
  constexpr int per_burst = burst_bytes / 4;
  // invariant: as in load_weights.
  for (int f = 0; f < fields; ++f) {
#pragma HLS pipeline II = bursts
    ParameterField field;
    for (int b = 0; b < bursts; ++b) {
#pragma HLS unroll
      const Burst burst = memory[f * bursts + b];
      for (int i = 0; i < per_burst; ++i) {
        field.value[b * per_burst + i] = int32_at(burst.chunk[i / 4].byte + i % 4 * 4);
      }
    }
    out.write(field);
  }
}

/// Joins pieces of any number of bytes into whole chunks: a barrel shifter and one chunk of
/// registers. What the next call needs of this one is `held_`, one short addition and a comparison,
/// and `kept_`, one OR and a choice: a piece a cycle.
class Realigner {
 public:
  /// Takes the first `count` bytes of a chunk, 0 to chunk_bytes. True where they complete a chunk,
  /// or where the image or window `ends` and anything is held: then `whole` is the next chunk,
  /// filled up with zeros. Where an end falls in two chunks, the second leaves in another call.
  bool append(const Chunk& piece, int count, bool ends, Chunk& whole) {
#pragma HLS inline
    Chunk low, high;
    hls::shift_up(piece, count, held_, low, high);
    held_ += count;
    const bool full = held_ >= chunk_bytes || (ends && held_ > 0);
    held_ = !full ? held_ : held_ > chunk_bytes ? held_ - chunk_bytes : 0;
    for (int i = 0; i < chunk_bytes; ++i) {
#pragma HLS unroll
      whole.byte[i] = kept_.byte[i] | low.byte[i];
      kept_.byte[i] = full ? high.byte[i] : whole.byte[i];
    }
    return full;
  }
  void append(const Chunk& piece, int count, bool ends, ChunkStream& out) {
#pragma HLS inline
    Chunk whole;
    if (append(piece, count, ends, whole)) out.write(whole);
  }
  void append(const Chunk& piece, int count, ChunkStream& out) {
#pragma HLS inline
    append(piece, count, false, out);
  }
  /// Ends an image.
  void flush(ChunkStream& out) {
#pragma HLS inline
    append(Chunk{}, 0, true, out);
  }

 private:
  Chunk kept_ = {};  // invariant: zero from byte held_ on
  int held_ = 0;     // invariant: < chunk_bytes between calls
};

}  // namespace engine
}  // namespace dovetail
