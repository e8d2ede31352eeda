// Options, results and models that the benchmarks share.
#include "app/bench_commands.hpp"

#include "app/result.hpp"
#include "model/zoo.hpp"
#include "shards/shard_reader.hpp"
#include "support/error.hpp"

namespace dovetail::app {

Variant Bench::variant() const {
  if (options.variant.empty()) return variant_for(device);
  if (options.variant == "cpu") return Variant::cpu;
  if (options.variant == "gpu") return Variant::gpu;
  if (options.variant == "nvidia") return Variant::nvidia;
  throw UsageError(fmt::format("unknown --variant '{}'", options.variant),
                   "Give cpu, gpu or nvidia");
}

plan::Tuner Bench::tuner() const {
  using Memory = plan::Tuner::Memory;
  return plan::Tuner(device, options.tune ? Memory::renew : Memory::use);
}

void Bench::write(const std::string& text, const Json& json) const {
  if (world.is_lead()) write_result(options.json, text, json);
}

void expect_one_rank(const Communicator& world, const char* what) {
  if (world.size() == 1) return;
  throw UsageError(
      fmt::format("bench {} measures one device, and there are {} ranks", what, world.size()),
      "Start it without mpirun");
}

void add_kernels(Json& json, const plan::Tuner& tuner) {
  json["kernels"] = tuner.to_json();
  json["choices"] = tuner.details();
}

Model make_bench_model(const BenchOptions& options) {
  if (options.step.data) {
    const Manifest manifest = Manifest::load(*options.step.data);
    return make_model(
        options.model,
        {static_cast<int>(manifest.shape.channels), static_cast<int>(manifest.shape.height),
         static_cast<int>(manifest.shape.width)},
        static_cast<int>(manifest.classes));
  }
  const bool colour = options.model == "vgg-small" || options.model == "cnv";
  return make_model(options.model, colour ? FeatureShape{3, 32, 32} : FeatureShape{1, 28, 28}, 10);
}

Json describe(const Bench& bench, const char* benchmark, const bench::Ceilings& ceilings) {
  return {{"benchmark", benchmark},
          {"device", bench.device.info().name},
          {"driver", bench.device.info().driver},
          {"ceilings", to_json(ceilings)},
          {"ranks", bench.world.size()},
          {"model", bench.options.model},
          {"data", bench.options.data},
          {"data_on_device", bench.options.step.on_device},
          {"format", to_string(bench.options.step.format)},
          {"batch", bench.options.step.batch}};
}

}  // namespace dovetail::app
