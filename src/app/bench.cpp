// `dovetail bench`: measures operations, steps and links, for people and as JSON.
#include <algorithm>
#include <filesystem>

#include "app/bench_card.hpp"
#include "app/bench_scaling.hpp"
#include "app/cache_option.hpp"
#include "app/command_line.hpp"
#include "app/commands.hpp"
#include "app/input_options.hpp"
#include "app/job.hpp"
#include "app/placement_options.hpp"
#include "bench/all_reduce.hpp"
#include "bench/link.hpp"
#include "bench/operations.hpp"
#include "bench/training.hpp"
#include "comm/cores.hpp"
#include "device/opencl/keep_programs.hpp"
#include "model/zoo.hpp"
#include "ops/matmul_products.hpp"
#include "quant/weight_pack.hpp"
#include "shards/shard_reader.hpp"
#include "support/clock.hpp"
#include "support/error.hpp"
#include "support/file.hpp"
#include "support/log.hpp"
#include "support/table.hpp"

namespace dovetail::app {
namespace {

struct BenchOptions {
  std::string data = "random";
  std::string model = "cnn";
  std::string variant;
  std::string format = "float32";
  std::string place = "auto";
  std::string json;
  std::string devices;  // as PlacementOptions has them
  std::optional<double> bucket_mb;
  std::string reduce = "hosts", compression = "none";
  std::vector<std::string> shapes;
  std::string direction;
  CacheOption cache;
  bool tune = false;
  bench::StepOptions step;
  ScalingOptions scaling;
};

void write_result(const BenchOptions& options, const std::string& text, const Json& json) {
  log::note(text);
  if (options.json.empty()) return;
  const std::string document = json.dump(2);
  if (options.json == "-") {
    log::document(document);
  } else {
    replace_file_text(options.json, document + '\n');
  }
}

/// One rank's share of a benchmark: its device, and where the result goes.
struct Bench {
  Communicator& world;
  opencl::Device& device;
  const BenchOptions& options;

  Variant variant() const {
    if (options.variant.empty()) return variant_for(device);
    if (options.variant == "cpu") return Variant::cpu;
    if (options.variant == "gpu") return Variant::gpu;
    if (options.variant == "nvidia") return Variant::nvidia;
    throw UsageError(fmt::format("unknown --variant '{}'", options.variant),
                     "Give cpu, gpu or nvidia");
  }

  plan::Tuner tuner() const {
    using Memory = plan::Tuner::Memory;
    return plan::Tuner(device, options.tune ? Memory::renew : Memory::use);
  }

