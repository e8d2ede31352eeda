// `dovetail bench`: measures operations, steps and links, for people and as JSON.
#include <algorithm>

#include "app/bench_commands.hpp"
#include "app/command_line.hpp"
#include "app/commands.hpp"
#include "app/expect.hpp"
#include "app/input_options.hpp"
#include "app/job.hpp"
#include "model/zoo.hpp"
#include "support/error.hpp"
#include "support/log.hpp"
#include "support/text.hpp"

namespace dovetail::app {
namespace {

struct Benchmark {
  const char* name;
  const char* summary;
  bool chooses_kernels;
  void (*run)(const Bench& bench);
};

const std::vector<Benchmark> benchmarks{
    {"gemm", "matrix products of dense layers, three directions", true, bench_gemm},
    {"conv", "convolutions, three directions", true, bench_conv},
    {"train", "training steps and their parts", true, bench_train},
    {"infer", "inference, in float32 or (--format) on an FPGA card", true, bench_infer},
    {"tune", "chooses by measurement what kernels of a model the cache lacks, and keeps them", true,
     bench_tune},
    {"link", "latency and bandwidth between ranks (under mpirun)", false, bench_link},
    {"allreduce", "sums of device buffers over ranks (under mpirun)", false, bench_allreduce},
    {"scaling", "steps on more ranks than there are, simulated", false, bench_many_ranks},
};

std::string names_of_benchmarks() {
  std::vector<std::string> names;
  for (const Benchmark& benchmark : benchmarks) names.push_back(benchmark.name);
  return fmt::format("{}", fmt::join(names, ", "));
}

/// The benchmark that is named first, which is taken off; `--tune` alone is that of choosing.
const Benchmark& find_benchmark(Arguments& arguments) {
  std::string name = arguments.empty() ? "" : arguments.front();
  const bool is_option = name.starts_with("--");
  if (is_option && std::ranges::count(arguments, "--tune") > 0) name = "tune";
  if (!is_option && !arguments.empty()) arguments.erase(arguments.begin());
  for (const Benchmark& benchmark : benchmarks) {
    if (name == benchmark.name) return benchmark;
  }
  throw UsageError(
      name.empty() ? "no benchmark named" : fmt::format("unknown benchmark '{}'", name),
      "One of: " + names_of_benchmarks());
}

/// What one benchmark alone looks at is not given to another, which would not do what was asked.
void expect_taken(const Benchmark& benchmark, const BenchOptions& options) {
  struct Option {
    const char* name;
    bool given;
    std::vector<std::string> takers;
  };
  for (const Option& option :
       {Option{"shape", !options.shapes.empty(), {"gemm", "conv"}},
        Option{"direction", !options.direction.empty(), {"gemm", "conv"}},
        Option{"variant", !options.variant.empty(), {"gemm", "conv", "train"}},
        Option{"waterfall", options.waterfall, {"train"}}}) {
    if (option.given && std::ranges::count(option.takers, benchmark.name) == 0) {
      throw UsageError(fmt::format("bench {} takes no --{}", benchmark.name, option.name),
                       fmt::format("It is for {}", fmt::join(option.takers, " and ")));
    }
  }
}

void add_options(CommandLine& line, BenchOptions& options) {
  line.add("shape", options.shapes,
           "gemm: ROWSxINxOUT, conv: INxOUTxEXTENTxBATCH; may be repeated");
  line.add("direction", options.direction,
           "gemm, conv: only forward, 'input gradient' or 'weight gradient'");
  line.add("model", options.model, fmt::format("one of: {}", fmt::join(model_names(), ", ")));
  line.add("data", options.data, "train: a data set's folder, or random");
  line.add("data-place", options.place, fmt::format("train: {}", data_place_help));
  line.add("batch", options.step.batch, "train, infer, tune: samples of one step over all ranks");
  line.add("seconds", options.step.seconds, "train, infer: time to measure for, about");
  line.add(
      "variant", options.variant,
      "gemm, conv, train: cpu, gpu or nvidia kernels (conv: in tf32, bf16 and fp16); by default "
      "the device's own, or (train) the fastest");
  line.add(
      "format", options.format,
      "gemm (with nvidia kernels), conv, train, tune: operands in float32, tf32, bf16 or fp16; "
      "infer: float32, or a format of the FPGA ranks such as int8 or w1a1");
  line.add("bucket-mb", options.bucket_mb,
           "allreduce, scaling: MiB of the parts that travel at a time; by default 4 and 1");
  line.add("reduce", options.reduce, "allreduce: hosts (shared memory) or flat (messages)");
  line.add(
      "exchange", options.exchange,
      "allreduce: of messages that are not compressed: direct, halving, or auto as in training");
  line.add("compress", options.compression, "allreduce: of messages: none, bf16, fp16 or int8");
  line.add_flag(
      "tune", options.tune,
      "gemm, conv, train, infer: choose their kernels by measurement anew, whatever the "
      "cache remembers, and keep the choices there; without a benchmark: choose those that "
      "training of --model uses, and measure no more");
  line.add_flag("waterfall", options.waterfall,
                "train: the step by part, each beside its floors of arithmetic and of bytes");
  options.cache.add_to(line);
  options.scaling.add_to(line);
  line.add("json", options.json, "write the result as JSON; `-` is standard output");
}

void check(const Benchmark& benchmark, const BenchOptions& options, int ranks) {
  if (options.step.batch < ranks) {
    throw UsageError(
        fmt::format("--batch {} is smaller than the {} ranks", options.step.batch, ranks),
        "Give every rank at least one sample a step");
  }
  if (options.reduce != "hosts" && options.reduce != "flat")
    throw UsageError(fmt::format("unknown --reduce '{}'", options.reduce), "Known: hosts, flat");
  const std::string& direction = options.direction;
  if (!direction.empty() && direction != "forward" && direction != "input gradient" &&
      direction != "weight gradient") {
    throw UsageError(fmt::format("unknown --direction '{}'", direction),
                     "Known: forward, 'input gradient', 'weight gradient'");
  }
  expect_bucket_size(options.bucket_mb.value_or(0));
  expect_taken(benchmark, options);
  if (options.tune && !options.variant.empty())
    throw UsageError("--tune chooses among all kernels", "Leave --variant out");
  if (options.tune && !benchmark.chooses_kernels) {
    throw UsageError(fmt::format("bench {} chooses no kernels", benchmark.name),
                     "--tune is for gemm, conv, train and infer, or stands alone");
  }
}

/// Places the ranks, each on a device of its own, and measures.
void run_on_devices(const Benchmark& benchmark, Communicator& world, BenchOptions& options,
                    PlacementOptions& placement) {
  options.step.format = parse_compute_format(options.format);
  options.devices = placement.devices;
  placement.gpu_ranks = world.size();
  placement.fpga_ranks = 0;
  const Placement placed = place_job(world, placement);
  opencl::Device device(placed.mine().device.index, options.cache.folder());
  const DataPlace place = parse_data_place(options.place);
  options.step.on_device =
      place == DataPlace::device || (place == DataPlace::automatic && !device.is_cpu());
  benchmark.run({world, device, options});
}

int bench_job(Communicator& world, Arguments arguments) {
  BenchOptions options;
  PlacementOptions placement;
  CommandLine line(
      "usage: dovetail bench gemm|conv|train|infer|tune|link|allreduce|scaling [options]\n"
      "       dovetail bench --tune [options]",
      "Medians, spread and shares of the device's own ceilings.");
  add_options(line, options);
  placement.add_to(line, "ranks that are measured; all of them", "none are measured");
  if (!arguments.empty() && (arguments[0] == "--help" || arguments[0] == "-h")) {
    line.parse(arguments);
    return 0;
  }
  const Benchmark& benchmark = find_benchmark(arguments);
  if (!line.parse(arguments)) return 0;
  check(benchmark, options, world.size());
  options.scaling.bucket_mb = options.bucket_mb.value_or(options.scaling.bucket_mb);
  if (options.data != "random") options.step.data = options.data;
  if (options.json == "-") log::keep_output_for_document();
  if (benchmark.run == bench_infer && options.format != "float32") {
    bench_infer_on_card(world, options, placement);
  } else {
    run_on_devices(benchmark, world, options, placement);
  }
  return 0;
}

}  // namespace

int run_bench(const Arguments& arguments) {
  return run_job("bench", [&](Communicator& world) { return bench_job(world, arguments); });
}

}  // namespace dovetail::app
