// Measures the parts of a training step that a simulation of more ranks needs.
#pragma once

#include "bench/scaling.hpp"
#include "bench/training.hpp"

namespace dovetail::bench {

struct ProfileOptions {
  std::vector<int> samples_per_rank;  // the first is the one that steps are measured with
  double seconds = 2;                 // for each of them, about
  std::size_t bucket_bytes = std::size_t{1} << 20;
  std::uint64_t seed = 1;
  ComputeFormat format = ComputeFormat::float32;
};

struct MeasuredProfile {
  StepProfile profile;
  Timing step;  // whole steps on these ranks, sums overlapped as in training
  double step_mean_s = 0;
  double exposed_s = 0;  // of communication in such a step, in the mean
};

/// All ranks of `ranks` compute at once, as in training. Collective; the same on every rank.
MeasuredProfile profile_steps(Communicator& ranks, plan::Tuner& tuner, opencl::Device& device,
                              const Model& model, const ProfileOptions& options);

}  // namespace dovetail::bench
