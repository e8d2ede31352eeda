// The cost model against the loops of hls/training, counted while they run on random shapes, and
// against its arrays. One program a family: the include path picks family.hpp.
#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "cost/cycles.hpp"
#include "cost/memories.hpp"
#include "cost/training_launch.hpp"
#include "dataflow.hpp"
#include "source_pragmas.hpp"
#include "support/text.hpp"
#include "training/activation.hpp"
#include "training/matrix_vector.hpp"
#include "training/train_quantise.cpp"
#include "training/train_quantise_images.cpp"
#include "training/window.hpp"

namespace dovetail::cost {
namespace {

constexpr Folding as_built{training::pe, training::simd};

class TrainingCycles : public testing::Test {
 protected:
  int between(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }

  /// One layer that is not the last, perhaps with a pool.
  Question ask(bool dense, bool first) {
    LayerWork work;
    work.kind = dense ? WorkKind::dense : WorkKind::conv2d;
    work.name = "layer";
    work.first = first;
    work.kernel = dense ? 1 : between(1, 5);
    work.stride = dense ? 1 : between(1, 3);
    work.padding = between(0, work.kernel - 1);
    work.in = {first ? between(1, 4) : between(1, 90), between(work.kernel, 9),
               between(work.kernel, 11)};
    const auto out = [&](int extent) {
      return dense ? 1 : training::output_extent(extent, work.kernel, work.stride, work.padding);
    };
    work.out = {between(1, 100), out(work.in.height), out(work.in.width)};
    Question question;
    question.card = &find_card("u280");
    question.format = numeric::parse_format(DOVETAIL_FORMAT);
    question.work = {work};
    if (const int pool = between(1, 3);
        pool > 1 && work.out.height >= pool && work.out.width >= pool) {
      LayerWork pooling;
      pooling.kind = WorkKind::max_pool;
      pooling.name = "pool";
      pooling.kernel = pooling.stride = pool;
      pooling.in = work.out;
      pooling.out = {work.out.channels, work.out.height / pool, work.out.width / pool};
      question.work.push_back(pooling);
    }
    return question;
  }
  std::string trace(const LayerWork& work) const {
    return fmt::format("seed {}: {} of {} × {} × {} to {}, kernel {}, stride {}, padding {}", seed_,
                       to_string(work.kind), work.in.channels, work.in.height, work.in.width,
                       work.out.channels, work.kernel, work.stride, work.padding);
  }

  unsigned seed_ = std::random_device{}();
  std::mt19937 random_{seed_};
};

/// A region's counted loops; feeding and draining have none.
Loops loops(const std::function<void()>& feed, const std::function<void()>& stage,
            const std::function<void()>& drain) {
  counted_cycles = counted_entries = 0;
  hls::Region region;
  region.add("feed", feed);
  region.add("stage", stage);
  region.add("drain", drain);
  region.run();
  return {counted_cycles, counted_entries};
}

template <typename S>
void feed(S& stream, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) stream.write({});
}
template <typename S>
void drain(S& stream, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) stream.read();
}

/// The layer as hls/training takes it, from the functions of numeric/training_layout.hpp.
struct OnCard {
  int height = 1, width = 1, words, tiles, pool = 1;

  OnCard(const Question& question) {
    const LayerWork& work = question.work[0];
    const bool dense = work.kind == WorkKind::dense;
    words = training::channel_words(work.in.channels);
    if (!work.first) words = training::output_tiles(work.in.channels) * training::words_per_tile;
    if (dense && work.first) {
      words = training::channel_words(work.in.size());
    } else if (dense) {
      words *= work.in.height * work.in.width;
    } else {
      height = work.in.height;
      width = work.in.width;
    }
    tiles = training::output_tiles(work.out.channels);
    if (question.work.size() > 1) pool = question.work[1].kernel;
  }
};

/// Loops of one image in each stage of train_forward.
struct Stages {
  Loops products, reading, windows, activation, loading, storing;

  std::int64_t slowest() const {
    return std::max({products.cycles, reading.cycles, windows.cycles, activation.cycles,
                     loading.cycles, storing.cycles});
  }
  std::int64_t slowest_with_depth() const {
    return std::max({products.with_depth(), reading.with_depth(), windows.with_depth(),
                     activation.with_depth(), loading.with_depth(), storing.with_depth()});
  }
};

