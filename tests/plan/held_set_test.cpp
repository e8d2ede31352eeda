// A data set on the device: its steps are those of images that are streamed, bit for bit, whatever
// the epochs, and no host memory is used again while it is being copied.
#include "plan/held_set.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <random>
#include <thread>

#include "device/held_queue.hpp"
#include "plan/fixture.hpp"
#include "plan/steps_ahead.hpp"
#include "shards/shard_writer.hpp"
#include "support/scratch_folder.hpp"
#include "support/text.hpp"

namespace dovetail {
namespace {

using namespace testing;

constexpr std::size_t batch = 8;

/// A split of random images, as small_cnn() wants them.
class Split {
 public:
  explicit Split(std::size_t samples) : samples_(samples) {
    const RandomBatch made = random_batch(small_cnn(), samples, std::random_device{}());
    Samples split;
    split.shape = {1, 12, 12};
    split.images = made.images;
    split.labels = made.labels;
    split.classes = 10;
    write_split(folder_.path(), split, {.split = "train", .name = "random"});
  }
  ShardReader reader(bool in_memory = true) const {
    return {folder_.path(), "train", {.seed = 3, .memory_bytes = in_memory ? 1u << 22 : 1u}};
  }
  std::size_t steps_per_epoch() const { return (samples_ + batch - 1) / batch; }
  /// What a step reads that counts from the first epoch's start.
  Range range(std::size_t step) const {
    const std::size_t begin = step % steps_per_epoch() * batch;
    return {.epoch = static_cast<std::int64_t>(step / steps_per_epoch()),
            .begin = begin,
            .count = std::min(batch, samples_ - begin)};
  }
  std::vector<Range> ranges(std::size_t first, std::size_t count) const {
    std::vector<Range> all;
    for (std::size_t step = first; step < first + count; ++step) all.push_back(range(step));
    return all;
  }

