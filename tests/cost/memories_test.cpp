// The model's memories of hls/engine are the arrays and streams of its sources, bound as they say.
#include "cost/memories.hpp"

#include <gtest/gtest.h>

#include "cost/engine_launch.hpp"
#include "layer.hpp"
#include "source_pragmas.hpp"
#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail::cost {
namespace {

Folding as_built(const numeric::Format& format) {
  return {engine::pe, engine::simd(stored_weight_bits(format))};
}

std::vector<Memory> of(WorkKind kind, const char* name) {
  const numeric::Format format = numeric::parse_format(name);
  return engine_memories(kind, format, as_built(format));
}

std::vector<Memory> all_of(const char* name) {
  const numeric::Format format = numeric::parse_format(name);
  std::vector<Memory> all = engine_input_memories(format, as_built(format));
  for (const WorkKind kind : {WorkKind::conv2d, WorkKind::dense, WorkKind::max_pool}) {
    const std::vector<Memory> more = of(kind, name);
    all.insert(all.end(), more.begin(), more.end());
  }
  return all;
}

TEST(EngineMemories, AreBoundAsThePragmasSay) {
  for (const char* file : {"activation.hpp", "bit_serial.hpp", "matrix_vector.hpp",
                           "sliding_window.hpp", "engine/max_pool.cpp"})
    expect_as_in_source(file, all_of("w4a4"));
  for (const char* file : {"byte_product.hpp", "engine/quantise_input.cpp"})
    expect_as_in_source(file, all_of("w8a8"));
}

template <int Bits>
void expect_weights(const char* format) {
  SCOPED_TRACE(format);
  for (const WorkKind kind : {WorkKind::conv2d, WorkKind::dense}) {
    const std::vector<Memory> memories = of(kind, format);
    expect_array<engine::WeightWord<Bits>>(memories, "matrix_vector.hpp", "kept",
                                           engine::max_weight_words(Bits));
    expect_streams<engine::WeightStream<Bits>>(memories, "memory.hpp", "WeightStream", 1);
  }
}

TEST(EngineMemories, OfWeightsAreThoseOfTheSource) {
  expect_weights<1>("w1a4");
  expect_weights<2>("w2a1");
  expect_weights<2>("wta8");
  expect_weights<4>("w4a4");
  expect_weights<8>("w8a8");
  expect_weights<8>("int8");
}

TEST(EngineMemories, OfLayersAreThoseOfTheSource) {
  using namespace engine;
  for (const char* format : {"w1a1", "w4a8", "w8a8"}) {
    SCOPED_TRACE(format);
    const auto conv = of(WorkKind::conv2d, format), dense = of(WorkKind::dense, format);
    expect_array<Chunk>(conv, "sliding_window.hpp", "lines",
                        std::int64_t{dovetail::engine::line_count} * line_chunks);
    expect_array<Chunk>(conv, "sliding_window.hpp", "marks", line_chunks);
    expect_array<Chunk>(dense, "sliding_window.hpp", "vector marks", chunks(max_lanes / 8));
    expect_streams<ChunkStream>(conv, "memory.hpp", "ChunkStream", 4);
    expect_streams<ChunkStream>(dense, "memory.hpp", "ChunkStream", 3);
    for (const auto& memories : {conv, dense}) {
      expect_array<ParameterField>(
          memories, "activation.hpp", "kept",
          std::int64_t{max_tiles} * sizeof(TileParameters) / sizeof(ParameterField));
      expect_streams<ParameterStream>(memories, "memory.hpp", "ParameterStream", 1);
      expect_streams<AccumulatorStream>(memories, "memory.hpp", "AccumulatorStream", 1);
    }
  }
}

TEST(EngineMemories, OfProductsAreThoseOfTheSource) {
  using namespace engine;
  const auto planes = of(WorkKind::conv2d, "w1a1"), bytes = of(WorkKind::dense, "w8a8");
  // Partitioned by plane; bits and mask apart; the dataflow region within the loop doubles it.
  expect_array<std::uint64_t>(planes, "bit_serial.hpp", "planes", max_plane_words,
                              max_activation_bits * 2 * sizeof(PlaneWord) / sizeof(std::uint64_t));
  EXPECT_EQ(sizeof(Planes::word), sizeof(PlaneWord) * max_activation_bits * max_plane_words);
  expect_array<CodeRow>(planes, "bit_serial.hpp", "codes", max_plane_words);
  expect_array<CodeRow>(planes, "bit_serial.hpp", "marks", max_plane_words / 8);
  expect_array<Lanes>(bytes, "byte_product.hpp", "block",
                      std::int64_t{max_lane_words} * vectors_at_once);
  expect_array<Accumulators>(bytes, "byte_product.hpp", "sums",
                             std::int64_t{max_tiles} * vectors_at_once);
}

TEST(EngineMemories, OfPoolAndInputAreThoseOfTheSource) {
  using namespace engine;
  const auto pool = of(WorkKind::max_pool, "w1a1"), input = all_of("w8a8");
  expect_array<Chunk>(pool, "engine/max_pool.cpp", "lines",
                      std::int64_t{dovetail::engine::line_count} * line_chunks);
  expect_array<Chunk>(pool, "engine/max_pool.cpp", "columns", line_chunks);
  expect_streams<ChunkStream>(pool, "memory.hpp", "ChunkStream", 2);
  expect_array<std::uint8_t>(input, "engine/quantise_input.cpp", "tables",
                             max_input_channels * 256);
  for (const char* variable : {"image", "map"}) {
    expect_array<std::uint8_t>(input, "engine/quantise_input.cpp", variable,
                               (max_image_bytes + chunk_bytes) / chunk_bytes, chunk_bytes);
  }
}

/// The model counts the max-pool's shifters once, so no function that has any is there for each
/// width of codes.
TEST(EngineMemories, OfThePoolServeAllWidthsAsItsShiftersDo) {
  const std::string text = hls_text("engine/max_pool.cpp");
  const std::size_t last_template = text.rfind("template <");
  ASSERT_NE(last_template, std::string::npos);
  for (const char* shifter : {"RowReader", "Realigner", "hls::chunk_at", ".fill("}) {
    const std::size_t first = text.find(shifter);
    ASSERT_NE(first, std::string::npos) << shifter;
    EXPECT_GT(first, last_template) << shifter;
  }
  for (const char* call : {"hls::chunk_at(", ".fill(", " pool_rows(lines", " pool_pixels(columns"})
    EXPECT_EQ(text.find(call), text.rfind(call)) << call;
}

/// hls/engine/README.md and hls/memory.hpp: eight URAM of lines a unit, 2 MiB of weights in URAM of
/// 36 KiB each, four BRAM36 a stream of chunks, fifteen a stream of accumulators.
TEST(EngineMemories, TakeTheBlocksOfTheReadme) {
  const Card& card = find_card("u280");
  const auto conv = of(WorkKind::conv2d, "w8a8");
  const auto blocks = [&](const char* source, const char* variable) {
    Memory memory = memory_named(conv, source, variable);
    memory.copies = 1;
    return resources_of(card, memory);
  };
  EXPECT_EQ(blocks("sliding_window.hpp", "lines"), (Resources{.uram = 8}));
  EXPECT_EQ(blocks("matrix_vector.hpp", "kept"), (Resources{.uram = 57}));
  EXPECT_EQ(blocks("memory.hpp", "ChunkStream"), (Resources{.bram18 = 2 * 4}));
  EXPECT_EQ(blocks("memory.hpp", "AccumulatorStream"), (Resources{.bram18 = 29}));  // 15 BRAM36
  // Two reads a cycle need whole ports: 2048 × 9, not 512 × 36.
  EXPECT_EQ(blocks("sliding_window.hpp", "marks"), (Resources{.bram18 = 15}));
}

TEST(EngineMemories, OfAnotherFoldingKeepTheirBytes) {
  const numeric::Format format = numeric::parse_format("w8a8");
  const auto bits = [](const Memory& memory) {
    return memory.depth * memory.width * memory.copies;
  };
  for (const Folding f : {Folding{8, 4}, Folding{64, 64}, Folding{128, 16}}) {
    SCOPED_TRACE(fmt::format("{}x{}", f.pe, f.simd));
    const auto built = engine_memories(WorkKind::conv2d, format, as_built(format));
    const auto other = engine_memories(WorkKind::conv2d, format, f);
    for (const auto& [source, variable] : {std::pair{"matrix_vector.hpp", "kept"},
                                           {"activation.hpp", "kept"},
                                           {"byte_product.hpp", "block"},
                                           {"byte_product.hpp", "sums"}}) {
      EXPECT_EQ(bits(memory_named(other, source, variable)),
                bits(memory_named(built, source, variable)))
          << source << ' ' << variable;
    }
    EXPECT_GE(bits(memory_named(other, "sliding_window.hpp", "lines")),
              std::int64_t{engine::line_count} * engine::max_row_bytes * 8);
  }
}

}  // namespace
}  // namespace dovetail::cost