Stages count_stages(const Question& question) {
  using namespace training;
  const LayerWork& work = question.work[0];
  const OnCard card(question);
  const Window window{card.height, card.width,   card.words,      work.kernel,   work.stride,
                      1,           work.padding, work.out.height, work.out.width};
  const int vectors = work.out.height * work.out.width, words = window.vector_words();
  const int map = card.height * card.width * card.words;
  const Activation shape{work.out.height, work.out.width, card.tiles, card.pool, 1};
  const int pooled = shape.out_height * shape.out_width * card.tiles;
  Stages found;
  {
    std::vector<Square> kept(static_cast<std::size_t>(card.tiles) * words);
    std::vector<Operand> vector(static_cast<std::size_t>(words));
    TileStream sums;
    WordStream in;
    counted_cycles = counted_entries = 0;
    multiply_vector(vector.data(), kept.data(), sums, words, card.tiles, 1);
    found.products = vectors * Loops{counted_cycles, counted_entries};
    found.reading = vectors * loops([&] { feed(in, words); },
                                    [&] { read_vector(in, vector.data(), words); }, [] {});
  }
  {
    WordStream in, out;
    found.windows = loops([&] { feed(in, map); }, [&] { sliding_window(in, out, 1, window); },
                          [&] { drain(out, std::int64_t{vectors} * words); });
  }
  {
    TileStream sums, bias, out;
    RouteStream routes;
    RealStream largest;
    const auto images = [&](int count) {
      return loops(
          [&] {
            feed(bias, card.tiles);
            feed(sums, std::int64_t{count} * vectors * card.tiles);
          },
          [&] { training::activate(sums, bias, out, routes, largest, count, shape); },
          [&] {
            for (int i = 0; i < count * pooled; ++i) {
              drain(out, 1);
              drain(routes, 1);
            }
            drain(largest, 1);
          });
    };
    const Loops one = images(1);
    found.activation = images(2) - one;
  }
  {
    const std::vector<WordBurst> memory(static_cast<std::size_t>(bursts_for(map, words_per_burst)));
    WordStream out;
    found.loading =
        loops([] {}, [&] { load_words(memory.data(), out, 0, 1, map); }, [&] { drain(out, map); });
  }
  {
    std::vector<RealWord> memory(static_cast<std::size_t>(pooled) * words_per_tile);
    TileStream in;
    found.storing =
        loops([&] { feed(in, pooled); }, [&] { store_tiles(in, memory.data(), 0, pooled); }, [] {});
  }
  return found;
}

TEST_F(TrainingCycles, OfTheForwardPassAreTheModels) {
  for (int trial = 0; trial < 60; ++trial) {
    const Question question = ask(trial % 3 == 0, trial % 4 == 0);
    SCOPED_TRACE(trace(question.work[0]));
    const LayerCost cost = training_costs(question, as_built)[1];
    const Stages stages = count_stages(question);
    ASSERT_EQ(cost.cycles, stages.slowest());
    ASSERT_EQ(cost.cycles_with_depth, stages.slowest_with_depth());
    if (cost.bound == "compute") {
      ASSERT_EQ(cost.cycles, stages.products.cycles);
      ASSERT_EQ(cost.interval, training::Family::add_cycles);
    }
    const TrainingShape shape = training_shape(fused_layers(question.work)[0], as_built);
    ASSERT_EQ(stages.products.cycles, question.work[0].vectors() * shape.tiles *
                                          shape.vector_words * training::Family::add_cycles);
  }
}

TEST_F(TrainingCycles, OfQuantisingAreTheModels) {
  for (int trial = 0; trial < 20; ++trial) {
    const Question question = ask(trial % 3 == 0, false);
    SCOPED_TRACE(trace(question.work[0]));
    const FeatureShape& out = question.work.back().out;
    const int words = training::output_tiles(out.channels) * training::words_per_tile;
    const int count = out.height * out.width * words;
    training::RealStream reals;
    training::RouteStream routes;
    training::WordStream codes;
    const Unpool shape{out.height, out.width, words, 1, 0};
    const training::Rounding rounding{1, 4, 0, 0};
    const Loops counted = loops([&] { feed(reals, count); },
                                [&] { quantise_maps(reals, routes, codes, 1, shape, rounding); },
                                [&] { drain(codes, count); });
    const LayerCost cost = training_costs(question, as_built)[2];
    ASSERT_EQ(cost.kind, "quantise");
    ASSERT_EQ(cost.cycles, counted.cycles);
    ASSERT_EQ(cost.cycles_with_depth, counted.with_depth());
  }
}

