// A training step, once the first ones have run: it makes no device memory, no kernel and no
// program, and the host waits for nothing while it is enqueued.
//
// The functions of OpenCL that would are defined here, count, and go on to the real ones. Their
// handles are pointers, so that no header of OpenCL is needed.
#include <gtest/gtest.h>

#include <atomic>
#include <optional>
#include <random>

#include "plan/fixture.hpp"
#include "plan/plan.hpp"
#include "plan/steps_ahead.hpp"
#include "support/next_function.hpp"

namespace {

using dovetail::testing::next_function;

std::atomic<int> made{0}, waited{0}, copied{0};

}  // namespace

#define DOVETAIL_COUNTED(counter, counts, result, name, parameters, ...) \
  result name parameters;                                                \
  result name parameters {                                               \
    static auto* const function = next_function(#name, &name);           \
    if (counts) ++counter;                                               \
    return function(__VA_ARGS__);                                        \
  }

extern "C" {
DOVETAIL_COUNTED(made, true, void*, clCreateBuffer,
                 (void* context, std::uint64_t flags, std::size_t bytes, void* host,
                  std::int32_t* status),
                 context, flags, bytes, host, status)
DOVETAIL_COUNTED(made, true, void*, clCreateSubBuffer,
                 (void* buffer, std::uint64_t flags, std::uint32_t type, const void* region,
                  std::int32_t* status),
                 buffer, flags, type, region, status)
DOVETAIL_COUNTED(made, true, void*, clCreateKernel,
                 (void* program, const char* kernel, std::int32_t* status), program, kernel, status)
DOVETAIL_COUNTED(made, true, std::int32_t, clBuildProgram,
                 (void* program, std::uint32_t count, void* const* devices, const char* options,
                  void (*notify)(void*, void*), void* data),
                 program, count, devices, options, notify, data)
DOVETAIL_COUNTED(waited, true, std::int32_t, clFinish, (void* queue), queue)
DOVETAIL_COUNTED(waited, true, std::int32_t, clWaitForEvents,
                 (std::uint32_t count, void* const* events), count, events)
DOVETAIL_COUNTED(waited, blocking != 0, std::int32_t, clEnqueueReadBuffer,
                 (void* queue, void* buffer, std::uint32_t blocking, std::size_t offset,
                  std::size_t bytes, void* target, std::uint32_t count, void* const* events,
                  void** event),
                 queue, buffer, blocking, offset, bytes, target, count, events, event)
DOVETAIL_COUNTED(waited, (++copied, blocking != 0), std::int32_t, clEnqueueWriteBuffer,
                 (void* queue, void* buffer, std::uint32_t blocking, std::size_t offset,
                  std::size_t bytes, const void* source, std::uint32_t count, void* const* events,
                  void** event),
                 queue, buffer, blocking, offset, bytes, source, count, events, event)
DOVETAIL_COUNTED(waited, blocking != 0, void*, clEnqueueMapBuffer,
                 (void* queue, void* buffer, std::uint32_t blocking, std::uint64_t flags,
                  std::size_t offset, std::size_t bytes, std::uint32_t count, void* const* events,
                  void** event, std::int32_t* status),
                 queue, buffer, blocking, flags, offset, bytes, count, events, event, status)
}

namespace dovetail {
namespace {

using namespace testing;

constexpr std::size_t batch = 8;

struct Way {
  const char* name;
  PlanOptions options;
  std::vector<std::size_t> sizes{batch};
  bool holds_images = false, holds_order = false;
  bool has_weights = false, is_scaled = false;
};

std::vector<Way> ways() {
  const PlanOptions usual{.batch = batch, .training = true, .seed = 3};
  std::vector<Way> all{{"usual", usual}};
  all.push_back({"beside the kernels", usual});
  all.back().options.upload_way = UploadWay::overlapped;
  all.push_back({"images on the device, augmented", usual});
  all.back().options.augmentation = {.crop = 2, .flip = true, .erase = 3};
  all.back().holds_images = true;
  all.push_back({"images and their order on the device", usual, {5, 3}});
  all.back().options.passes = 2;
  all.back().holds_images = all.back().holds_order = true;
  all.push_back({"passes in turn", usual, {5, 3}});
  all.back().options.passes = 2;
  all.push_back({"passes joined", usual, {4, 4}});
  all.back().options.passes = 2;
  all.push_back({"bf16, Adam", usual});
  all.back().options.format = ComputeFormat::bf16;
  all.back().options.optimizer = {.kind = OptimizerKind::adam};
  all.push_back({"tf32", usual});
  all.back().options.format = ComputeFormat::tf32;
  all.push_back({"fp16, weights, Adam", usual});
  all.back().options.format = ComputeFormat::fp16;
  all.back().options.optimizer = {.kind = OptimizerKind::adam};
  all.back().has_weights = all.back().is_scaled = true;
  for (const UploadWay upload : {UploadWay::in_turn, UploadWay::overlapped}) {
    const bool overlapped = upload == UploadWay::overlapped;
    all.push_back({overlapped ? "fp16, beside the kernels" : "fp16", usual});
    all.back().options.format = ComputeFormat::fp16;
    all.back().is_scaled = true;
    all.push_back(
        {overlapped ? "squared error, weights, beside the kernels" : "squared error, weights",
         usual,
         {5, 3}});
    all.back().options.loss = LossKind::mean_squared_error;
    all.back().options.passes = 2;
    all.back().has_weights = true;
    for (std::size_t i : {1, 2}) all[all.size() - i].options.upload_way = upload;
  }
  return all;
}

class Enqueueing : public ::testing::Test {
 protected:
  /// A plan with samples that stay where they are.
  struct Trained {
    Trained(const Model& model, const Way& way)
        : plan(started_plan(model, way.options)),
          drawn(random_batch(model, batch, std::random_device{}())),
          images(drawn.images.begin(), drawn.images.end(), plan.sample_memory()),
          labels(drawn.labels.begin(), drawn.labels.end(), plan.sample_memory()),
          sizes(way.sizes) {
      samples = {.labels = labels, .stays = true};
      if (way.has_weights) samples.weights = weights;
      if (way.is_scaled) plan.set_loss_scale(scale.value());
      if (!way.holds_images) {
        samples.images = images;
        return;
      }
      plan.hold_images(batch);
      plan.write_images(0, images);
      for (std::size_t i = batch; i-- > 0;) numbers.push_back(static_cast<std::int32_t>(i));
      if (way.holds_order) {
        plan.hold_order(numbers, labels).await();
        samples.place = 0;
      } else {
        samples.numbers = numbers;
      }
    }
    void update(std::uint64_t step) {
      plan.enqueue_update(0.01f, {.samples = batch, .normalised = batch}, step + 1);
    }

    Plan plan;
    RandomBatch drawn;
    HostVector<std::uint8_t> images;
    HostVector<std::int32_t> labels;
    std::vector<std::int32_t> numbers{};
    std::vector<float> weights = std::vector<float>(batch, 0.5f);
    LossScale scale{};
    std::vector<std::size_t> sizes;
    StepSamples samples{};
  };

  /// `enqueue(step)` is looked at from step 3 on; `end(step)` may wait.
  template <typename Enqueue, typename End>
  static void expect_nothing_else(const Enqueue& enqueue, const End& end) {
    for (std::uint64_t step = 0; step < 12; ++step) {
      made = waited = 0;
      enqueue(step);
      const int made_here = made, waited_here = waited;
      if (step >= 3) {
        EXPECT_EQ(made_here, 0) << "in step " << step;
        EXPECT_EQ(waited_here, 0) << "in step " << step;
      } else if (step == 0) {
        test_device().allocate(64);  // what counts is seen at all
        EXPECT_GT(made.load(), made_here);
        test_device().finish();
        EXPECT_GT(waited.load(), waited_here);
      }
      end(step);
    }
  }
};

TEST_F(Enqueueing, AStepOfARankAloneNeitherAllocatesNorWaits) {
  for (const Model& model : {small_cnn(), normalised_model()}) {
    for (const Way& way : ways()) {
      SCOPED_TRACE(fmt::format("{}, {}", model.name(), way.name));
      Trained trained(model, way);
      StepsAhead ahead(test_device(), trained.plan, way.is_scaled ? &trained.scale : nullptr);
      expect_nothing_else(
          [&](std::uint64_t step) { ahead.enqueue(step, trained.samples, trained.sizes, 0.01f); },
          [&](std::uint64_t) {
            while (ahead.is_full()) ahead.wait();
          });
    }
  }
}

// Two copies for all steps that share them, and none in a step.
TEST_F(Enqueueing, StepsWhoseSamplesWereSentTogetherCopyNothing) {
  constexpr std::size_t together = 4;
  Way way = ways().front();
  way.options.upload_way = UploadWay::overlapped;
  Trained trained(small_cnn(), way);
  Plan& plan = trained.plan;
  HostVector<std::uint8_t> images(plan.sample_memory());
  HostVector<std::int32_t> labels(plan.sample_memory());
  for (std::size_t i = 0; i < together; ++i) {
    images.insert(images.end(), trained.images.begin(), trained.images.end());
    labels.insert(labels.end(), trained.labels.begin(), trained.labels.end());
  }
  plan.make_room_to_send(labels.size());
  StepsAhead ahead(test_device(), plan);
  std::uint64_t step = 0;
  for (int group = 0; group < 5; ++group) {
    made = copied = 0;
    const Plan::Sending sending = plan.send(images, labels);
    EXPECT_EQ(copied, 2);
    EXPECT_EQ(made, 0);
    for (std::size_t i = 0; i < together; ++i, ++step) {
      while (ahead.is_full()) ahead.wait();
      const StepSamples samples{.place = i * batch,
                                .sending = sending.number,
                                .labels = std::span(labels).subspan(i * batch, batch)};
      made = waited = copied = 0;
      ahead.enqueue(step, samples, trained.sizes, 0.01f);
      EXPECT_EQ(copied, 0);
      if (step < 3) continue;
      EXPECT_EQ(made, 0) << "in step " << step;
      if (i > 0) {  // the first asks for the copies' events, which may be there
        EXPECT_EQ(waited, 0) << "in step " << step;
      }
    }
  }
}

// The sums are waited for then, which is the exchange's part.
TEST_F(Enqueueing, AStepOfOneOfSeveralRanksNeitherAllocatesNorWaits) {
  for (const auto memory : {opencl::HostedBuffer::Way::map, opencl::HostedBuffer::Way::copy}) {
    for (Way way : ways()) {
      SCOPED_TRACE(way.name);
      way.options.reduction_way = memory;
      way.options.bucket_bytes = 1 << 12;
      Trained trained(normalised_model(), way);
      Plan& plan = trained.plan;
      expect_nothing_else(
          [&](std::uint64_t) { plan.enqueue_step(trained.samples, trained.sizes, true); },
          [&](std::uint64_t step) {
            for (std::size_t i = 0; i < plan.buckets().size(); ++i) plan.await_bucket(i);
            for (std::size_t i = 0; i < plan.buckets().size(); ++i) plan.return_bucket(i);
            trained.update(step);
          });
    }
  }
}

}  // namespace
}  // namespace dovetail