 private:
  ScratchFolder folder_;
  std::size_t samples_;
};

Plan make_plan(LossKind loss = LossKind::cross_entropy, UploadWay way = UploadWay::in_turn) {
  return training_plan(small_cnn(), {.batch = batch, .loss = loss, .upload_way = way});
}

struct Result {
  std::vector<double> losses;
  std::vector<std::vector<float>> parameters;
  bool operator==(const Result&) const = default;
};

/// Trains a step for each range, enqueued ahead; `set`: with its images, else with streamed ones.
Result train(Plan& plan, ShardReader& reader, const std::vector<Range>& ranges, HeldSet* set) {
  Result result;
  std::vector<Batch> batches(ranges.size());
  StepsAhead ahead(test_device(), plan);
  const auto take = [&] { result.losses.push_back(ahead.wait().statistics.loss_sum); };
  for (std::size_t step = 0; step < ranges.size(); ++step) {
    while (ahead.is_full()) take();
    Range range = ranges[step];
    range.images = set == nullptr;
    reader.read(range, batches[step]);
    StepSamples samples{.labels = batches[step].labels, .first = batch * step};
    if (set) {
      set->find(batches[step], samples);
      EXPECT_EQ(samples.place.has_value(), range.picks.empty() && reader.in_memory());
    } else {
      samples.images = batches[step].images;
    }
    const std::size_t size = batches[step].size();
    ahead.enqueue(step, samples, std::span(&size, 1), 0.02f);
  }
  while (ahead.size() > 0) take();
  for (const Parameter& parameter : plan.parameters())
    result.parameters.push_back(parameter.value.values);
  return result;
}

void expect_same_steps(const Split& split, const std::vector<Range>& ranges,
                       LossKind loss = LossKind::cross_entropy, bool in_memory = true) {
  for (const UploadWay way : {UploadWay::in_turn, UploadWay::overlapped}) {
    Plan streaming = make_plan(loss), holding = make_plan(loss, way);
    ShardReader reader = split.reader(in_memory), other = split.reader(in_memory);
    ASSERT_EQ(reader.in_memory(), in_memory);
    HeldSet set(holding, reader);
    EXPECT_EQ(train(holding, reader, ranges, &set), train(streaming, other, ranges, nullptr));
  }
}

TEST(HeldSet, EpochsOfSeveralSteps) {
  const Split split(20);
  expect_same_steps(split, split.ranges(0, 6 * split.steps_per_epoch()));
}

TEST(HeldSet, EpochsOfOneStep) {
  const Split split(7);
  expect_same_steps(split, split.ranges(0, 9));
}

TEST(HeldSet, BeginsWithinAnyEpoch) {
  const Split split(29);
  for (const std::size_t first : {1U, 6U, 15U})
    expect_same_steps(split, split.ranges(first, 3 * split.steps_per_epoch()));
}

TEST(HeldSet, EpochsOutOfTurn) {
  const Split split(20);
  const std::size_t steps = split.steps_per_epoch();
  std::vector<Range> ranges;
  // Ahead to what is being read, beyond it, back to what was in use, further back, and again.
  for (const std::size_t epoch : {0U, 1U, 5U, 6U, 5U, 0U, 3U, 2U, 2U, 4U, 3U}) {
    const std::vector<Range> some = split.ranges(epoch * steps, steps);
    ranges.insert(ranges.end(), some.begin(), some.end());
  }
  expect_same_steps(split, ranges);
}

TEST(HeldSet, StepsOfEpochsInAnyOrder) {
  const Split split(20);
  std::vector<Range> ranges = split.ranges(0, 8 * split.steps_per_epoch());
  for (std::size_t step = 0; step < ranges.size(); step += 7) ranges[step].epoch = Range::in_order;
  std::mt19937_64 random(std::random_device{}());
  std::ranges::shuffle(ranges, random);
  expect_same_steps(split, ranges);
}

TEST(HeldSet, SquaredErrorsToo) {
  const Split split(20);
  expect_same_steps(split, split.ranges(2, 5 * split.steps_per_epoch()),
                    LossKind::mean_squared_error);
}

TEST(HeldSet, PicksAmongTheOrdersOfEpochs) {
  const Split split(26);
  std::vector<Range> ranges = split.ranges(0, 5 * split.steps_per_epoch());
  for (std::size_t step = 1; step < ranges.size(); step += 3) {
    ranges[step].begin = 3;
    ranges[step].picks = {7, 0, 0, 22, 5};
    ranges[step].count = 5;
  }
  expect_same_steps(split, ranges);
}

TEST(HeldSet, ASplitThatIsReadBySlabsBringsNumbers) {
  const Split split(3 * slab_samples + 5);
  expect_same_steps(split, split.ranges(7, split.steps_per_epoch()), LossKind::cross_entropy,
                    false);
}

TEST(HeldSet, AnotherSetOfImagesForgetsTheOrder) {
  Plan plan = make_plan();
  plan.hold_images(4);
  const std::vector<std::int32_t> numbers{3, 1}, labels{0, 1};
  plan.hold_order(numbers, labels).await();
  plan.hold_images(2);  // there is no number 3 any more
  const std::size_t size = 2;
  EXPECT_THROW(plan.enqueue_step({.place = 0, .labels = labels}, std::span(&size, 1), false),
               Error);
}

/// The device's kernels held back, until a thread lets them go on after some time.
class HeldFor {
 public:
  explicit HeldFor(std::chrono::milliseconds time) : queue_(test_device()) {
    thread_ = std::thread([this, time] {
      std::unique_lock lock(mutex_);
      no_more_.wait_for(lock, time, [this] { return stopping_; });
      went_on_ = true;
      queue_.release();
    });
  }
  ~HeldFor() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    no_more_.notify_one();
    thread_.join();
  }
  HeldFor(const HeldFor&) = delete;
  HeldFor& operator=(const HeldFor&) = delete;
  bool went_on() const { return went_on_; }

 private:
  HeldQueue queue_;
  std::atomic<bool> went_on_ = false;
  std::mutex mutex_;
  std::condition_variable no_more_;
  bool stopping_ = false;
  std::thread thread_;
};

struct Holding {
  Split split{16};
  ShardReader reader = split.reader();
  Plan plan = make_plan(LossKind::cross_entropy, UploadWay::overlapped);
  std::optional<HeldSet> set{std::in_place, plan, reader};
  std::vector<Batch> batches;
  Holding() { batches.reserve(64); }

