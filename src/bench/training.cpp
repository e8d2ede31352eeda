// Plans of benchmarks, what they compute, and how long that takes.
#include "bench/training.hpp"

#include <algorithm>

#include "bench/steps.hpp"
#include "model/folded.hpp"
#include "plan/gradient_exchange.hpp"
#include "support/random.hpp"

namespace dovetail::bench {
namespace {

constexpr double reading_s = 0.2;

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
          .bucket_bytes = options.bucket_bytes,
          .upload_way = options.upload_way};
}

}  // namespace

Shares shares(const StepOptions& options, int ranks) {
  return options.weights.empty() ? Shares(static_cast<std::size_t>(ranks))
                                 : Shares(options.weights);
}

std::unique_ptr<AllReduce> make_all_reduce(const Communicator& ranks, const opencl::Device& device,
                                           const Model& model, const StepOptions& options) {
  const auto size = Plan::reduction_size(device, model, plan_options(options, ranks.size()));
  return std::make_unique<AllReduce>(
      ranks, GradientExchange::parts(size.buckets),
      AllReduceOptions{.threads = AllReduce::threads_for(ranks, device.is_cpu())});
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
  return {spread(times.of(&StepParts::step)),
          times.mean(&StepParts::step),
          times.mean(&StepParts::input),
          times.mean(&StepParts::compute),
          times.mean(&StepParts::reduce),
          times.mean(&StepParts::update),
          {mean(after.total_s - before.total_s), mean(after.exposed_s - before.exposed_s)},
          steps.read_alone(reading_s)};
}

Timing time_inference(plan::Tuner& tuner, opencl::Device& device, const Model& model,
                      const StepOptions& options) {
  const TrainedModel net =
      folded(model, model.initial_parameters(options.seed), model.initial_statistics());
  Plan plan(device, net.model, statistics_of(model), {.batch = options.batch, .tuner = &tuner});
  plan.load_parameters(net.parameters);
  plan.load_statistics(net.statistics);
  SplitMix64 random(options.seed);
  const auto count = static_cast<std::size_t>(options.batch);
  std::vector<std::uint8_t> images(count * static_cast<std::size_t>(model.input().size()));
  for (auto& value : images) value = static_cast<std::uint8_t>(random.below(256));
  return measure_host([&] { plan.infer(images, count); }, options.seconds).wall;
}

}  // namespace dovetail::bench
