// Benchmarks of whole steps: training with its parts, and inference.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "bench/ceilings.hpp"
#include "bench/work.hpp"
#include "comm/all_reduce.hpp"
#include "comm/communicator.hpp"
#include "model/model.hpp"
#include "ops/compute_format.hpp"
#include "ops/variant.hpp"
#include "plan/communication_time.hpp"
#include "plan/plan.hpp"
#include "plan/tuner.hpp"
#include "shards/share.hpp"

namespace dovetail::bench {

struct StepOptions {
  int batch = 128;                              // global: over all ranks
  std::vector<double> weights{};                // of the ranks' shares of it; none: even
  int steps = 0;                                // 0: as many as fit `seconds`
  double seconds = 5;                           // of measured steps, about
  std::optional<std::filesystem::path> data{};  // none: random images in memory
  bool on_device = false;                       // training images stay there
  std::optional<UploadWay> upload_way{};        // of those that do not; as a plan's
  std::uint64_t seed = 1;
  ComputeFormat format = ComputeFormat::float32;  // of training
  std::optional<Variant> variant{};               // of training: these kernels, unmeasured
  std::size_t bucket_bytes = std::size_t{1} << 20;
};

/// Of a batch among so many ranks.
Shares shares(const StepOptions& options, int ranks);

/// Of samples, where nothing else is done.
struct Reading {
  double samples_per_s = 0, bytes_per_s = 0;
};

/// One rank's seconds. `input_s` is the time for which training waits for its next batch while no
/// step is known to run. The parts are means over the steps, and `mean_s` is what they add up to:
/// what steps wait for seldom, such as the samples of many steps that are sent together, no median
/// shows.
struct StepTiming {
  Timing step;
  double mean_s = 0, input_s = 0, compute_s = 0, reduce_s = 0, update_s = 0;
  CommunicationTime communication{};  // of a step, the mean over steps and ranks
  std::optional<Reading> reading{};   // of samples that are streamed from a data set
};

/// The sums that training_plan's plan needs; it has nothing of a plan's but its place. Collective.
std::unique_ptr<AllReduce> make_all_reduce(const Communicator& ranks, const opencl::Device& device,
                                           const Model& model, const StepOptions& options);
/// The plan that `options` ask for, with the tuner's kernels, on one of `ranks` ranks.
std::unique_ptr<Plan> training_plan(plan::Tuner& tuner, opencl::Device& device, const Model& model,
                                    const StepOptions& options, int ranks, const AllReduce& reduce);

/// Trains with SGD and momentum on every rank of `ranks` and times the steps. Collective.
StepTiming time_training(Communicator& ranks, opencl::Device& device, Plan& plan, AllReduce& reduce,
                         const StepOptions& options);

/// Inference of batches of options.batch on this rank's device, images from host memory, logits
/// back to host memory.
Timing time_inference(plan::Tuner& tuner, opencl::Device& device, const Model& model,
                      const StepOptions& options);

}  // namespace dovetail::bench
