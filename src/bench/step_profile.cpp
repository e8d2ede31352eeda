// Times backward passes bucket by bucket, sums, updates, and whole steps.
#include "bench/step_profile.hpp"

#include <algorithm>
#include <array>

#include "bench/steps.hpp"
#include "support/clock.hpp"

namespace dovetail::bench {
namespace {

constexpr std::size_t warm_up = 5;
constexpr std::size_t samples_kept = 100;  // compute times of a rank that the jitter is of

/// How often something of `one_s` fits `seconds`: the same on every rank.
std::size_t repetitions(const Communicator& ranks, double seconds, double one_s) {
  const double slowest = ranks.all_reduce_max(one_s);
  return static_cast<std::size_t>(std::clamp(seconds / slowest, 10.0, 10000.0));
}

/// Bucket arrivals and updates of steps without communication.
struct Alone {
  std::vector<double> compute_s, update_s;
  std::vector<double> ready;  // sums over the steps, of compute
};

Alone measure_alone(const Communicator& ranks, Steps& steps, double seconds) {
  Alone alone;
  double update = 0, last = 0;
  for (std::size_t i = 0; i < warm_up; ++i) last = steps.buckets_alone(update).back() + update;
  const std::size_t count = std::max(samples_kept, repetitions(ranks, seconds, last));
  for (std::size_t i = 0; i < count; ++i) {
    const std::vector<double> arrivals = steps.buckets_alone(update);
    alone.compute_s.push_back(arrivals.back());
    alone.update_s.push_back(update);
    alone.ready.resize(arrivals.size());
    for (std::size_t bucket = 0; bucket < arrivals.size(); ++bucket)
      alone.ready[bucket] += arrivals[bucket] / arrivals.back() / static_cast<double>(count);
  }
  return alone;
}

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

double mean_over(const Communicator& ranks, double value) {
  return ranks.all_reduce_sum(value) / ranks.size();
}

/// What the steps of these options run on.
struct Prepared {
  Prepared(const Communicator& ranks, plan::Tuner& tuner, opencl::Device& device,
           const Model& model, const StepOptions& step)
      : reduce(make_all_reduce(ranks, device, model, step)),
        plan(training_plan(tuner, device, model, step, ranks.size(), *reduce)) {}

  std::unique_ptr<AllReduce> reduce;
  std::unique_ptr<Plan> plan;
};

/// Compute times of all ranks, each over its own mean.
std::vector<double> jitter_of(const Communicator& ranks, const std::vector<double>& compute_s) {
  std::array<double, samples_kept> mine{};
  const double its_mean = mean(compute_s);
  for (std::size_t i = 0; i < samples_kept; ++i)
    mine[i] = compute_s[i * compute_s.size() / samples_kept] / its_mean;
  std::vector<double> all;
  for (const auto& rank : ranks.all_gather(mine)) all.insert(all.end(), rank.begin(), rank.end());
  return all;
}

/// Sums of host memory over the ranks of a host, fitted.
LinkModel fit_sums(const Communicator& ranks, bool is_cpu, double seconds) {
  const std::vector<std::size_t> sizes{1 << 10, 1 << 14, 1 << 18, 1 << 22};
  std::vector<ReductionPart> parts;
  std::size_t begin = 0;
  for (const std::size_t bytes : sizes) {
    parts.push_back({begin, bytes / sizeof(float), true});
    begin += bytes / sizeof(float);
  }
  AllReduce reduce(ranks, parts, {.threads = AllReduce::threads_for(ranks, is_cpu)});
  std::vector<Message> messages;
  for (std::size_t part = 0; part < parts.size(); ++part) {
    const auto once = [&] {
      ranks.barrier();
      const Stopwatch watch;
      reduce.start(part);
      reduce.wait();
      return watch.seconds();
    };
    once();
    std::vector<double> measured;
    const std::size_t count =
        repetitions(ranks, seconds / static_cast<double>(parts.size()), once());
    for (std::size_t i = 0; i < count; ++i) measured.push_back(once());
    // The slowest rank's is the sum's.
    messages.push_back({sizes[part], spread({ranks.all_reduce_max(spread(measured).median_s)})});
  }
  return fit(messages);
}

/// Each host measures its own, all at once; that of rank 0 counts. Zero where it has one rank.
LinkModel sums_within_a_host(const Communicator& ranks, bool is_cpu, double seconds) {
  int first = 0;  // rank of this host
  while (ranks.hosts()[static_cast<std::size_t>(first)] != ranks.host()) ++first;
  const Communicator host = *ranks.split(first, ranks.rank());
  LinkModel model;
  if (host.size() > 1) model = fit_sums(host, is_cpu, seconds);
  ranks.broadcast(std::span(&model, 1), 0);
  return model;
}

}  // namespace

StepProfile profile_steps(Communicator& ranks, plan::Tuner& tuner, opencl::Device& device,
                          const Model& model, const ProfileOptions& options) {
  StepProfile profile;
  profile.compute.resize(static_cast<std::size_t>(ranks.size()));
  for (std::size_t i = 0; i < options.samples_per_rank.size(); ++i) {
    const int samples = options.samples_per_rank[i];
    const StepOptions step{.batch = samples * ranks.size(),
                           .seed = options.seed,
                           .format = options.format,
                           .bucket_bytes = options.bucket_bytes};
    const Prepared prepared(ranks, tuner, device, model, step);
    Steps steps(ranks, device, *prepared.plan, *prepared.reduce, step);
    const Alone alone = measure_alone(ranks, steps, options.seconds);
    const std::vector<double> means = ranks.all_gather(mean(alone.compute_s));
    for (std::size_t rank = 0; rank < means.size(); ++rank)
      profile.compute[rank].emplace_back(samples, means[rank]);
    if (i > 0) continue;
    profile.jitter = jitter_of(ranks, alone.compute_s);
    profile.bucket_bytes = steps.bucket_bytes();
    profile.bucket_ready = alone.ready;
    for (double& ready : profile.bucket_ready) ready = mean_over(ranks, ready);
    profile.update_s = mean_over(ranks, spread(alone.update_s).median_s);
  }
  for (auto& times : profile.compute) std::sort(times.begin(), times.end());
  if (ranks.size() > 1) profile.in_host = sums_within_a_host(ranks, device.is_cpu(), 1);
  return profile;
}

MeasuredStep measure_step(Communicator& ranks, plan::Tuner& tuner, opencl::Device& device,
                          const Model& model, const StepOptions& step) {
  const Prepared prepared(ranks, tuner, device, model, step);
  Steps steps(ranks, device, *prepared.plan, *prepared.reduce, step);
  const std::size_t count = repetitions(ranks, step.seconds, steps.warm_up());
  ranks.barrier();
  const StepTimes times = steps.run(count);
  device.finish();
  return {.step = spread(times.of(&StepParts::step)),
          .mean_s = mean_over(ranks, mean(times.of(&StepParts::step))),
          .exposed_s = mean_over(ranks, mean(times.of(&StepParts::reduce)))};
}

}  // namespace dovetail::bench
