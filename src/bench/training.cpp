// Steps as the Trainer makes them: prefetched input, gradients, all-reduce, update.
#include "bench/training.hpp"

#include <algorithm>

#include "model/loss_scale.hpp"
#include "plan/plan.hpp"
#include "shards/prefetcher.hpp"
#include "shards/share.hpp"
#include "support/clock.hpp"
#include "support/random.hpp"

namespace dovetail::bench {
namespace {

constexpr int warm_up_steps = 5;

/// Hands out batches: a data set's through the prefetcher, or one of random images again and again.
class Input {
 public:
  Input(const Communicator& ranks, Plan& plan, const StepOptions& options) {
    const Model& model = plan.model();
    const Share mine =
        share(static_cast<std::size_t>(options.batch), static_cast<std::size_t>(ranks.rank()),
              static_cast<std::size_t>(ranks.size()));
    if (options.data) {
      reader_.emplace(*options.data, "train", ReaderOptions{.seed = options.seed});
      if (options.on_device) upload(plan);
      const std::size_t batch = static_cast<std::size_t>(options.batch);
      const std::size_t steps = std::max<std::size_t>(1, reader_->samples() / batch);
      prefetcher_.emplace(*reader_, [=](std::size_t step) {
        return Range{.epoch = static_cast<std::int64_t>(step / steps),
                     .begin = step % steps * batch + mine.begin,
                     .count = mine.count,
                     .images = !options.on_device};
      });
      return;
    }
    SplitMix64 random(options.seed);
    batch_.images.resize(mine.count * static_cast<std::size_t>(model.input().size()));
    batch_.labels.resize(mine.count);
    for (auto& value : batch_.images) value = static_cast<std::uint8_t>(random.below(256));
    for (auto& label : batch_.labels)
      label = static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(model.classes())));
    if (!options.on_device) return;
    plan.hold_images(mine.count);
    plan.write_images(0, batch_.images);
    batch_.range.images = false;
    for (std::size_t i = 0; i < mine.count; ++i)
      batch_.numbers.push_back(static_cast<std::int32_t>(i));
  }

  const Batch& next() {
    if (prefetcher_) prefetcher_->next(batch_);
    return batch_;
  }

 private:
  void upload(Plan& plan) {
    constexpr std::size_t piece = 4096;
    plan.hold_images(reader_->samples());
    for (std::size_t first = 0; first < reader_->samples(); first += piece) {
      reader_->read({.begin = first, .count = std::min(piece, reader_->samples() - first)}, batch_);
      plan.write_images(first, batch_.images);
    }
  }

  Batch batch_;
  std::optional<ShardReader> reader_;
  std::optional<Prefetcher> prefetcher_;
};

InputStatistics statistics_of(const Model& model) {
  const auto channels = static_cast<std::size_t>(model.input().channels);
  return {std::vector<float>(channels, 0.5f), std::vector<float>(channels, 0.25f)};
}

struct Parts {
  std::vector<double> step, input, compute, reduce, update;
};

}  // namespace

ModelWork work_of(const Model& model) {
  ModelWork work;
  bool first = true;
  for (const PlacedLayer& placed : model.layers()) {
    double products = 0;
    if (const auto* conv = std::get_if<layer::Conv2d>(&placed.layer)) {
      products =
          static_cast<double>(placed.out.size()) * placed.in.channels * conv->kernel * conv->kernel;
    } else if (std::holds_alternative<layer::Dense>(placed.layer)) {
      products = static_cast<double>(placed.out.size()) * placed.in.size();
    } else {
      continue;
    }
    work.forward += 2 * products;
    work.backward += (first ? 2 : 4) * products;
    first = false;
  }
  return work;
}

std::unique_ptr<Plan> training_plan(plan::Tuner& tuner, opencl::Device& device, const Model& model,
                                    const StepOptions& options, int ranks) {
  const Share largest =
      share(static_cast<std::size_t>(options.batch), 0, static_cast<std::size_t>(ranks));
  auto plan = std::make_unique<Plan>(device, model, statistics_of(model),
                                     PlanOptions{.batch = static_cast<int>(largest.count),
                                                 .training = true,
                                                 .seed = options.seed,
                                                 .variant = options.variant,
                                                 .format = options.format,
                                                 .tuner = &tuner});
  plan->load_parameters(model.initial_parameters(options.seed));
  plan->load_statistics(model.initial_statistics());
  if (options.format == ComputeFormat::fp16) plan->set_loss_scale(LossScale::first);
  return plan;
}

StepTiming time_training(Communicator& ranks, opencl::Device& device, Plan& plan,
                         const StepOptions& options) {
  Input input(ranks, plan, options);
  Parts parts;
  LossScale scale(options.format == ComputeFormat::fp16 ? LossScale::first : 1);
  const auto step = [&](std::uint64_t number) {
    Stopwatch whole, phase;
    const Batch& batch = input.next();
    parts.input.push_back(phase.restart());
    StepSamples samples{.labels = batch.labels,
                        .first = number * static_cast<std::uint64_t>(options.batch)};
    if (batch.range.images) {
      samples.images = batch.images;
    } else {
      samples.numbers = batch.numbers;
    }
    const std::size_t size = batch.size();
    plan.enqueue_step(samples, std::span(&size, 1), false);
    StepStatistics statistics;
    bool accepted = true;
    {
      opencl::Mapping mapping = plan.map_reduction();
      parts.compute.push_back(phase.restart());
      const std::span<float> reduction = mapping.as<float>();
      if (ranks.size() > 1) ranks.all_reduce_sum(reduction);
      statistics = plan.step_statistics(reduction);
      plan.update_running_statistics(reduction, statistics.samples);
      if (options.format == ComputeFormat::fp16)
        accepted = scale.after(plan.gradients_are_finite(reduction));
      parts.reduce.push_back(phase.restart());
    }
    if (accepted)  // random labels: stay where the net is
      plan.enqueue_update(1e-6f, statistics, number + 1);
    plan.set_loss_scale(scale.value());
    parts.update.push_back(phase.restart());
    parts.step.push_back(whole.seconds());
  };
  std::uint64_t number = 0;
  for (; number < warm_up_steps; ++number) step(number);
  device.finish();
  ranks.barrier();
  const double slowest = ranks.all_reduce_max(parts.step.back());
  const int steps = options.steps > 0
                        ? options.steps
                        : std::clamp(static_cast<int>(options.seconds / slowest), 10, 100000);
  parts = {};
  for (int i = 0; i < steps; ++i) step(number++);
  return {spread(parts.step), spread(parts.input).median_s, spread(parts.compute).median_s,
          spread(parts.reduce).median_s, spread(parts.update).median_s};
}

Timing time_inference(plan::Tuner& tuner, opencl::Device& device, const Model& model,
                      const StepOptions& options) {
  Plan plan(device, model, statistics_of(model), {.batch = options.batch, .tuner = &tuner});
  plan.load_parameters(model.initial_parameters(options.seed));
  plan.load_statistics(model.initial_statistics());
  SplitMix64 random(options.seed);
  const auto count = static_cast<std::size_t>(options.batch);
  std::vector<std::uint8_t> images(count * static_cast<std::size_t>(model.input().size()));
  for (auto& value : images) value = static_cast<std::uint8_t>(random.below(256));
  return measure_host([&] { plan.infer(images, count); }, options.seconds).wall;
}

}  // namespace dovetail::bench
