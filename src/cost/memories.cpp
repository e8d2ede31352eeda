// Follows the declarations of hls/engine.
#include "cost/memories.hpp"

#include <algorithm>

#include "cost/cycles.hpp"
#include "cost/engine_launch.hpp"

namespace dovetail::cost {
namespace {

constexpr std::int64_t int32_bits = 32;
constexpr std::int64_t line_count = 8;       // hls/sliding_window.hpp
constexpr std::int64_t vectors_at_once = 4;  // hls/byte_product.hpp
constexpr std::int64_t rows_of_words = 8;    // CodeRow of hls/bit_serial.hpp
constexpr std::int64_t ping_pong = 2;        // what passes between the stages within a loop
constexpr std::int64_t chunk_stream = 1024, sum_stream = 256, short_stream = 4;  // hls/memory.hpp

std::int64_t max_outputs() {
  return std::int64_t{engine::max_tiles} * engine::pe;
}

void append(std::vector<Memory>& to, const std::vector<Memory>& more) {
  to.insert(to.end(), more.begin(), more.end());
}

Memory chunk_streams(std::int64_t count, std::int64_t chunk) {
  return {.source = "memory.hpp",
          .variable = "ChunkStream",
          .depth = chunk_stream,
          .width = chunk,
          .copies = count};
}

/// hls/bit_serial.hpp: planes of the vector under way and of the next one, and codes and marks as
/// they come.
std::vector<Memory> plane_memories(Folding f) {
  const std::int64_t words = divide_up(engine::max_lanes, f.simd);
  const std::int64_t row = rows_of_words * f.simd;
  constexpr std::int64_t members = 2;  // bits and mask, memories of their own
  return {{.source = "bit_serial.hpp",
           .variable = "planes",
           .depth = words,
           .width = f.simd,
           .copies = engine::max_activation_bits * members * ping_pong},
          {.source = "bit_serial.hpp", .variable = "codes", .depth = words, .width = row},
          {.source = "bit_serial.hpp",
           .variable = "marks",
           .depth = divide_up(words, rows_of_words),
           .width = row}};
}

/// hls/byte_product.hpp: a block of vectors, and the sums of all its tiles.
std::vector<Memory> byte_memories(Folding f) {
  return {{.source = "byte_product.hpp",
           .variable = "block",
           .depth = divide_up(engine::max_lanes, f.simd) * vectors_at_once,
           .width = std::int64_t{8} * f.simd},
          {.source = "byte_product.hpp",
           .variable = "sums",
           .depth = divide_up(max_outputs(), f.pe) * vectors_at_once,
           .width = int32_bits * f.pe}};
}

/// What a convolution and a dense layer have in common.
std::vector<Memory> layer_memories(const numeric::Format& format, Folding f) {
  const std::int64_t word = std::int64_t{f.pe} * f.simd * stored_weight_bits(format);
  const std::int64_t field = int32_bits * f.pe;
  std::vector<Memory> memories{
      {.source = "matrix_vector.hpp",
       .variable = "kept",
       .depth = divide_up(std::int64_t{engine::max_weight_bytes} * 8, word),
       .width = word,
       .storage = Storage::uram},
      {.source = "activation.hpp",
       .variable = "kept",
       .depth = divide_up(max_outputs(), f.pe) * (engine::max_levels + 1),
       .width = field,
       .two_reads = true},
      {.source = "memory.hpp", .variable = "WeightStream", .depth = short_stream, .width = word},
      {.source = "memory.hpp",
       .variable = "ParameterStream",
       .depth = short_stream,
       .width = field},
      {.source = "memory.hpp",
       .variable = "AccumulatorStream",
       .depth = sum_stream,
       .width = field}};
  append(memories, is_bit_serial(format) ? plane_memories(f) : byte_memories(f));
  return memories;
}

}  // namespace

Resources resources_of(const Card& card, const Memory& memory) {
  Resources one;
  if (memory.storage == Storage::uram) {
    one.uram = uram_of(memory.depth, memory.width);
  } else {
    const Resources lut_ram{.lut = divide_up(memory.depth, 64) * memory.width};
    const Resources bram{.bram18 = bram18_of(memory.depth, memory.width, memory.two_reads)};
    const bool shallow = memory.storage == Storage::automatic && memory.depth <= deepest_lut_ram;
    one = shallow && card.share(lut_ram) <= card.share(bram) ? lut_ram : bram;
  }
  Resources all;
  for (std::int64_t copy = 0; copy < memory.copies; ++copy) all += one;
  return all;
}

Resources resources_of(const Card& card, const std::vector<Memory>& memories) {
  Resources all;
  for (const Memory& memory : memories) all += resources_of(card, memory);
  return all;
}

std::vector<Memory> engine_memories(WorkKind kind, const numeric::Format& format, Folding f) {
  const std::int64_t chunk = chunk_bits(format, f);
  // A padded row and a chunk more.
  const std::int64_t line = divide_up(std::int64_t{engine::max_row_bytes} * 8, chunk) + 1;
  const Memory lines{.source = "sliding_window.hpp",
                     .variable = "lines",
                     .depth = line_count * line,
                     .width = chunk,
                     .storage = Storage::uram,
                     .two_reads = true};
  if (kind == WorkKind::max_pool) {
    Memory pool_lines = lines;
    pool_lines.source = "engine/max_pool.cpp";
    return {pool_lines,
            {.source = "engine/max_pool.cpp",
             .variable = "columns",
             .depth = line,
             .width = chunk,
             .storage = Storage::bram,
             .two_reads = true},
            chunk_streams(2, chunk)};
  }
  std::vector<Memory> memories = layer_memories(format, f);
  if (kind == WorkKind::conv2d) {
    append(memories, {lines,
                      {.source = "sliding_window.hpp",
                       .variable = "marks",
                       .depth = line,
                       .width = chunk,
                       .storage = Storage::bram,
                       .two_reads = true},
                      chunk_streams(4, chunk)});
  } else {
    append(memories, {{.source = "sliding_window.hpp",
                       .variable = "vector marks",
                       .depth = divide_up(engine::max_lanes, chunk),
                       .width = chunk},
                      chunk_streams(3, chunk)});
  }
  return memories;
}

std::vector<Memory> engine_input_memories(const numeric::Format& format, Folding f) {
  const std::int64_t chunk = chunk_bits(format, f);
  const std::int64_t parts = std::max<std::int64_t>(1, chunk / 8);
  const std::int64_t depth = divide_up(engine::max_image_bytes + parts, parts);
  std::vector<Memory> memories{{.source = "engine/quantise_input.cpp",
                                .variable = "tables",
                                .depth = engine::max_input_channels * 256,
                                .width = 8},
                               chunk_streams(3, chunk)};
  for (const char* variable : {"image", "map"}) {
    memories.push_back({.source = "engine/quantise_input.cpp",
                        .variable = variable,
                        .depth = depth,
                        .width = 8,
                        .copies = parts});
  }
  return memories;
}

}  // namespace dovetail::cost
