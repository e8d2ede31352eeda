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

void check(const TrainSettings& settings, const TypedOptions& typed) {
  expect(typed.format == "float32", fmt::format("unknown format '{}' for training", typed.format),
         "Known formats: float32");
  quant::kernel_family(settings.fpga_format);  // throws for an unknown one, listing the known
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
  line.add("fpga-format", settings.fpga_format,
           "number format of the FPGA ranks: int8, int4, int2 or wXaY (w1a1, wta2, w4a8 …)");
  line.add_flag("resume", settings.resume, "go on from the run folder's checkpoint");
  options.placement.add_to(line);
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
  const Json summary = make_summary(settings, result, ranks, backend, wall_s);
  replace_file_text(settings.out / "summary.json", summary.dump(2) + "\n");
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
  const CardEngine card =
      open_engine(job.placement.mine(), job.options.placement, job.options.settings.fpga_format);
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

int train(Communicator& world, const Arguments& arguments) {
  TrainOptions options;
  if (!parse(arguments, options)) return 0;
  const TrainSettings& settings = options.settings;
  const Placement placement = place_job(world, options.placement);
  const std::vector<int> gpus = placement.ranks_of(Role::gpu);
  expect(!gpus.empty(), "no rank trains", "Give at least one GPU rank (--gpu-ranks 1)");
  expect(settings.batch >= static_cast<int>(gpus.size()),
         fmt::format("--batch {} is smaller than the {} GPU ranks", settings.batch, gpus.size()),
         "Give every GPU rank at least one sample a step");
  if (world.is_lead()) make_writable_folder(settings.out);

  ShardReader test_set(settings.data, "test");
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
