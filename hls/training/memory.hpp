// Load and store stages of the training kernels: between bursts in the card's memory and the words
// of the streams.
//
// Several compute units share a batch: each takes `images` images from number `first` on.
#pragma once

#include "family.hpp"
#include "stream.hpp"

namespace dovetail {
namespace training {

using Word = Family::Word;
using Square = Family::Square;
using Operand = Family::Operand;
using Sums = Family::Sums;
using SquareBurst = Family::SquareBurst;
static_assert(sizeof(SquareBurst) == burst_bytes, "512 bits");

constexpr int words_per_burst = burst_bytes / sizeof(Word);
/// 512 bits of a map.
struct alignas(burst_bytes) WordBurst {
  Word word[words_per_burst];
};

// Deep enough that a stage rarely waits for its neighbour's start-up.
using WordStream = hls::Stream<Word, 1024>;
using SquareStream = hls::Stream<Square, 4>;
using RealStream = hls::Stream<RealWord, 256>;
using TileStream = hls::Stream<RealTile, 128>;
using RouteStream = hls::Stream<RouteTile, 256>;

/// Maps of `words` words each.
inline void load_words(const WordBurst* memory, WordStream& out, int first, int images, int words) {
  const int bursts = bursts_for(words, words_per_burst);
  for (int image = first; image < first + images; ++image) {
    // invariant: one burst is read while its words leave, one a cycle.
    for (int b = 0; b < bursts; ++b) {
#pragma HLS pipeline II = words_per_burst
      const WordBurst burst = memory[image * bursts + b];
      const int left = words - b * words_per_burst;
      out.write_up_to<words_per_burst>(burst.word, left);
    }
  }
}

/// What a map's last burst holds beyond its words is zero.
inline void store_words(WordStream& in, WordBurst* memory, int images, int words) {
  const int bursts = bursts_for(words, words_per_burst);
  for (int image = 0; image < images; ++image) {
    // invariant: the words of one burst come, one a cycle, and it is written once.
    for (int b = 0; b < bursts; ++b) {
#pragma HLS pipeline II = words_per_burst
      WordBurst burst = {};
      const int left = words - b * words_per_burst;
      in.read_up_to<words_per_burst>(burst.word, left);
      memory[image * bursts + b] = burst;
    }
  }
}

inline void load_squares(const SquareBurst* memory, SquareStream& out, int squares) {
  // invariant: a burst is read in each cycle; each part of the square is set by one.
  for (int s = 0; s < squares; ++s) {
#pragma HLS pipeline II = Family::square_bursts
    Square square;
    for (int part = 0; part < Family::square_bursts; ++part) {
#pragma HLS unroll
      Family::set_burst(memory[s * Family::square_bursts + part], part, square);
    }
    out.write(square);
  }
}

inline void load_reals(const RealWord* memory, RealStream& out, int words) {
  // invariant: a word is read and leaves in each cycle.
  for (int w = 0; w < words; ++w) {
#pragma HLS pipeline II = 1
    out.write(memory[w]);
  }
}

/// Tiles are two words each.
inline void load_tiles(const RealWord* memory, TileStream& out, int tiles) {
  // invariant: a word is read in each cycle; each half of the tile is set by one.
  for (int t = 0; t < tiles; ++t) {
#pragma HLS pipeline II = words_per_tile
    RealTile tile;
    for (int w = 0; w < words_per_tile; ++w) {
#pragma HLS unroll
      const RealWord word = memory[t * words_per_tile + w];
      for (int l = 0; l < simd; ++l) tile.value[w * simd + l] = word.value[l];
    }
    out.write(tile);
  }
}

/// `tiles` tiles from number `first` on.
inline void store_tiles(TileStream& in, RealWord* memory, int first, int tiles) {
  // invariant: one word is written in each cycle.
  for (int t = first; t < first + tiles; ++t) {
#pragma HLS pipeline II = words_per_tile
    const RealTile tile = in.read();
    for (int w = 0; w < words_per_tile; ++w) {
#pragma HLS unroll
      RealWord word;
      for (int l = 0; l < simd; ++l) word.value[l] = tile.value[w * simd + l];
      memory[t * words_per_tile + w] = word;
    }
  }
}

/// Every image's routes start on a burst.
inline void load_routes(const RouteBurst* memory, RouteStream& out, int first, int images,
                        int tiles) {
  const int bursts = bursts_for(tiles, route_tiles_per_burst);
  for (int image = first; image < first + images; ++image) {
    // invariant: one burst is read while its routes leave, one a cycle.
    for (int b = 0; b < bursts; ++b) {
#pragma HLS pipeline II = route_tiles_per_burst
      const RouteBurst burst = memory[image * bursts + b];
      for (int i = 0; i < route_tiles_per_burst; ++i) {
        if (b * route_tiles_per_burst + i < tiles) out.write(burst.tile[i]);
      }
    }
  }
}

inline void store_routes(RouteStream& in, RouteBurst* memory, int first, int images, int tiles) {
  const int bursts = bursts_for(tiles, route_tiles_per_burst);
  for (int image = first; image < first + images; ++image) {
    // invariant: the routes of one burst come, one a cycle, and it is written once.
    for (int b = 0; b < bursts; ++b) {
#pragma HLS pipeline II = route_tiles_per_burst
      RouteBurst burst = {};
      for (int i = 0; i < route_tiles_per_burst; ++i) {
        if (b * route_tiles_per_burst + i < tiles) burst.tile[i] = in.read();
      }
      memory[image * bursts + b] = burst;
    }
  }
}

/// The largest magnitude of a launch, alone in a burst.
inline void store_largest(RealStream& in, RealWord* memory, int slot) {
  memory[slot] = in.read();
}

}  // namespace training
}  // namespace dovetail