  void write(const std::string& text, const Json& json) const {
    if (world.is_lead()) write_result(options, text, json);
  }
};

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

/// gemm and conv: `run` adds to the report, by the tuner's kernels where there is one.
template <typename Run>
void report_operations(const Bench& bench, const char* name, Run run) {
  expect_one_rank(bench.world, name);
  const bool tuned = bench.options.tune;
  bench::Report report(name, bench.device.info(),
                       fmt::format("{} {}", tuned ? "chosen" : to_string(bench.variant()),
                                   to_string(bench.options.step.format)),
                       bench::measure_ceilings(bench.device));
  plan::Tuner tuner = bench.tuner();
  run(tuned ? &tuner : nullptr, report);
  Json json = report.json();
  if (tuned) add_kernels(json, tuner);
  bench.write((tuned ? tuner.to_text() + '\n' : "") + report.text(), json);
}

void bench_gemm(const Bench& bench) {
  std::vector<bench::GemmShape> shapes;
  for (const std::string& text : bench.options.shapes) shapes.push_back(bench::parse_gemm(text));
  if (shapes.empty()) shapes = bench::default_gemms();
  const ComputeFormat format = bench.options.step.format;
  if (!bench.options.tune && format != ComputeFormat::float32 &&
      (bench.variant() != Variant::nvidia || product_paths(bench.device, format).empty())) {
    throw UsageError(fmt::format("{} multiplies no {} in the {} variant", bench.device.info().name,
                                 to_string(format), to_string(bench.variant())),
                     "Give --format float32, or --variant nvidia on a GPU with tensor cores");
  }
  report_operations(bench, "gemm", [&](plan::Tuner* tuner, bench::Report& report) {
    bench::run_gemms(bench.device, bench.variant(), format, shapes, bench.options.direction, tuner,
                     report);
  });
}

void bench_conv(const Bench& bench) {
  std::vector<bench::ConvShape> shapes;
  for (const std::string& text : bench.options.shapes) shapes.push_back(bench::parse_conv(text));
  if (shapes.empty()) shapes = bench::default_convs();
  report_operations(bench, "conv", [&](plan::Tuner* tuner, bench::Report& report) {
    bench::run_convs(bench.device, bench.variant(), bench.options.step.format, shapes,
                     bench.options.direction, tuner, report);
  });
}

/// The model on the data set's images, or on those that it was made for.
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

void bench_train(const Bench& bench) {
  const Model model = make_bench_model(bench.options);
  const bench::Ceilings ceilings = bench::measure_ceilings(bench.device);
  bench::StepOptions step = bench.options.step;
  if (!bench.options.variant.empty()) step.variant = bench.variant();
  plan::Tuner tuner = bench.tuner();
  const auto reduce = bench::make_all_reduce(bench.world, bench.device, model, step);
  const auto plan = make_host_by_host(bench.world, tuner, [&] {
    return bench::training_plan(tuner, bench.device, model, step, bench.world.size(), *reduce);
  });
  const bench::StepTiming timing =
      bench::time_training(bench.world, bench.device, *plan, *reduce, step);
  const bench::ModelWork work = bench::work_of(*plan);
  const double operations = work.forward + work.backward;
  const int batch = bench.options.step.batch;
  const double step_s = timing.step.median_s;
  const double floor_s = operations * batch / bench.world.size() / ceilings.flops;
  Json json = describe(bench, "train", ceilings);
  json["step"] = to_json(timing.step);
  json["samples_per_second"] = batch / step_s;
  json["input_share"] = timing.input_s / step_s;
  json["seconds"] = {{"input", timing.input_s},
                     {"compute", timing.compute_s},
                     {"reduce", timing.reduce_s},
                     {"update", timing.update_s}};
  const CommunicationTime& communication = timing.communication;
  const double hidden = communication.hidden();
  if (bench.world.size() > 1) {
    json["communication"] = {{"seconds", communication.total_s},
                             {"exposed_seconds", communication.exposed_s},
                             {"hidden", hidden},
                             {"buckets", plan->buckets().size()}};
  }
  json["arithmetic_floor_s"] = floor_s;
  const bench::ModelWork whole = bench::work_of(model);
  json["operations_per_sample"] = {{"computed", operations},
                                   {"model", whole.forward + whole.backward}};
  json["format_emulated"] = plan->emulates_format();
  add_kernels(json, tuner);
  const auto part = [&](double seconds) {
    return fmt::format("{:.3f} ms ({:.1f} %)", seconds * 1e3, 100 * seconds / step_s);
  };
  std::vector<std::vector<std::string>> rows{
      {"step", fmt::format("{:.3f} ms ({:.3f}..{:.3f}), {:.0f} samples a second", step_s * 1e3,
                           timing.step.low_s * 1e3, timing.step.high_s * 1e3, batch / step_s)},
      {"  input", part(timing.input_s)},
      {"  compute", part(timing.compute_s)},
      {"  all-reduce", part(timing.reduce_s)},
      {"  update", part(timing.update_s)}};
  if (bench.world.size() > 1) {
    rows.push_back(
        {"communication",
         fmt::format("{:.3f} ms, {:.3f} ms of it exposed: {:.0f} % hidden behind the "
                     "backward pass",
                     communication.total_s * 1e3, communication.exposed_s * 1e3, 100 * hidden)});
  }
  rows.push_back({"arithmetic alone",
                  fmt::format("{}, {:.1f} MFLOP a sample", part(floor_s), operations / 1e6)});
  bench.write(fmt::format("{}\n{}\n{}", bench.device.info().name, to_text(ceilings),
                          bench.options.tune ? tuner.to_text() + '\n' : "") +
                  format_table({"training", "median"}, rows),
              json);
}

void bench_infer(const Bench& bench) {
  expect_one_rank(bench.world, "infer");
  const Model model = make_bench_model(bench.options);
  const bench::Ceilings ceilings = bench::measure_ceilings(bench.device);
  plan::Tuner tuner = bench.tuner();
  const bench::Timing timing =
      bench::time_inference(tuner, bench.device, model, bench.options.step);
  const int batch = bench.options.step.batch;
  const double rate = batch / timing.median_s;
  Json json = describe(bench, "infer", ceilings);
  add_kernels(json, tuner);
  json["timing"] = to_json(timing);
  json["samples_per_second"] = rate;
  bench.write(fmt::format("{}\n{}\n{}{} in float32, batch {}: {:.3f} ms ({:.3f}..{:.3f}), {:.0f} "
                          "samples a second, {:.0f} % of the multiply-add ceiling",
                          bench.device.info().name, to_text(ceilings),
                          bench.options.tune ? tuner.to_text() + '\n' : "", bench.options.model,
                          batch, timing.median_s * 1e3, timing.low_s * 1e3, timing.high_s * 1e3,
                          rate, 100 * rate * bench::work_of(model).forward / ceilings.flops),
              json);
}

/// Inference in a format of the FPGA ranks.
void bench_infer_on_card(Communicator& world, const BenchOptions& options,
                         PlacementOptions& placement) {
  expect_one_rank(world, "infer");
  const Model model = make_bench_model(options);
  quant::check_inference_format(options.format);
  placement.gpu_ranks = 0;
  placement.fpga_ranks = world.size();
  const Placement placed = place_job(world, placement);
  const CardReport report = bench_card(model,
                                       {.model = options.model,
                                        .format = options.format,
                                        .batch = options.step.batch,
                                        .seconds = options.step.seconds},
                                       placed.mine(), placement);
  write_result(options, report.text, report.json);
}

/// Chooses the kernels that training of a model will use, and keeps them and their programs in the
/// cache: what is not there yet or, with --tune, all of them.
void bench_tune(const Bench& bench) {
  const Model model = make_bench_model(bench.options);
  plan::Tuner tuner = bench.tuner();
  const Stopwatch watch;
  opencl::keep_programs_everywhere();
  const auto reduce = bench::make_all_reduce(bench.world, bench.device, model, bench.options.step);
  make_host_by_host(bench.world, tuner, [&] {
    return bench::training_plan(tuner, bench.device, model, bench.options.step, bench.world.size(),
                                *reduce);
  });
  const auto& builds = bench.device.builds();
  const auto measured = static_cast<int>(std::ranges::count(
      tuner.choices(), plan::Tuner::Origin::measured, &plan::Tuner::Choice::origin));
  const std::string where =
      bench.device.cache() ? bench.device.cache()->folder().string() : "nowhere (--no-cache)";
  bench.write(fmt::format("{}\n{}{} in {:.2f} s, {} built and {} loaded; kept in {}",
                          bench.device.info().name, tuner.to_text(),
                          counted(tuner.choices().size(), "choice"), watch.seconds(),
                          counted(static_cast<std::uint64_t>(builds.compiled), "program"),
                          builds.loaded, where),
              {{"benchmark", "tune"},
               {"device", bench.device.info().name},
               {"driver", bench.device.info().driver},
               {"model", bench.options.model},
               {"batch", bench.options.step.batch},
               {"format", to_string(bench.options.step.format)},
               {"seconds", watch.seconds()},
               {"programs_compiled", builds.compiled},
               {"programs_loaded", builds.loaded},
               {"by_rank",
                {{"measured", bench.world.all_gather(measured)},
                 {"programs_compiled", bench.world.all_gather(builds.compiled)}}},
               {"choices", tuner.details()}});
}

const std::vector<std::size_t> message_sizes{8,      64,      512,     4096,     32768,
                                             262144, 1048576, 4194304, 16777216, 67108864};

void expect_peers(const Communicator& world, const char* what) {
  if (world.size() > 1) return;
  throw UsageError(fmt::format("bench {} needs two ranks at least", what),
                   fmt::format("mpirun -n 2 dovetail bench {}", what));
}

void bench_link(const Bench& bench) {
  expect_peers(bench.world, "link");
  Json links = Json::array();
  std::vector<std::vector<std::string>> rows;
  for (int peer = 1; peer < bench.world.size(); ++peer) {
    const auto messages = bench::ping_pong(bench.world, peer, message_sizes);
    if (!bench.world.is_lead()) continue;
    const bench::LinkModel model = bench::fit(messages);
    Json sizes = Json::array();
    for (const auto& message : messages)
      sizes.push_back({{"bytes", message.bytes}, {"one_way", to_json(message.one_way)}});
    const auto& hosts = bench.world.hosts();
    links.push_back({{"from", hosts[0]},
                     {"to", hosts[static_cast<std::size_t>(peer)]},
                     {"peer", peer},
                     {"latency_s", model.latency_s},
                     {"bytes_per_s", model.bytes_per_s},
                     {"worst_fit_error", model.worst_error},
                     {"messages", sizes}});
    rows.push_back(
        {fmt::format("0 on {} - {} on {}", hosts[0], peer, hosts[static_cast<std::size_t>(peer)]),
         fmt::format("{:.2f} us", messages.front().one_way.median_s * 1e6),
         fmt::format("{:.2f} GB/s", static_cast<double>(messages.back().bytes) /
                                        messages.back().one_way.median_s / 1e9),
         fmt::format("{:.2f} us + n / {:.2f} GB/s", model.latency_s * 1e6, model.bytes_per_s / 1e9),
         fmt::format("{:.0f} %", 100 * model.worst_error)});
  }
  bench.write(format_table({"ranks", "8 B", "64 MiB", "fit", "worst error"}, rows),
              {{"benchmark", "link"}, {"links", links}});
}

void bench_allreduce(const Bench& bench) {
  expect_peers(bench.world, "allreduce");
  const std::vector<std::size_t> sizes(message_sizes.begin() + 3, message_sizes.end());
  const int cores = static_cast<int>(available_cores().size()) / bench.world.local_size();
  AllReduceOptions options{.compression = parse_compression(bench.options.compression),
                           .threads = bench.device.is_cpu() ? 1 : std::clamp(cores / 2, 1, 4)};
  if (bench.options.reduce == "flat") options.ranks_per_group = 1;
  const auto part = static_cast<std::size_t>(bench.options.bucket_mb.value_or(4) * (1 << 20));
  const auto reductions =
      bench::all_reduces(bench.world, bench.device, sizes, part > 0 ? part : sizes.back(), options);
  Json json = Json::array();
  std::vector<std::vector<std::string>> rows;
  for (const auto& reduction : reductions) {
    const double bytes = static_cast<double>(reduction.bytes);
    const auto cell = [&](const bench::Timing& timing) {
      return fmt::format("{:.1f} us, {:.2f} GB/s", timing.median_s * 1e6,
                         bytes / timing.median_s / 1e9);
    };
    json.push_back({{"bytes", reduction.bytes},
                    {"parts", reduction.parts},
                    {"device_to_device", to_json(reduction.device_to_device)},
                    {"staged", to_json(reduction.staged)},
                    {"host_to_host", to_json(reduction.host_to_host)},
                    {"speedup", reduction.speedup()}});
    rows.push_back({format_bytes(bytes), cell(reduction.device_to_device), cell(reduction.staged),
                    fmt::format("{:.2f}", reduction.speedup()), cell(reduction.host_to_host)});
  }
  bench.write(format_table({"gradients", "device to device", "staged MPI_Allreduce",
                            "times as long", "MPI_Allreduce of host memory"},
                           rows),
              {{"benchmark", "allreduce"},
               {"device", bench.device.info().name},
               {"ranks", bench.world.size()},
               {"groups", reductions.front().groups},
               {"compression", bench.options.compression},
               {"threads", options.threads},
               {"sizes", json}});
}

/// Steps on more ranks than there are.
void bench_many_ranks(const Bench& bench) {
  const BenchOptions& options = bench.options;
  ScalingReport report =
      bench_scaling(bench.world, bench.device, make_bench_model(options), options.step.batch,
                    options.step.seconds, options.step.format, options.scaling);
  report.json["benchmark"] = "scaling";
  report.json["device"] = bench.device.info().name;
  report.json["model"] = options.model;
  report.json["devices"] = options.devices;
  bench.write(report.text, report.json);
}

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

int bench_job(Communicator& world, Arguments arguments) {
  BenchOptions options;
  PlacementOptions placement;
  CommandLine line(
      "usage: dovetail bench gemm|conv|train|infer|tune|link|allreduce|scaling [options]\n"
      "       dovetail bench --tune [options]",
      "Medians, spread and shares of the device's own ceilings.");
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
      "cpu, gpu or (gemm) nvidia kernels; by default those for the device, or (train) the fastest");
  line.add("format", options.format,
           "gemm (--variant nvidia), train, tune: operands in float32, tf32, bf16 or fp16; infer: "
           "float32, or a format of the FPGA ranks such as int8 or w1a1");
  line.add("bucket-mb", options.bucket_mb,
           "allreduce, scaling: MiB of the parts that travel at a time; by default 4 and 1");
  line.add("reduce", options.reduce, "allreduce: hosts (shared memory) or flat (messages)");
  line.add("compress", options.compression, "allreduce: of messages: none, bf16, fp16 or int8");
  line.add_flag(
      "tune", options.tune,
      "gemm, conv, train, infer: choose their kernels by measurement anew, whatever the "
      "cache remembers, and keep the choices there; without a benchmark: choose those that "
      "training of --model uses, and measure no more");
  options.cache.add_to(line);
  options.scaling.add_to(line);
  line.add("json", options.json, "write the result as JSON; `-` is standard output");
  placement.add_to(line, "ranks that are measured; all of them", "none are measured");
  if (!arguments.empty() && (arguments[0] == "--help" || arguments[0] == "-h")) {
    line.parse(arguments);
    return 0;
  }
  const Benchmark& benchmark = find_benchmark(arguments);
  if (!line.parse(arguments)) return 0;
  if (options.step.batch < world.size()) {
    throw UsageError(
        fmt::format("--batch {} is smaller than the {} ranks", options.step.batch, world.size()),
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
  if (options.bucket_mb && !(*options.bucket_mb >= 0))
    throw UsageError(fmt::format("--bucket-mb {} is no size", *options.bucket_mb), "Give MiB");
  options.scaling.bucket_mb = options.bucket_mb.value_or(options.scaling.bucket_mb);
  if (options.tune && !options.variant.empty())
    throw UsageError("--tune chooses among all kernels", "Leave --variant out");
  if (options.tune && !benchmark.chooses_kernels) {
    throw UsageError(fmt::format("bench {} chooses no kernels", benchmark.name),
                     "--tune is for gemm, conv, train and infer, or stands alone");
  }
  if (options.data != "random") options.step.data = options.data;
  if (options.json == "-") log::keep_output_for_document();
  if (benchmark.run == bench_infer && options.format != "float32") {
    bench_infer_on_card(world, options, placement);
    return 0;
  }
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
  return 0;
}

}  // namespace

int run_bench(const Arguments& arguments) {
  return run_job("bench", [&](Communicator& world) { return bench_job(world, arguments); });
}

}  // namespace dovetail::app
