// Plans of benchmarks, what they compute, and how long that takes.
#include "bench/training.hpp"

#include <algorithm>

#include "bench/steps.hpp"
#include "plan/gradient_exchange.hpp"
#include "support/random.hpp"

namespace dovetail::bench {
namespace {

InputStatistics statistics_of(const Model& model) {
  const auto channels = static_cast<std::size_t>(model.input().channels);
  return {std::vector<float>(channels, 0.5f), std::vector<float>(channels, 0.25f)};
}

PlanOptions plan_options(const StepOptions& options, int ranks) {
  const Shares of_batch = shares(options, ranks);
  std::size_t largest = 0;
  for (std::size_t rank = 0; rank < of_batch.ranks(); ++rank) {
    largest = std::max(largest, of_batch.of(static_cast<std::size_t>(options.batch), rank).count);
  }
  return {.batch = static_cast<int>(largest),
          .training = true,
          .seed = options.seed,
          .variant = options.variant,
          .format = options.format,
          .bucket_bytes = options.bucket_bytes};
}

/// `steps`: the plan's; none: each layer by itself.
ModelWork count(const Model& model, const std::vector<plan::Step>& steps) {
  ModelWork work;
  bool first = true;
  for (std::size_t i = 0; i < model.layers().size(); ++i) {
    const PlacedLayer& placed = model.layers()[i];
    double each = 0;  // products for an output
    if (const auto* conv = std::get_if<layer::Conv2d>(&placed.layer)) {
      each = static_cast<double>(placed.in.channels) * conv->kernel * conv->kernel;
    } else if (std::holds_alternative<layer::Dense>(placed.layer)) {
      each = static_cast<double>(placed.in.size());
    } else {
      continue;
    }
    const auto pooled = std::ranges::find_if(
        steps, [&](const plan::Step& step) { return step.layer == i && step.pool; });
    // The first layer's kernel looks at all pixels.
    const bool visits_all = first || pooled == steps.end();
    const FeatureShape& visited =
        visits_all ? placed.out : model.layers()[pooled->last_layer()].out;
    work.forward += 2 * each * static_cast<double>(placed.out.size());
    work.backward += (first ? 2 : 4) * each * static_cast<double>(visited.size());
    first = false;
  }
  return work;
}

}  // namespace

Shares shares(const StepOptions& options, int ranks) {
  return options.weights.empty() ? Shares(static_cast<std::size_t>(ranks))
                                 : Shares(options.weights);
}

ModelWork work_of(const Model& model) {
  return count(model, {});
}

ModelWork work_of(const Plan& plan) {
  return count(plan.model(), plan.visits_maxima() ? plan.steps() : std::vector<plan::Step>());
}

std::unique_ptr<AllReduce> make_all_reduce(const Communicator& ranks, const opencl::Device& device,
                                           const Model& model, const StepOptions& options) {
  const auto size = Plan::reduction_size(device, model, plan_options(options, ranks.size()));
  return std::make_unique<AllReduce>(ranks, GradientExchange::parts(size.buckets));
}

std::unique_ptr<Plan> training_plan(plan::Tuner& tuner, opencl::Device& device, const Model& model,
                                    const StepOptions& options, int ranks,
                                    const AllReduce& reduce) {
  PlanOptions wanted = plan_options(options, ranks);
  wanted.tuner = &tuner;
  wanted.reduction_memory = reduce.memory();
  auto plan = std::make_unique<Plan>(device, model, statistics_of(model), wanted);
  plan->load_parameters(model.initial_parameters(options.seed));
  plan->load_statistics(model.initial_statistics());
  return plan;
}

StepTiming time_training(Communicator& ranks, opencl::Device& device, Plan& plan, AllReduce& reduce,
                         const StepOptions& options) {
  Steps steps(ranks, device, plan, reduce, options);
  const double slowest = steps.warm_up();
  const auto count = options.steps > 0
                         ? options.steps
                         : std::clamp(static_cast<int>(options.seconds / slowest), 10, 100000);
  const CommunicationTime before = steps.communication();
  const StepTimes times = steps.run(static_cast<std::size_t>(count));
  const CommunicationTime after = steps.communication();
  const auto mean = [&](double seconds) {
    return ranks.all_reduce_sum(seconds) / ranks.size() / count;
  };
  const auto median = [&](double StepParts::*part) { return spread(times.of(part)).median_s; };
  return {spread(times.of(&StepParts::step)),
          median(&StepParts::input),
          median(&StepParts::compute),
          median(&StepParts::reduce),
          median(&StepParts::update),
          {mean(after.total_s - before.total_s), mean(after.exposed_s - before.exposed_s)}};
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
