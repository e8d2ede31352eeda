// Measures the parts of a training step that a simulation of more ranks needs.
#pragma once

#include "bench/scaling.hpp"
#include "bench/training.hpp"

namespace dovetail::bench {

struct ProfileOptions {
  std::vector<int> samples_per_rank;  // the first is the one that all but compute is measured with
  double seconds = 2;                 // for each of them, about
  std::size_t bucket_bytes = std::size_t{1} << 20;
  std::uint64_t seed = 1;
  ComputeFormat format = ComputeFormat::float32;
};

/// All ranks of `ranks` compute at once, as in training. Collective; the same on every rank.
StepProfile profile_steps(Communicator& ranks, plan::Tuner& tuner, opencl::Device& device,
                          const Model& model, const ProfileOptions& options);

/// Whole steps, sums overlapped as in training.
struct MeasuredStep {
  Timing step;
  double mean_s = 0;
  double exposed_s = 0;  // of communication, in the mean
};

/// Steps of step.batch samples, for about step.seconds. Collective; the same on every rank.
MeasuredStep measure_step(Communicator& ranks, plan::Tuner& tuner, opencl::Device& device,
                          const Model& model, const StepOptions& step);

}  // namespace dovetail::bench
