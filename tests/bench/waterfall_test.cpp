// What a waterfall says of the samples' way to the device, in turn with the kernels or beside them.
#include "bench/waterfall.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "device/test_device.hpp"
#include "mpi/mpi_main.hpp"
#include "shards/shard_writer.hpp"
#include "support/scratch_folder.hpp"

namespace dovetail::bench {
namespace {

using dovetail::testing::test_device;
using dovetail::testing::world;

TEST(Waterfall, ACopyCostsWhatTheKernelsWaitForIt) {
  const Interval gap{100, 150};
  EXPECT_EQ(exposed_ns({20, 100}, gap), 0);   // there in time; the gap has another reason
  EXPECT_EQ(exposed_ns({20, 130}, gap), 50);  // with the start behind it
  EXPECT_EQ(exposed_ns({120, 140}, gap), 30) << "the host was late with the first 20";
  EXPECT_EQ(exposed_ns({100, 150}, gap), 50);
  EXPECT_EQ(exposed_ns({20, 130}, {100, 100}), 0);
  EXPECT_EQ(exposed_ns({160, 170}, gap), 0) << "clocks disagree";
}

// A copy for steps to come may end while the host is late with something else.
TEST(Waterfall, OnlyTheFirstStepThatTakesACopyWaitsForIt) {
  std::vector<StepInput> steps{
      {.copy = {0, 40}, .gap = {0, 0}},                                 // sent before: unknown
      {.copy = {110, 160}, .gap = {105, 300}},                          // the host stalls
      {.gap = {310, 312}, .sender = 1},                                 // long there
      {.copy = {400, 700}, .gap = {330, 340}, .sender = std::nullopt},  // for the next one
      {.gap = {500, 710}, .sender = 3},
      {.gap = {720, 800}},
  };
  EXPECT_EQ(waits_ns(steps), (std::vector<std::int64_t>{0, 0, 0, 0, 210, 0}));
  steps[5].sender = 4;  // which sent nothing
  EXPECT_EQ(waits_ns(steps).back(), 0);
  for (std::size_t step = 0; step < 2; ++step) steps[step].sender = step;  // each its own
  EXPECT_EQ(waits_ns(steps)[0], 0);
  EXPECT_EQ(waits_ns(steps)[1], 190);
}

bool has_upload(const Waterfall& waterfall) {
  return std::ranges::count(waterfall.parts, "upload", &StepPart::name) > 0;
}

TEST(Waterfall, TellsCopiesInTurnFromThoseBesideTheKernels) {
  const Model model("chain", {1, 16, 16},
                    {layer::Dense{.out = 20}, layer::Relu{}, layer::Dense{.out = 10}});
  plan::Tuner tuner(test_device());
  for (const UploadWay way : {UploadWay::in_turn, UploadWay::overlapped}) {
    const StepOptions options{.batch = 64, .upload_way = way};
    const Waterfall waterfall = measure_waterfall(world(), test_device(), tuner, model, options);
    const bool in_turn = way == UploadWay::in_turn;
    EXPECT_EQ(has_upload(waterfall), in_turn);
    EXPECT_GT(waterfall.copy_s(), 0);
    if (in_turn) {
      EXPECT_EQ(waterfall.upload_s(), waterfall.copy_s());
      EXPECT_EQ(waterfall.copied_beside_s, 0);
    } else {
      EXPECT_EQ(waterfall.copied_beside_s, waterfall.copy_s());
      EXPECT_GE(waterfall.upload_s(), 0);
      EXPECT_GE(waterfall.copies, 2u);
      EXPECT_LE(waterfall.waited_for, waterfall.copies);
      EXPECT_EQ(waterfall.waited_for > 0, waterfall.longest_wait_s > 0);
    }
  }
}

TEST(Waterfall, StreamedSamplesAreReadAsFastAsTheyCanBe) {
  const Model model("chain", {1, 8, 8},
                    {layer::Dense{.out = 20}, layer::Relu{}, layer::Dense{.out = 10}});
  const ScratchFolder folder;
  Samples split;
  split.shape = {1, 8, 8};
  split.classes = 10;
  split.images.resize(500 * split.shape.bytes());
  std::iota(split.images.begin(), split.images.end(), std::uint8_t{0});
  split.labels.assign(500, 3);
  write_split(folder.path(), split, {.split = "train", .name = "made"});
  plan::Tuner tuner(test_device());
  opencl::Device device(test_device().info().index, test_device().cache());
  for (const UploadWay way : {UploadWay::in_turn, UploadWay::overlapped}) {
    for (const bool on_device : {false, true}) {
      const StepOptions options{.batch = 64,
                                .steps = 100,
                                .data = folder.path(),
                                .on_device = on_device,
                                .upload_way = way};
      const auto reduce = make_all_reduce(world(), device, model, options);
      const auto plan = training_plan(tuner, device, model, options, world().size(), *reduce);
      const StepTiming timing = time_training(world(), device, *plan, *reduce, options);
      EXPECT_EQ(timing.reading.has_value(), !on_device);
      if (timing.reading) {
        EXPECT_GT(timing.reading->samples_per_s, 0);
        EXPECT_NEAR(timing.reading->bytes_per_s, 64 * timing.reading->samples_per_s,
                    1e-6 * timing.reading->bytes_per_s);
      }
      EXPECT_LE(timing.input_s + timing.compute_s + timing.reduce_s + timing.update_s,
                timing.mean_s * (1 + 1e-9));
      if (on_device) continue;
      const Waterfall waterfall = measure_waterfall(world(), device, tuner, model, options);
      EXPECT_EQ(waterfall.copies > 0, way == UploadWay::overlapped);
    }
  }
}

}  // namespace
}  // namespace dovetail::bench
