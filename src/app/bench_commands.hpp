// What the benchmarks of `dovetail bench` share, and a function for each of them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "app/bench_scaling.hpp"
#include "app/cache_option.hpp"
#include "app/placement_options.hpp"
#include "bench/ceilings.hpp"
#include "bench/training.hpp"
#include "comm/communicator.hpp"
#include "device/opencl/device.hpp"
#include "model/model.hpp"
#include "plan/tuner.hpp"
#include "support/json.hpp"

namespace dovetail::app {

struct BenchOptions {
  std::string data = "random";
  std::string model = "cnn";
  std::string variant;
  std::string format = "float32";
  std::string place = "auto";
  std::string json;
  std::string devices;  // as PlacementOptions has them
  std::optional<double> bucket_mb;
  std::string reduce = "hosts", exchange = "auto", compression = "none";
  std::vector<std::string> shapes;
  std::string direction;
  CacheOption cache;
  bool tune = false;
  bool waterfall = false;
  bench::StepOptions step;
  ScalingOptions scaling;
};

/// One rank's share of a benchmark: its device, and where the result goes.
struct Bench {
  Communicator& world;
  opencl::Device& device;
  const BenchOptions& options;

  /// --variant, or that for the device. Throws UsageError.
  Variant variant() const;
  /// With --tune it chooses anew.
  plan::Tuner tuner() const;
  /// The lead's.
  void write(const std::string& text, const Json& json) const;
};

/// Throws UsageError unless there is one.
void expect_one_rank(const Communicator& world, const char* what);
/// "kernels" and "choices".
void add_kernels(Json& json, const plan::Tuner& tuner);
/// The model on the data set's images, or on those that it was made for.
Model make_bench_model(const BenchOptions& options);
/// What every benchmark of a model says of itself.
Json describe(const Bench& bench, const char* benchmark, const bench::Ceilings& ceilings);

// ---- the benchmarks; each writes its result
void bench_gemm(const Bench& bench);
void bench_conv(const Bench& bench);
void bench_train(const Bench& bench);
void bench_infer(const Bench& bench);
/// Inference in a format of the FPGA ranks.
void bench_infer_on_card(Communicator& world, const BenchOptions& options,
                         PlacementOptions& placement);
/// Chooses the kernels that training of a model will use, and keeps them and their programs in the
/// cache: what is not there yet or, with --tune, all of them.
void bench_tune(const Bench& bench);
void bench_link(const Bench& bench);
void bench_allreduce(const Bench& bench);
/// Steps on more ranks than there are.
void bench_many_ranks(const Bench& bench);

}  // namespace dovetail::app