TEST_F(TrainingCycles, OfTheInputAreTheModels) {
  for (int trial = 0; trial < 20; ++trial) {
    const bool dense = trial % 2 == 0;
    const Question question = ask(dense, true);
    SCOPED_TRACE(trace(question.work[0]));
    const FeatureShape& in = question.work[0].in;
    const int plane = in.height * in.width;
    const Picture picture{dense ? 1 : plane, dense ? in.size() : in.channels, plane};
    PixelStream pixels;
    training::RealStream tables;
    training::WordStream codes;
    const auto images = [&](int count) {
      return loops(
          [&] {
            feed(tables, std::int64_t{in.channels} * table_words);
            feed(pixels, std::int64_t{count} * picture.bursts());
          },
          [&] {
            translate(pixels, tables, codes, count, picture, {1, 4, 0, 0});
          },
          [&] { drain(codes, std::int64_t{count} * picture.positions * picture.words()); });
    };
    const Loops one = images(1);
    const LayerCost cost = training_costs(question, as_built)[0];
    const Loops counted = images(2) - one;
    ASSERT_EQ(cost.cycles, counted.cycles);
    ASSERT_EQ(cost.cycles_with_depth, counted.with_depth());
  }
}

TEST(TrainingFamilyOfTheModel, IsThatOfTheHeader) {
  using namespace training;
  const TrainingFamily family = training_family(numeric::parse_format(DOVETAIL_FORMAT));
  EXPECT_EQ(family.add_cycles, Family::add_cycles);
  EXPECT_EQ(family.word_bits(as_built), std::int64_t{sizeof(Word)} * 8);
  EXPECT_EQ(family.words_per_burst(as_built), words_per_burst);
  EXPECT_EQ(family.square_bits(as_built), std::int64_t{sizeof(Square)} * 8);
  EXPECT_EQ(family.square_bursts(as_built), Family::square_bursts);
  EXPECT_EQ(family.sum_bits, static_cast<int>(sizeof(Sums)) * 8 / pe);
}

TEST(TrainingMemories, AreTheArraysAndStreamsOfTheSource) {
  using namespace training;
  const TrainingFamily family = training_family(numeric::parse_format(DOVETAIL_FORMAT));
  const auto forward = forward_memories(family, as_built);
  expect_array<Word>(forward, "training/window.hpp", "lines",
                     std::int64_t{training::line_count} * max_row_words);
  expect_array<Square>(forward, "training/matrix_vector.hpp", "kept", max_forward_words);
  expect_array<Operand>(forward, "training/matrix_vector.hpp", "vector", max_vector_words, 2);
  expect_array<RealTile>(forward, "training/activation.hpp", "bias", max_tiles);
  expect_array<RealTile>(forward, "training/activation.hpp", "best",
                         max_row_words / words_per_tile);
  expect_array<RouteTile>(forward, "training/activation.hpp", "route",
                          max_row_words / words_per_tile);
  expect_streams<WordStream>(forward, "training/memory.hpp", "WordStream", 2);
  expect_streams<SquareStream>(forward, "training/memory.hpp", "SquareStream", 1);
  expect_streams<TileStream>(forward, "training/memory.hpp", "TileStream", 3);
  expect_streams<RouteStream>(forward, "training/memory.hpp", "RouteStream", 1);
  expect_streams<RealStream>(forward, "training/memory.hpp", "RealStream", 1);
  const auto quantising = quantise_memories(family, as_built);
  expect_array<RealWord>(quantising, "training/train_quantise.cpp", "values", max_row_words);
  expect_array<RouteTile>(quantising, "training/train_quantise.cpp", "kept_routes",
                          max_row_words / words_per_tile);
  const auto images = quantise_images_memories(family, as_built);
  expect_array<RealWord>(images, "training/train_quantise_images.cpp", "tables",
                         max_input_channels * table_words);
  expect_array<PixelBurst>(images, "training/train_quantise_images.cpp", "image",
                           max_image_bytes / burst_bytes);
  expect_streams<PixelStream>(images, "training/memory.hpp", "PixelStream", 1);
  for (const char* file :
       {"training/window.hpp", "training/matrix_vector.hpp", "training/activation.hpp"})
    expect_as_in_source(file, forward);
  expect_as_in_source("training/train_quantise.cpp", quantising);
  expect_as_in_source("training/train_quantise_images.cpp", images);
}

}  // namespace
}  // namespace dovetail::cost
