// `dovetail train`: the main job. GPU ranks train, FPGA ranks score every published version.
#include <algorithm>
#include <filesystem>

#include "app/command_line.hpp"
#include "app/commands.hpp"
#include "app/job.hpp"
#include "app/placement_options.hpp"
#include "comm/placement.hpp"
#include "infer/engine.hpp"
#include "infer/evaluator.hpp"
#include "model/zoo.hpp"
#include "plan/fpga_network.hpp"
#include "quant/weight_pack.hpp"
#include "support/clock.hpp"
#include "support/error.hpp"
#include "support/file.hpp"
#include "support/log.hpp"
#include "support/process.hpp"
#include "support/text.hpp"
#include "train/summary.hpp"
#include "train/trainer.hpp"

namespace dovetail::app {
namespace {

struct TrainOptions {
  TrainSettings settings;
  PlacementOptions placement;
};

/// Options as they are typed; checked and turned into settings afterwards.
struct TypedOptions {
  std::string data, out;
  std::string format = "float32";
  std::string optimizer = to_string(OptimizerSettings{}.kind);
  std::string loss = to_string(TrainSettings{}.loss);
  std::string schedule = to_string(LearningRate{}.kind);
  double rate = 0.05, rate_factor = 0.1;
  double momentum = 0.9, decay = 0;
};

void expect(bool holds, const std::string& problem, const std::string& remedy) {
  if (!holds) throw UsageError(problem, remedy);
}

/// An option that the others leave without effect is a mistake, wherever a person typed it.
void expect_effects(const TrainSettings& settings, const TypedOptions& typed) {
  const TypedOptions usual;
  if (settings.optimizer.kind != OptimizerKind::sgd) {
    const std::string problem = fmt::format("has no effect with --optimizer {}", typed.optimizer);
    expect(!settings.optimizer.nesterov, "--nesterov " + problem, "Leave it out, or use sgd");
    expect(typed.momentum == usual.momentum, "--momentum " + problem, "Leave it out, or use sgd");
  }
  if (settings.learning_rate.kind != ScheduleKind::step) {
    const std::string problem = fmt::format("has no effect with --lr-schedule {}", typed.schedule);
    const char* remedy = "Leave it out, or use --lr-schedule step";
    expect(settings.step_epochs == TrainSettings{}.step_epochs, "--step-epochs " + problem, remedy);
    expect(typed.rate_factor == usual.rate_factor, "--step-factor " + problem, remedy);
  }
  // No mistake where the run is to be resumed.
  if (settings.warmup_epochs > settings.epochs) {
    log::warn(
        fmt::format("the warm-up of {} epochs is longer than this run of {}: the learning "
                    "rate never reaches --lr {}",
                    settings.warmup_epochs,
                    counted(static_cast<std::uint64_t>(settings.epochs), "epoch"), typed.rate));
  }
}

void check(const TrainSettings& settings, const TypedOptions& typed) {
  const std::vector<std::string> models = model_names();
  expect(std::find(models.begin(), models.end(), settings.model) != models.end(),
         fmt::format("unknown model '{}'", settings.model),
         fmt::format("Known models: {}", fmt::join(models, ", ")));
  expect(typed.format == "float32", fmt::format("unknown format '{}' for training", typed.format),
         "Known formats: float32");
  expect(settings.fpga_format == "int8",
         fmt::format("unknown FPGA format '{}'", settings.fpga_format), "Known FPGA formats: int8");
  expect(settings.epochs >= 1, fmt::format("--epochs {} trains nothing", settings.epochs),
         "Give 1 or more");
  expect(settings.batch >= 1, fmt::format("--batch {} holds no samples", settings.batch),
         "Give 1 or more");
  expect(typed.rate > 0, fmt::format("--lr {} is not positive", typed.rate),
         "Give a learning rate such as 0.05");
  expect(typed.momentum >= 0 && typed.momentum < 1,
         fmt::format("--momentum {} is outside [0, 1)", typed.momentum),
         "Give a momentum such as 0.9");
  expect(typed.decay >= 0, fmt::format("--weight-decay {} is negative", typed.decay),
         "Give 0 or more");
  expect(settings.warmup_epochs >= 0,
         fmt::format("--warmup-epochs {} is negative", settings.warmup_epochs), "Give 0 or more");
  expect(settings.step_epochs > 0,
         fmt::format("--step-epochs {} is not positive", settings.step_epochs),
         "Give epochs, such as 1");
  expect(typed.rate_factor > 0, fmt::format("--step-factor {} is not positive", typed.rate_factor),
         "Give a factor such as 0.1");
  expect(!settings.optimizer.nesterov || typed.momentum > 0, "--nesterov needs a momentum",
         "Give --momentum 0.9");
  expect_effects(settings, typed);
}

bool parse(const Arguments& arguments, TrainOptions& options) {
  TrainSettings& settings = options.settings;
  TypedOptions typed;
  CommandLine line("usage: mpirun -n N dovetail train --data DIR --model NAME --out RUN [options]",
                   "GPU ranks train the model; FPGA ranks score every epoch's weights in low "
                   "precision meanwhile.");
  line.add("data", typed.data, "the data set's folder (made by `dovetail shard`)");
  line.add("model", settings.model, fmt::format("one of: {}", fmt::join(model_names(), ", ")));
  line.add("out", typed.out, "the run's folder: run.jsonl, summary.json, checkpoint.h5");
  line.add("epochs", settings.epochs, "passes over the training set");
  line.add("batch", settings.batch, "global batch: samples of one step over all GPU ranks");
  line.add("lr", typed.rate, "learning rate");
  line.add("lr-schedule", typed.schedule, "constant, step or cosine");
  line.add("warmup-epochs", settings.warmup_epochs, "linear warm-up of the learning rate");
  line.add("step-epochs", settings.step_epochs, "step schedule: epochs between two drops");
  line.add("step-factor", typed.rate_factor, "step schedule: factor of a drop");
  line.add("optimizer", typed.optimizer, "sgd, adam or adamw");
  line.add("momentum", typed.momentum, "of sgd");
  line.add_flag("nesterov", settings.optimizer.nesterov, "Nesterov's momentum");
  line.add("weight-decay", typed.decay, "L2 penalty; decoupled in adamw");
  line.add("loss", typed.loss, "cross-entropy or mse");
  line.add("seed", settings.seed, "of initial weights, order and dropout");
  line.add("format", typed.format, "number format of training: float32");
  line.add("fpga-format", settings.fpga_format, "number format of the FPGA ranks: int8");
  line.add_flag("resume", settings.resume, "go on from the run folder's checkpoint");
  options.placement.add_to(
      line, "ranks that train; by default all but the FPGA ranks",
      "ranks that infer on FPGA cards; by default one a card, or one emulated");
  for (const char* name : {"data", "out"}) line.require(name);
  if (!line.parse(arguments)) return false;

  settings.data = typed.data;
  settings.out = typed.out;
  settings.optimizer.kind = parse_optimizer(typed.optimizer);
  settings.optimizer.momentum = static_cast<float>(typed.momentum);
  settings.optimizer.weight_decay = static_cast<float>(typed.decay);
  settings.loss = parse_loss(typed.loss);
  settings.learning_rate.kind = parse_schedule(typed.schedule);
  settings.learning_rate.base = static_cast<float>(typed.rate);
  settings.learning_rate.factor = static_cast<float>(typed.rate_factor);
  check(settings, typed);
  return true;
}

/// What every rank brings to the job, whatever its role.
struct Job {
  const TrainOptions& options;
  Communicator& world;
  const Placement& placement;
  Model model;
  ShardReader test_set;
};

Json report(const Job& job, std::uint64_t samples, const Json& seconds) {
  const RankPlacement& mine = job.placement.mine();
  return {{"rank", mine.rank},          {"role", to_string(mine.role)},
          {"device", mine.device.name}, {"host", mine.host},
          {"samples", samples},         {"peak_memory_bytes", peak_memory_bytes()},
          {"seconds", seconds}};
}

/// The summary of the job that trained these weights, where this one had nothing left to train.
std::optional<Json> earlier_summary(const TrainSettings& settings, const TrainResult& result) {
  const std::filesystem::path file = settings.out / "summary.json";
  if (result.trained_samples > 0 || !std::filesystem::is_regular_file(file)) return std::nullopt;
  Json summary = Json::parse(read_file(file), nullptr, false);
  const auto weights = summary.find("weights_sha256");  // none in a file that is damaged
  if (weights == summary.end() || *weights != result.weights_sha256) return std::nullopt;
  return summary;
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
  const std::filesystem::path file = settings.out / "summary.json";
  if (std::optional<Json> earlier = earlier_summary(settings, result)) {
    summary = std::move(*earlier);
    log::note(fmt::format("nothing was left to train: {} stays as it was", file.string()));
  } else {
    replace_file_text(file, summary.dump(2) + "\n");
  }
  log.event("end", {{"test_accuracy", result.test_accuracy},
                    {"weights_sha256", result.weights_sha256},
                    {"wall_seconds", wall_s}});
  log::note(summary_text(summary, settings.out));
}

void train_on_gpu(Job& job, Communicator& gpu_ranks, std::optional<Communicator>& link) {
  Stopwatch wall;
  const TrainSettings& settings = job.options.settings;
  ShardReader train_set(settings.data, "train", {.seed = settings.seed});
  opencl::Device device(job.placement.mine().device.index);
  job.world.barrier();  // the run folder is untouched until every rank has its device and its data
  std::optional<RunLog> log;
  std::optional<Publisher> publisher;
  if (gpu_ranks.is_lead()) {
    make_writable_folder(settings.out);
    log.emplace(settings.out / "run.jsonl", settings.resume);
    log->event("start", {{"model", settings.model},
                         {"data", settings.data.string()},
                         {"epochs", settings.epochs},
                         {"batch", settings.batch},
                         {"seed", settings.seed},
                         {"resume", settings.resume},
                         {"placement", to_json(job.placement)}});
    if (link) publisher.emplace(*link);
  }
  Trainer trainer(gpu_ranks, device, settings, job.model, train_set, job.test_set,
                  publisher ? &*publisher : nullptr, log ? &*log : nullptr);
  const TrainResult result = trainer.run();
  const auto reports =
      job.world.all_gather_text(report(job, trainer.samples(), trainer.phases().to_json()).dump());
  if (log) finish_run(job, result, reports, *log, wall.seconds());
}

void evaluate_on_fpga(Job& job, Communicator& link) {
  const CardEngine card = open_engine(job.placement.mine(), job.options.placement);
  job.world.barrier();
  Evaluator evaluator(link, *card.engine, job.test_set);
  evaluator.run();
  job.world.all_gather_text(report(job, evaluator.samples(), evaluator.phases().to_json()).dump());
}

/// Refuses a network that the FPGA kernels cannot hold before anything is trained.
void expect_fpga_fit(const Job& job) {
  const Plan::Ranges ranges{1.0f, std::vector<float>(job.model.layers().size(), 1.0f)};
  try {
    quant::pack(
        plan::fpga_network(job.model, job.model.initial_parameters(0),
                           job.model.initial_statistics(), input_statistics(job.test_set), ranges),
        job.options.settings.fpga_format, 0);
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

int train(Communicator& world, const Arguments& arguments) {
  TrainOptions options;
  if (!parse(arguments, options)) return 0;
  TrainSettings& settings = options.settings;
  const Placement placement = place_job(world, options.placement);
  const std::vector<int> gpus = placement.ranks_of(Role::gpu);
  expect(!gpus.empty(), "no rank trains", "Give at least one GPU rank (--gpu-ranks 1)");
  expect(settings.batch >= static_cast<int>(gpus.size()),
         fmt::format("--batch {} is smaller than the {} GPU ranks", settings.batch, gpus.size()),
         "Give every GPU rank at least one sample a step");

  ShardReader test_set(settings.data, "test");
  limit_batch(settings, test_set.manifest());
  const SampleShape& shape = test_set.manifest().shape;
  const FeatureShape input{static_cast<int>(shape.channels), static_cast<int>(shape.height),
                           static_cast<int>(shape.width)};
  Job job{options, world, placement,
          make_model(settings.model, input, static_cast<int>(test_set.manifest().classes)),
          std::move(test_set)};

  if (gpus.size() < static_cast<std::size_t>(world.size())) expect_fpga_fit(job);
  const bool is_gpu = placement.mine().role == Role::gpu;
  std::optional<Communicator> gpu_ranks = world.split(is_gpu ? std::optional(0) : std::nullopt, 0);
  const bool is_linked =
      gpus.size() < static_cast<std::size_t>(world.size()) && (!is_gpu || gpu_ranks->is_lead());
  std::optional<Communicator> link =
      world.split(is_linked ? std::optional(0) : std::nullopt, is_gpu ? 0 : 1);
  if (is_gpu) {
    train_on_gpu(job, *gpu_ranks, link);
  } else {
    evaluate_on_fpga(job, *link);
  }
  return 0;
}

}  // namespace

int run_train(const Arguments& arguments) {
  return run_job("train", [&](Communicator& world) { return train(world, arguments); });
}

}  // namespace dovetail::app
