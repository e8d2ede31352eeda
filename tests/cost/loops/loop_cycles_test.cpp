// The cost model's cycles against those of the engine's own loops, counted while they run on random
// shapes.
#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "cost/cycles.hpp"
#include "cost/engine_launch.hpp"
#include "engine/max_pool.cpp"
#include "engine/quantise_input.cpp"
#include "layer.hpp"
#include "support/text.hpp"

namespace dovetail::cost {
namespace {

using engine::ChunkStream;

class LoopCycles : public testing::Test {
 protected:
  int between(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }

  LayerWork layer(WorkKind kind, bool first) {
    LayerWork work;
    work.kind = kind;
    work.first = first;
    work.kernel = between(1, kind == WorkKind::max_pool ? 4 : 7);
    work.stride = between(1, 4);
    work.padding = kind == WorkKind::conv2d ? between(0, work.kernel - 1) : 0;
    work.in = {first ? between(1, 4) : between(1, 150), between(work.kernel, 12),
               between(work.kernel, 14)};
    work.out = {kind == WorkKind::max_pool ? work.in.channels : between(1, 100),
                engine::output_extent(work.in.height, work.kernel, work.stride, work.padding),
                engine::output_extent(work.in.width, work.kernel, work.stride, work.padding)};
    return work;
  }
  std::string trace(const LayerWork& work, const std::string& format) const {
    return fmt::format("seed {}: {} in {}: {} × {} × {}, kernel {}, stride {}, padding {}", seed_,
                       to_string(work.kind), format, work.in.channels, work.in.height,
                       work.in.width, work.kernel, work.stride, work.padding);
  }
  engine::WindowShape shape(const LayerWork& work, int bits) const {
    const int channels = work.first ? work.in.channels : engine::stored_channels(work.in.channels);
    return {work.in.height, work.in.width, engine::code_bytes(channels, bits),
            work.kernel,    work.stride,   work.padding};
  }

