// Steps whose samples are sent together: the bits of steps that bring their own, wherever groups
// begin and end, and whatever is still being read.
#include "plan/batches_ahead.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <random>

#include "device/held_queue.hpp"
#include "plan/fixture.hpp"
#include "plan/steps_ahead.hpp"
#include "support/error.hpp"

namespace dovetail {
namespace {

using namespace testing;

constexpr std::size_t batch = 6;

Plan make_plan(const Model& model, UploadWay way, LossKind loss = LossKind::cross_entropy) {
  return training_plan(model, {.batch = batch, .passes = 2, .loss = loss, .upload_way = way});
}

/// Epochs of `samples`, whose last step is short, in groups of so many steps; 0: no groups.
class Source {
 public:
  Source(const Model& model, std::size_t samples, std::size_t epochs, std::size_t together,
         std::size_t first_step, std::uint64_t seed)
      : image_(static_cast<std::size_t>(model.input().size())),
        set_(random_batch(model, samples, seed)),
        steps_(epochs * per_epoch()),
        together_(together),
        next_(first_step) {}
  /// The reading of the batch with this step, and of those behind it, fails.
  void fail_at(std::size_t step) { broken_ = step; }
  /// That alone fails, once, and its samples are lost.
  void fail_once_at(std::size_t step) {
    broken_ = step;
    fails_once_ = true;
  }
  std::size_t per_epoch() const { return (set_.labels.size() + batch - 1) / batch; }
  std::size_t steps() const { return steps_; }

  BatchesAhead::Read read(const HostMemory& memory) {
    return [this, memory](Batch& out) {
      if (next_ == steps_) return false;
      if (out.labels.empty()) out = Batch::in(memory);
      const std::size_t step = next_ % per_epoch(), begin = step * batch;
      const std::size_t count = std::min(std::max<std::size_t>(1, together_), per_epoch() - step);
      if (next_ + count > broken_) {
        if (fails_once_) {
          broken_ = std::numeric_limits<std::size_t>::max();
          next_ = std::min(steps_, next_ + count);
        }
        throw Error("cannot be read");
      }
      next_ = std::min(steps_, next_ + count);
      const std::size_t end = std::min(begin + count * batch, set_.labels.size());
      out.range = {.epoch = static_cast<std::int64_t>((next_ - 1) / per_epoch()),
                   .begin = begin,
                   .count = end - begin,
                   .step = together_ > 0 ? batch : 0};
      const auto cut = [&](const auto& from, auto& to, std::size_t each) {
        to.assign(from.begin() + static_cast<std::ptrdiff_t>(begin * each),
                  from.begin() + static_cast<std::ptrdiff_t>(end * each));
      };
      cut(set_.images, out.images, image_);
      cut(set_.labels, out.labels, 1);
      return true;
    };
  }