  /// Never waits but for an order.
  void enqueue(std::size_t step) {
    Range range = split.range(step);
    range.images = false;
    Batch& mine = batches.emplace_back();
    reader.read(range, mine);
    StepSamples samples{.labels = mine.labels, .first = batch * step};
    set->find(mine, samples);
    const std::size_t size = mine.size();
    plan.enqueue_step(samples, std::span(&size, 1), false);
    plan.enqueue_update(0.02f, {.samples = static_cast<double>(size)}, step + 1);
  }
};

/// Asks for a step's samples alone.
void find(HeldSet& set, const Range& range) {
  Batch asked;
  asked.range = range;
  asked.range.images = false;
  StepSamples samples;
  set.find(asked, samples);
  EXPECT_EQ(samples.place, range.begin);
}

/// What `find` says of a step whose epoch's order cannot be read.
std::string complaint(HeldSet& set, const Range& range) {
  try {
    find(set, range);
  } catch (const Error& failure) {
    return failure.what();
  }
  return "none";
}

const std::string too_few = "samples 0 to 16 were asked for, but the split has 7";

TEST(HeldSet, AnOrderThatCannotBeReadFailsItsStep) {
  const Split few(7);
  Holding holding;
  holding.reader = few.reader();
  EXPECT_EQ(complaint(*holding.set, holding.split.range(2)), "the order of epoch 2: " + too_few);
  holding.reader = holding.split.reader();
  for (std::size_t step = 2; step < 8; ++step) holding.enqueue(step);
}

/// The second epoch is in use, and the order of the third waits for the copy of the first one's,
/// which the device holds back, when its reader is given other samples.
struct FailsAhead : Holding {
  explicit FailsAhead(const Split& few) {
    const HeldQueue held(test_device());
    find(*set, split.range(0));
    find(*set, split.range(2));
    reader = few.reader();
  }
};

TEST(HeldSet, AnOrderThatCannotBeReadAheadFailsItsStepAlone) {
  if (!HeldQueue::works_on(test_device())) GTEST_SKIP() << HeldQueue::needs;
  const Split few(7);
  FailsAhead holding(few);
  for (const std::size_t step : {2U, 3U}) find(*holding.set, holding.split.range(step));
  EXPECT_EQ(complaint(*holding.set, holding.split.range(4)), "the order of epoch 3: " + too_few);
  find(*holding.set, holding.split.range(3));  // is still there
  holding.reader = holding.split.reader();
  for (const std::size_t step : {4U, 6U}) find(*holding.set, holding.split.range(step));
}

TEST(HeldSet, AnOrderThatNoStepAsksForFailsNone) {
  if (!HeldQueue::works_on(test_device())) GTEST_SKIP() << HeldQueue::needs;
  const Split few(7);
  FailsAhead holding(few);
  EXPECT_EQ(complaint(*holding.set, holding.split.range(8)), "the order of epoch 5: " + too_few);
  holding.reader = holding.split.reader();
  for (const std::size_t step : {8U, 10U}) find(*holding.set, holding.split.range(step));
  { const FailsAhead going(few); }
}

TEST(HeldSet, GoesWhileAnOrderIsRead) {
  const Split split(20000);
  ShardReader reader = split.reader();
  ASSERT_TRUE(reader.in_memory());
  Plan plan = make_plan();
  for (std::size_t epochs = 1; epochs < 6; ++epochs) {
    HeldSet set(plan, reader);
    for (std::size_t epoch = 0; epoch < epochs; ++epoch)
      find(set, split.range(epoch * split.steps_per_epoch()));
  }
}

constexpr std::chrono::milliseconds moment{50};
constexpr std::chrono::seconds long_time{60};

TEST(HeldSet, AnOrderIsNotOverwrittenWhileItIsCopied) {
  if (!HeldQueue::works_on(test_device())) GTEST_SKIP() << HeldQueue::needs;
  Holding holding;
  for (std::size_t step = 0; step < 2; ++step) holding.enqueue(step);
  {
    const HeldFor held(moment);
    for (std::size_t step = 2; step < 8; ++step) holding.enqueue(step);
    EXPECT_TRUE(held.went_on()) << "the fourth epoch's order took the second one's place";
  }
  std::vector<std::vector<float>> values;
  for (const Parameter& parameter : holding.plan.parameters())
    values.push_back(parameter.value.values);
  Plan streaming = make_plan();
  const Result expected = train(streaming, holding.reader, holding.split.ranges(0, 8), nullptr);
  EXPECT_EQ(values, expected.parameters);
}

TEST(HeldSet, TheNextOrderWaitsForNothing) {
  if (!HeldQueue::works_on(test_device())) GTEST_SKIP() << HeldQueue::needs;
  Holding holding;
  for (std::size_t step = 0; step < 2; ++step) holding.enqueue(step);
  test_device().finish();
  const HeldFor held(long_time);
  for (std::size_t step = 2; step < 6; ++step) holding.enqueue(step);
  EXPECT_FALSE(held.went_on());
}

TEST(HeldSet, GoesWhenItsOrdersAreCopied) {
  if (!HeldQueue::works_on(test_device())) GTEST_SKIP() << HeldQueue::needs;
  for (const std::size_t epochs : {1U, 2U}) {
    Holding holding;
    for (std::size_t step = 0; step < 2 * epochs; ++step) holding.enqueue(step);
    const HeldFor held(moment);
    for (std::size_t step = 2 * epochs; step < 2 * epochs + 2; ++step) holding.enqueue(step);
    holding.set.reset();
    EXPECT_TRUE(held.went_on());
  }
}

}  // namespace
}  // namespace dovetail
