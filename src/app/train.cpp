// `dovetail train`: the main job. GPU ranks train; FPGA ranks score every published
// version, and boost the training.
#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>

#include "app/card_engines.hpp"
#include "app/commands.hpp"
#include "app/expect.hpp"
#include "app/job.hpp"
#include "app/job_timeline.hpp"
#include "app/requeue.hpp"
#include "app/train_options.hpp"
#include "comm/placement.hpp"
#include "infer/fpga_rank.hpp"
#include "model/zoo.hpp"
#include "plan/fpga_network.hpp"
#include "plan/training_network.hpp"
#include "quant/training_pack.hpp"
#include "quant/weight_pack.hpp"
#include "support/activity.hpp"
#include "support/clock.hpp"
#include "support/error.hpp"
#include "support/file.hpp"
#include "support/log.hpp"
#include "support/process.hpp"
#include "support/text.hpp"
#include "train/run_folder.hpp"
#include "train/summary.hpp"
#include "train/trainer.hpp"

namespace dovetail::app {
namespace {

/// What every rank brings to the job, whatever its role.
struct Job {
  const TrainOptions& options;
  Communicator& world;
  const Placement& placement;
  Model model;
  ShardReader test_set;
  JobTimeline& timeline;
  JobWatch& watch;
  std::string my_report{};  // of this rank, at the end
  bool had_notice = false;  // this rank was asked to stop by SIGUSR1, at the end
};

Json report(const Job& job, std::uint64_t samples, const Json& seconds) {
  const RankPlacement& mine = job.placement.mine();
  return {{"rank", mine.rank},          {"role", to_string(mine.role)},
          {"device", mine.device.name}, {"host", mine.host},
          {"samples", samples},         {"peak_memory_bytes", peak_memory_bytes()},
          {"seconds", seconds}};
}

constexpr int interrupted_code = 75;  // EX_TEMPFAIL of sysexits.h: try again later

/// The summary of the job that trained these weights, where this one had nothing left to train.
/// A job that was stopped at the end of an epoch had not evaluated its weights yet, and does not
/// count.
std::optional<Json> earlier_summary(const TrainSettings& settings, const TrainResult& result) {
  const std::filesystem::path file = settings.out / "summary.json";
  if (result.trained_samples > 0 || !std::filesystem::is_regular_file(file)) return std::nullopt;
  Json summary = Json::parse(read_file(file), nullptr, false);
  const auto weights = summary.find("weights_sha256");  // none in a file that is damaged
  if (weights == summary.end() || *weights != result.weights_sha256) return std::nullopt;
  if (!summary.contains("steps")) return std::nullopt;
  if (summary.value("epochs", Json()) != result.epochs) return std::nullopt;
  summary["status"] = "done";
  return summary;
}

/// What summary.json says from the start.
Json run_identity(const TrainSettings& settings) {
  Json run{{"model", settings.model}, {"batch", settings.batch}, {"seed", settings.seed}};
  if (const char* job = std::getenv("SLURM_JOB_ID")) run["slurm_job"] = job;
  return run;
}

void finish_run(const Job& job, const TrainResult& result, const std::vector<std::string>& reports,
                RunLog& log, double wall_s) {
  const TrainSettings& settings = job.options.settings;
  RankReports ranks;
  for (const std::string& text : reports) ranks.push_back(Json::parse(text));
  const std::vector<int> fpga_ranks = job.placement.ranks_of(Role::fpga);
  std::string backend = "none";
  if (!fpga_ranks.empty()) {
    backend = job.placement.ranks[static_cast<std::size_t>(fpga_ranks.front())].emulated
                  ? "emulated"
                  : "card";
  }
  Json summary = make_summary(settings, result, ranks, backend, wall_s);
  summary.update(run_identity(settings));
  const std::filesystem::path file = settings.out / "summary.json";
  if (std::optional<Json> earlier = earlier_summary(settings, result)) {
    summary = std::move(*earlier);
    log::note(fmt::format("nothing was left to train: {} stays as it was", file.string()));
  }
  replace_file_text(file, dump(summary, 2) + "\n");
  log.event("end", {{"status", summary["status"]},
                    {"test_accuracy", result.test_accuracy},
                    {"weights_sha256", result.weights_sha256},
                    {"wall_seconds", wall_s}});
  log::note(summary_text(summary, settings.out));
}

void log_start(const Job& job, const plan::Tuner& tuner, RunLog& log) {
  const TrainSettings& settings = job.options.settings;
  const bool by_steps = settings.steps > 0;
  const std::string instructions = opencl::instructions_remark();
  if (!instructions.empty()) log::note(instructions);
  log.event("start", {{"model", settings.model},
                      {"qat", settings.quantisation ? describe(*settings.quantisation) : "none"},
                      {"format", to_string(settings.format)},
                      {"data", settings.data.string()},
                      {"epochs", by_steps ? Json(nullptr) : Json(settings.epochs)},
                      {"steps", by_steps ? Json(settings.steps) : Json(nullptr)},
                      {"batch", settings.batch},
                      {"seed", settings.seed},
                      {"chunks", settings.chunks},
                      {"balance", to_string(settings.balance)},
                      {"resume", settings.resume},
                      {"instructions", instructions},
                      {"kernels", tuner.to_json()},
                      {"placement", to_json(job.placement)}});
}

void wait_in(const char* phase) {
  activity::enter(phase, 0, activity::Kind::wait);
}

/// Collective.
std::vector<std::string> gather_reports(Job& job) {
  job.had_notice = StopSignal::requested() == SIGUSR1;
  job.watch.calm();  // from here on a signal ends the job as ever
  wait_in("reports");
  return job.world.all_gather_text(job.my_report);
}

struct Ending {
  int code = 0;             // whether any rank's part of the job was interrupted, as an exit code
  bool had_notice = false;  // whether it was by SIGUSR1, and of no other signal, that some rank was
};

/// Collective.
Ending agreed_ending(const Job& job, bool interrupted) {
  wait_in("end");
  Ending ending;
  ending.code = job.world.all_reduce_max(std::int32_t{interrupted ? interrupted_code : 0});
  ending.had_notice = job.world.all_reduce_max(std::int32_t{job.had_notice}) > 0;
  activity::enter("release", 0);  // of devices
  return ending;
}

/// Collective. The run folder is as it was until every rank has its device and its data.
void all_are_ready(Job& job) {
  wait_in("start");
  job.world.barrier();
  job.watch.note_signals();
}

int train_on_gpu(Job& job, Communicator& gpu_ranks, std::optional<Communicator>& link) {
  Stopwatch wall;
  const TrainSettings& settings = job.options.settings;
  activity::enter("shards", 0);
  ShardReader train_set(settings.data, "train", {.seed = settings.seed});
  activity::enter("device", 0);
  opencl::Device device(job.placement.mine().device.index, job.options.cache.folder());
  plan::Tuner tuner(device);
  all_are_ready(job);
  std::optional<RunLog> log;
  std::optional<Publisher> publisher;
  if (gpu_ranks.is_lead()) {
    activity::enter("log", 0);
    begin_run(settings.out, settings.resume, run_identity(settings));
    log.emplace(settings.out / "run.jsonl", settings.resume);
    if (link) publisher.emplace(*link, settings.fpga_formats.size());
  }
  const TrainResult result = [&] {
    wait_in("start");
    std::unique_ptr<AllReduce> all_reduce =
        Trainer::make_all_reduce(gpu_ranks, device, settings, job.model, train_set.samples());
    const auto trainer = make_host_by_host(gpu_ranks, tuner, [&] {
      return std::make_unique<Trainer>(gpu_ranks, device, settings, job.model, train_set,
                                       job.test_set, publisher ? &*publisher : nullptr,
                                       log ? &*log : nullptr, &tuner, std::move(all_reduce));
    });
    activity::enter("log", 0);
    if (log) log_start(job, tuner, *log);
    job.watch.started();
    TrainResult trained = trainer->run();
    Json mine = report(job, trainer->samples(), trainer->phases().to_json());
    mine["communication"] = trainer->communication();
    job.my_report = dump(mine);
    wait_in("reports");
    return trained;
  }();
  const auto reports = gather_reports(job);
  if (log) {
    activity::enter("summary", 0);
    finish_run(job, result, reports, *log, wall.seconds());
  }
  device.end_timeline();
  job.timeline.finish();
  const Ending ending = agreed_ending(job, result.interrupted);
  // SIGTERM is somebody's scancel, or Slurm, which queues a job again by itself where it wants to.
  if (log && result.interrupted && ending.had_notice && job.options.run.requeue) {
    activity::enter("requeue", 0);
    requeue_job();
  }
  return ending.code;
}

int serve_on_fpga(Job& job, Communicator& link) {
  const TrainSettings& settings = job.options.settings;
  std::vector<std::string> formats = settings.fpga_formats;
  if (settings.boost.needs_scores()) formats.push_back(settings.boost.select_format);
  activity::enter("card", 0);
  CardEngines engines(job.placement.mine(), job.options.placement, formats);
  FpgaDuties duties;
  duties.name = settings.rank_name;
  duties.formats = settings.fpga_formats;
  duties.open = [&](const std::string& format) { return engines.open(format); };
  duties.test_set = &job.test_set;
  duties.retire = job.options.retire;
  std::optional<ShardReader> train_set;
  if (settings.boost.needs_fpga()) {
    activity::enter("shards", 0);
    train_set.emplace(settings.data, "train", ReaderOptions{.seed = settings.seed});
    duties.train_set = &*train_set;
    duties.schedule = step_schedule(settings, train_set->samples());
    duties.timing = boost_timing(settings, duties.schedule, 0);
    duties.select_format = settings.boost.select_format;
  }
  std::unique_ptr<infer::GradientSource> gradients;
  if (settings.boost.contributes()) {
    activity::enter("card", 0);
    gradients = engines.open_gradients({.format = settings.boost.gradient_format,
                                        .stochastic = job.options.boost.stochastic(),
                                        .seed = settings.seed,
                                        .quantise_sums = job.options.boost.error_feedback(),
                                        .error_feedback = job.options.boost.error_feedback()});
    duties.gradients = gradients.get();
    duties.gradient_format = settings.boost.gradient_format;
  }
  all_are_ready(job);
  job.watch.started();
  {
    FpgaRank rank(link, duties);
    rank.run();
    job.my_report = dump(report(job, rank.samples(), rank.phases().to_json()));
  }
  gather_reports(job);
  job.timeline.finish();
  return agreed_ending(job, false).code;
}

/// Refuses what the FPGA kernels cannot hold before anything is trained.
void expect_fpga_fit(const Job& job) {
  const TrainSettings& settings = job.options.settings;
  std::vector<std::string> formats = settings.fpga_formats;
  if (settings.boost.needs_scores()) formats.push_back(settings.boost.select_format);
  const Plan::Ranges ranges{1.0f, std::vector<float>(job.model.layers().size(), 1.0f)};
  try {
    const quant::Network network =
        plan::fpga_network(job.model, job.model.initial_parameters(0),
                           job.model.initial_statistics(), input_statistics(job.test_set), ranges);
    for (const std::string& format : formats) quant::pack(network, format, 0);
    if (settings.boost.contributes()) {
      const quant::Network trained = plan::training_network(
          job.model, job.model.initial_parameters(0), input_statistics(job.test_set));
      quant::pack_training(trained, settings.boost.gradient_format, 0);
    }
  } catch (const Error& failure) {
    throw UsageError(fmt::format("the FPGA ranks cannot run this network: {}", failure.what()),
                     "Or train it without them (--fpga-ranks 0)");
  }
}

/// A step takes the whole training set at most.
void limit_batch(TrainSettings& settings, const Manifest& manifest) {
  const std::size_t samples = manifest.split("train", settings.data).samples;
  if (static_cast<std::size_t>(settings.batch) <= samples) return;
  log::note(fmt::format("--batch {} is more than the training set: a step takes all its {}",
                        settings.batch, counted(samples, "sample")));
  settings.batch = static_cast<int>(samples);
}

/// Collective: takes the run folder for this job, and has it watched from here on.
void watch_over_run(JobWatch& watch, const Communicator& world, const TrainOptions& options) {
  const std::filesystem::path& out = options.settings.out;
  std::shared_ptr<RunFolder> folder;
  std::string made;
  if (world.is_lead()) {
    folder = std::make_shared<RunFolder>(out, options.run.use());
    made = folder->made().string();
  }
  world.broadcast_text(made, 0);
  watch.begin(world, {.command = "train",
                      .signs = RunFolder::signs(out),
                      .lock = folder,
                      .limits = options.run.stalls,
                      .remedy = [out] { return resume_hint(out); },
                      .note_failure = [out](const std::string& why) { mark_failed(out, why); },
                      .clean =
                          [out, made](bool started) {
                            if (!started) discard_run(out, made);
                          }});
}

int train(Communicator& world, JobWatch& watch, const Arguments& arguments) {
  TrainOptions options;
  if (!parse(arguments, options)) return 0;
  TrainSettings& settings = options.settings;
  watch_over_run(watch, world, options);
  const Placement placement = place_job(world, options.placement);
  watch.placed(world, placement);
  settings.rank_name = fmt::format("rank {} on {}", world.rank(), world.host());
  const std::vector<int> gpus = placement.ranks_of(Role::gpu);
  expect(!gpus.empty(), "no rank trains", "Give at least one GPU rank (--gpu-ranks 1)");
  expect(settings.batch >= static_cast<int>(gpus.size()),
         fmt::format("--batch {} is smaller than the {} GPU ranks", settings.batch, gpus.size()),
         "Give every GPU rank at least one sample a step");
  expect(
      settings.chunks == 0 || gpus.size() <= settings.chunks,
      fmt::format("--deterministic cuts a batch into {} chunks, which are too few for {} GPU ranks",
                  settings.chunks, gpus.size()),
      "Give --chunks a larger power of two, and the same on every number of ranks");
  const std::vector<double>& ratios = settings.balance.ratios;
  expect(ratios.empty() || ratios.size() == gpus.size(),
         fmt::format("--balance {} is of {} GPU ranks, but there are {}",
                     to_string(settings.balance), ratios.size(), gpus.size()),
         "Give one number a GPU rank, in rank order");
  settings.repeats = repeats_of(world.rank());
  const bool has_fpga = gpus.size() < static_cast<std::size_t>(world.size());
  expect(has_fpga || !settings.boost.needs_fpga(), "no FPGA rank boosts the training",
         "Give --fpga-ranks 1, or select with --select random or --select-format float32");

  if (!has_fpga && options.names_fpga_formats)
    log::warn("dovetail train: --fpga-format has no effect, since no FPGA rank scores anything");

  activity::enter("shards", 0);
  ShardReader test_set(settings.data, "test");
  limit_batch(settings, test_set.manifest());
  const SampleShape& shape = test_set.manifest().shape;
  const FeatureShape input{static_cast<int>(shape.channels), static_cast<int>(shape.height),
                           static_cast<int>(shape.width)};
  wait_in("start");
  JobTimeline timeline(world, placement, options.timeline);
  Job job{options,
          world,
          placement,
          make_model(settings.model, input, static_cast<int>(test_set.manifest().classes),
                     settings.quantisation),
          std::move(test_set),
          timeline,
          watch};

  if (has_fpga) expect_fpga_fit(job);
  const bool is_gpu = placement.mine().role == Role::gpu;
  std::optional<Communicator> gpu_ranks = world.split(is_gpu ? std::optional(0) : std::nullopt, 0);
  const bool is_linked = has_fpga && (!is_gpu || gpu_ranks->is_lead());
  std::optional<Communicator> link =
      world.split(is_linked ? std::optional(0) : std::nullopt, is_gpu ? 0 : 1);
  return is_gpu ? train_on_gpu(job, *gpu_ranks, link) : serve_on_fpga(job, *link);
}

}  // namespace

int run_train(const Arguments& arguments) {
  return run_watched_job("train", [&](Communicator& world, JobWatch& watch) {
    return train(world, watch, arguments);
  });
}

}  // namespace dovetail::app