 private:
  std::size_t image_;
  RandomBatch set_;
  std::size_t steps_, together_, next_, broken_ = std::numeric_limits<std::size_t>::max();
  bool fails_once_ = false;
};

void no_images(const Batch&, StepSamples&) {
  FAIL() << "all batches have images";
}

struct Result {
  std::vector<double> losses;
  std::vector<std::vector<float>> parameters;
  bool operator==(const Result&) const = default;
};

Result train(Plan& plan, Source& source, std::size_t first_step, std::size_t passes,
             LossScale* scale = nullptr) {
  Result result;
  if (scale) plan.set_loss_scale(scale->value());
  {
    BatchesAhead batches(plan, source.read(plan.sample_memory()), no_images);
    StepsAhead ahead(test_device(), plan, scale);
    const auto note = [&](const StepsAhead::Done& done) {
      result.losses.push_back(done.statistics.loss_sum);
      batches.drop_oldest();
    };
    for (std::size_t step = first_step; step < source.steps(); ++step) {
      while (ahead.is_full()) note(ahead.wait());
      auto [range, samples] = batches.next();
      EXPECT_EQ(range.begin, step % source.per_epoch() * batch);
      EXPECT_EQ(range.epoch, static_cast<std::int64_t>(step / source.per_epoch()));
      EXPECT_EQ(range.count, samples.labels.size());
      samples.first = step * batch;
      std::vector<std::size_t> sizes{range.count};
      if (passes == 2) sizes = {(range.count + 1) / 2, range.count / 2};
      ahead.enqueue(step, samples, sizes, 0.02f);
    }
    while (ahead.size() > 0) note(ahead.wait());
    EXPECT_THROW(batches.next(), Error);
  }
  for (const Parameter& parameter : plan.parameters())
    result.parameters.push_back(parameter.value.values);
  return result;
}

TEST(BatchesAhead, GroupsOfStepsGiveTheBitsOfSingleOnes) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  for (const Model& model : {small_cnn(), normalised_model()}) {
    for (const std::size_t passes : {1U, 2U}) {
      for (const std::size_t first : {0U, 2U}) {  // within a group, where a job was resumed
        Plan single = make_plan(model, UploadWay::in_turn);
        EXPECT_EQ(single.steps_together(batch), 0u);
        Source alone(model, 40, 4, 0, first, seed);  // 7 steps, the last of 4 samples
        const Result expected = train(single, alone, first, passes);
        ASSERT_EQ(expected.losses.size(), alone.steps() - first);
        for (const std::size_t together : {1U, 3U, 7U}) {
          Plan plan = make_plan(model, UploadWay::overlapped);
          EXPECT_GT(plan.steps_together(batch), 7u);
          plan.make_room_to_send(std::min<std::size_t>(together * batch, 40));
          Source grouped(model, 40, 4, together, first, seed);
          EXPECT_EQ(train(plan, grouped, first, passes), expected) << together << " together";
        }
      }
    }
  }
}

TEST(BatchesAhead, ScaledLossesToo) {
  const Model model = small_cnn();
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  LossScale one(64), other(64);
  Plan single = make_plan(model, UploadWay::in_turn),
       plan = make_plan(model, UploadWay::overlapped);
  plan.make_room_to_send(3 * batch);
  Source alone(model, 20, 3, 0, 0, seed), grouped(model, 20, 3, 3, 0, seed);
  EXPECT_EQ(train(plan, grouped, 0, 1, &other), train(single, alone, 0, 1, &one));
}

// Half a group before it is needed the next one is read.
TEST(BatchesAhead, AFailureShowsAtTheStepWhoseSamplesCouldNotBeRead) {
  const Model model = small_cnn();
  for (const std::size_t together : {0U, 1U, 3U}) {
    for (const std::size_t broken : {0U, 6U}) {  // where a group begins
      Plan plan = make_plan(model, UploadWay::overlapped);
      plan.make_room_to_send(3 * batch);
      Source source(model, 40, 2, together, 0, 1);
      source.fail_at(broken);
      BatchesAhead batches(plan, source.read(plan.sample_memory()),
                           [](const Batch&, StepSamples&) {});
      for (std::size_t step = 0; step < broken; ++step)
        EXPECT_EQ(batches.next().range.begin, step * batch);
      for (int again = 0; again < 2; ++again) {
        try {
          batches.next();
          FAIL() << "step " << broken << ", " << together << " together";
        } catch (const Error& failure) {
          EXPECT_STREQ(failure.what(), "cannot be read");
        }
      }
    }
  }
}

// As a sending that the device refuses: the group behind it must not be taken in its place.
TEST(BatchesAhead, NothingIsTakenBehindAFailure) {
  const Model model = small_cnn();
  Plan plan = make_plan(model, UploadWay::overlapped);
  plan.make_room_to_send(3 * batch);
  Source source(model, 80, 2, 3, 0, 1);
  source.fail_once_at(3);
  BatchesAhead batches(plan, source.read(plan.sample_memory()), [](const Batch&, StepSamples&) {});
  for (std::size_t step = 0; step < 3; ++step) EXPECT_EQ(batches.next().range.begin, step * batch);
  EXPECT_THROW(batches.next(), Error);
  EXPECT_THROW(batches.next(), Error);
}

TEST(BatchesAhead, GroupsOfTinyStepsAreFewEnoughForAWaterfallToHoldTwo) {
  const Plan plan = make_plan(small_cnn(), UploadWay::overlapped);
  EXPECT_GT(plan.steps_together(1), 1u);
  EXPECT_LE(2 * plan.steps_together(1), 1000u);
}

// Every sending goes where an earlier one is still to be read.
TEST(BatchesAhead, WhatIsStillToBeReadIsNotOverwritten) {
  if (!HeldQueue::works_on(test_device())) GTEST_SKIP() << HeldQueue::needs;
  const Model model = small_cnn();
  const std::size_t large = (std::size_t{5} << 20) / 144;  // so that there are only three places
  Plan single = make_plan(model, UploadWay::in_turn),
       plan = make_plan(model, UploadWay::overlapped);
  plan.make_room_to_send(large);
  std::vector<std::unique_ptr<Batch>> kept;
  const auto enqueue = [&](Plan& to, const StepSamples& samples, std::size_t step) {
    const std::size_t size = samples.labels.size();
    to.enqueue_step(samples, std::span(&size, 1), false);
    to.enqueue_update(0.02f, {.samples = static_cast<double>(size)}, step + 1);
  };
  // Four groups an epoch, so that none takes the place of one with the same samples.
  Source source(model, 40, 6, 2, 0, std::random_device{}());
  const BatchesAhead::Read read = source.read(plan.sample_memory());
  std::optional<HeldQueue> held;
  std::size_t step = 0;
  std::vector<Plan::Sending> sendings;
  for (;;) {
    kept.push_back(std::make_unique<Batch>());
    if (!read(*kept.back())) break;
    const Batch& group = *kept.back();
    const Plan::Sending sending = plan.send(group.images, group.labels);
    sendings.push_back(sending);
    for (std::size_t first = 0; first < group.size(); first += batch, ++step) {
      const std::size_t count = std::min(batch, group.size() - first);
      enqueue(plan,
              {.place = first,
               .sending = sending.number,
               .labels = std::span(group.labels).subspan(first, count)},
              step);
      if (step == 0) held.emplace(test_device());
    }
  }
  held.reset();
  step = 0;
  for (const auto& group : kept) {
    for (std::size_t first = 0; first < group->size(); first += batch, ++step) {
      const std::size_t count = std::min(batch, group->size() - first);
      enqueue(single,
              {.images = std::span(group->images).subspan(first * 144, count * 144),
               .labels = std::span(group->labels).subspan(first, count)},
              step);
    }
  }
  const std::vector<Parameter> actual = plan.parameters(), expected = single.parameters();
  for (std::size_t i = 0; i < actual.size(); ++i)
    EXPECT_EQ(actual[i].value.values, expected[i].value.values) << actual[i].name;
  const std::vector<std::int32_t> labels{1, 2};
  const std::size_t size = 2;
  EXPECT_THROW(plan.enqueue_step({.place = 0, .sending = sendings.front().number, .labels = labels},
                                 std::span(&size, 1), false),
               Error)
      << "long overwritten";
  EXPECT_THROW(plan.enqueue_step({.place = 17, .sending = sendings.back().number, .labels = labels},
                                 std::span(&size, 1), false),
               Error)
      << "past its end";
}

TEST(BatchesAhead, MoreThanThereIsRoomForIsRefused) {
  const Model model = small_cnn();
  const RandomBatch samples = random_batch(model, 5, 1);
  Plan in_turn = make_plan(model, UploadWay::in_turn);
  EXPECT_THROW(in_turn.make_room_to_send(4), Error);
  Plan plan = make_plan(model, UploadWay::overlapped);
  EXPECT_THROW(plan.send(samples.images, samples.labels), Error);
  plan.make_room_to_send(4);
  EXPECT_THROW(plan.send(samples.images, samples.labels), Error);
  EXPECT_THROW(plan.send(std::span(samples.images).first(144), std::span(samples.labels).first(2)),
               Error);
  const std::size_t size = 4;
  EXPECT_THROW(plan.enqueue_step({.place = 0, .sending = 0, .labels = samples.labels},
                                 std::span(&size, 1), false),
               Error);
}

}  // namespace
}  // namespace dovetail