  unsigned seed_ = std::random_device{}();
  std::mt19937 random_{seed_};
};

Question ask(const char* format, const LayerWork& work) {
  Question question;
  question.card = &find_card("u280");
  question.format = numeric::parse_format(format);
  question.work = {work};
  return question;
}

Folding as_built(const numeric::Format& format) {
  return {engine::pe, engine::simd(format.weights.bits)};
}

void begin_counting() {
  counted_cycles = counted_entries = 0;
}

Loops counted_loops() {
  return {counted_cycles, counted_entries};
}

/// Loops of `stage` between `in` chunks and a consumer of `out` chunks of two streams.
Loops loops(int in, int out, int validity_out,
            const std::function<void(ChunkStream&, ChunkStream&, ChunkStream&)>& stage) {
  ChunkStream input, output, validity;
  begin_counting();
  hls::Region region;
  region.add("feed", [&] {
    for (int i = 0; i < in; ++i) input.write({});
  });
  region.add("stage", [&] { stage(input, output, validity); });
  region.add("drain", [&] {
    for (int i = 0; i < out; ++i) {
      output.read();
      if (i < validity_out) validity.read();
    }
  });
  region.run();
  return counted_loops();
}

void expect_loops(const LayerCost& cost, const Loops& loops) {
  EXPECT_EQ(cost.cycles, loops.cycles);
  EXPECT_EQ(cost.cycles_with_depth, loops.with_depth()) << loops.entries << " entries";
}

TEST_F(LoopCycles, OfTheSlidingWindowAreTheModels) {
  for (const char* format : {"w1a1", "w1a2", "w4a4", "w1a8", "w8a8", "w8a4"}) {
    for (int trial = 0; trial < 30; ++trial) {
      const Question question = ask(format, layer(WorkKind::conv2d, trial % 3 == 0));
      const LayerWork& work = question.work[0];
      SCOPED_TRACE(trace(work, format));
      const int bits = operands(question.format, work).input_bits;
      const engine::WindowShape map = shape(work, bits);
      const auto run = [&](int images) {
        const int chunks = images * work.vectors() * map.window_chunks();
        return loops(images * map.image_chunks(), chunks, bits == 1 ? chunks : 0,
                     [&](ChunkStream& in, ChunkStream& out, ChunkStream& validity) {
                       engine::sliding_window(in, out, validity, images, map, work.in.channels,
                                              bits == 1);
                     });
      };
      // What an image takes, without the marks of a launch.
      ASSERT_EQ(run(2) - run(1),
                window_loops(question.format, work, as_built(question.format), bits));
    }
  }
}

TEST_F(LoopCycles, OfTheMaxPoolAreTheModels) {
  for (const char* format : {"w1a1", "w1a2", "w4a4", "w8a8", "w8a2"}) {
    for (int trial = 0; trial < 30; ++trial) {
      const Question question = ask(format, layer(WorkKind::max_pool, false));
      const LayerWork& work = question.work[0];
      SCOPED_TRACE(trace(work, format));
      const int bits = operands(question.format, work).output_bits;
      const engine::WindowShape map = shape(work, bits);
      const int out = engine::chunks(work.vectors() * map.pixel_bytes);
      expect_loops(pool_cost(question, work, as_built(question.format)),
                   loops(map.image_chunks(), out, 0,
                         [&](ChunkStream& in, ChunkStream& pooled, ChunkStream&) {
                           pool_windows(in, pooled, 1, map, bits);
                         }));
    }
  }
}

TEST_F(LoopCycles, OfTheInputAreTheModels) {
  for (int trial = 0; trial < 20; ++trial) {
    const Question question = ask("w8a8", layer(WorkKind::conv2d, true));
    const FeatureShape& in = question.work[0].in;
    const int chunks = engine::chunks(in.size());
    ChunkStream tables;
    for (int i = 0; i < in.channels * table_chunks; ++i) tables.write({});
    expect_loops(input_cost(question, as_built(question.format)),
                 loops(chunks, chunks, 0, [&](ChunkStream& pixels, ChunkStream& map, ChunkStream&) {
                   translate(pixels, tables, map, 1, in.channels, in.height * in.width);
                 }));
  }
}

LayerWork dense(int in, int out) {
  LayerWork work;
  work.in = {in, 1, 1};
  work.out = {out, 1, 1};
  return work;
}

TEST_F(LoopCycles, OfBitPlanesAreTheModels) {
  static engine::Planes planes;
  static const engine::PlaneWeights<1> weights[64 * 64] = {};
  for (const auto& [format, bits] : {std::pair{"w1a1", 1}, {"w1a2", 2}, {"w1a4", 4}, {"w1a8", 8}}) {
    for (int trial = 0; trial < 20; ++trial) {
      const Question question = ask(format, dense(between(1, 2000), between(1, 300)));
      const LayerWork& work = question.work[0];
      const Launch launch = launch_of(question, work, as_built(question.format));
      const int lanes = engine::stored_channels(work.in.channels);
      const int chunks = engine::chunks(engine::code_bytes(lanes, bits));
      const int words = engine::vector_words(lanes, 1), tiles = engine::tiles(work.out.channels);
      SCOPED_TRACE(trace(work, format));
      ChunkStream vectors, validity;
      for (int i = 0; i < chunks; ++i) {
        vectors.write({});
        if (bits == 1) validity.write({});
      }
      begin_counting();
      engine::read_planes<1>(vectors, validity, planes, chunks, lanes, bits);
      ASSERT_EQ(counted_loops(), reading_loops(question.format, work, launch));
      engine::AccumulatorStream sums;
      begin_counting();
      engine::multiply_planes(planes, weights, sums, words, tiles, bits);
      ASSERT_EQ(counted_loops(),
                (Loops{matrix_vector_cycles(launch.tiles, launch.words * launch.passes, 1), 1}));
    }
  }
}

TEST_F(LoopCycles, OfBytesAreTheModels) {
  static const engine::ByteWeights weights[64 * 64] = {};
  for (int trial = 0; trial < 20; ++trial) {
    const Question question = ask("w8a8", dense(between(200, 900), between(1, 300)));
    const LayerWork& work = question.work[0];
    SCOPED_TRACE(trace(work, "w8a8"));
    const int lanes = engine::stored_channels(work.in.channels);
    const int chunks = engine::chunks(lanes), tiles = engine::tiles(work.out.channels);
    constexpr int count = engine::vectors_at_once;
    ChunkStream vectors, validity;
    for (int i = 0; i < count * chunks; ++i) vectors.write({});
    engine::AccumulatorStream sums;
    begin_counting();
    engine::multiply(vectors, validity, weights, sums, count, chunks, lanes, tiles, 8);
    const LayerCost cost = linear_cost(question, work, as_built(question.format));
    ASSERT_EQ(cost.bound, "compute");
    ASSERT_EQ(counted_cycles, count * cost.cycles);
    // A tile's loop takes four vectors; by one the model rounds it up.
    const std::int64_t modelled = (cost.cycles_with_depth - cost.cycles) / assumed_loop_depth;
    ASSERT_EQ(counted_entries, 2 * count + tiles);
    ASSERT_EQ(modelled, 2 + engine::divide_up(tiles, count));
  }
}

TEST_F(LoopCycles, OfTheActivationAreTheModels) {
  for (const auto& [format, bits] : {std::pair{"w1a1", 1}, {"w1a2", 2}, {"w1a4", 4}, {"w1a8", 8}}) {
    const Question question = ask(format, dense(64, between(1, 300)));
    const LayerCost cost = linear_cost(question, question.work[0], as_built(question.format));
    const int tiles = engine::tiles(question.work[0].out.channels);
    engine::AccumulatorStream sums;
    engine::ParameterStream parameters;
    const engine::Output output = {1, 1, tiles, bits, 0};
    begin_counting();
    hls::Region region;
    region.add("feed", [&] {
      for (int i = 0; i < tiles * output.fields(); ++i) parameters.write({});
      for (int i = 0; i < tiles; ++i) sums.write({});
    });
    ChunkStream out;
    region.add("activate", [&] { engine::activate(sums, parameters, out, output); });
    region.add("drain", [&] {
      for (int i = 0; i < output.image_chunks(); ++i) out.read();
    });
    region.run();
    if (cost.bound != "activation") continue;  // of 8 bits the products take as long
    ASSERT_EQ(counted_cycles, cost.cycles) << format;
    ASSERT_EQ(counted_entries, 1) << format;
  }
}

}  // namespace
}  // namespace dovetail::cost
