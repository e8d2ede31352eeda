// Reads and checks the options of `dovetail train`.
#include "app/train_options.hpp"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "app/expect.hpp"
#include "app/qat_options.hpp"
#include "model/zoo.hpp"
#include "quant/calibration.hpp"
#include "quant/weight_pack.hpp"
#include "support/error.hpp"
#include "support/log.hpp"
#include "support/text.hpp"

namespace dovetail::app {
namespace {

/// Options as they are typed; checked and turned into settings afterwards.
struct TypedOptions {
  std::string data, out;
  std::optional<int> epochs, steps;
  std::string format = "float32";
  std::string optimizer = to_string(OptimizerSettings{}.kind);
  std::string loss = to_string(TrainSettings{}.loss);
  std::string schedule = to_string(LearningRate{}.kind);
  double rate = 0.05, rate_factor = 0.1;
  double momentum = 0.9, decay = 0;
  std::string fpga_formats, calibration = "max", failure = "retire";
  QatOptions qat;
};

std::vector<std::string> parse_list(const std::string& text) {
  std::vector<std::string> items;
  std::istringstream list(text);
  for (std::string item; std::getline(list, item, ',');) {
    if (std::find(items.begin(), items.end(), item) == items.end()) items.push_back(item);
  }
  if (items.empty()) items.push_back("");
  return items;
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
  if (!typed.steps && settings.warmup_epochs > settings.epochs) {
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
  expect(settings.format == ComputeFormat::float32 || !settings.quantisation,
         fmt::format("--format {} would change what --qat computes", typed.format),
         "Train with --qat in float32");
  for (const std::string& format : settings.fpga_formats) quant::check_inference_format(format);
  expect(settings.within_points >= 0,
         fmt::format("--within {} is negative", settings.within_points), "Give points, such as 1");
  expect(typed.failure == "retire" || typed.failure == "abort",
         fmt::format("unknown --fpga-failure '{}'", typed.failure), "Known: retire, abort");
  expect(
      !settings.boost.contributes() || settings.loss == LossKind::cross_entropy,
      fmt::format("--boost with --loss {}: FPGA ranks compute the gradients of the cross-entropy",
                  typed.loss),
      "Leave one of them out");
  expect(
      !settings.boost.contributes() || !settings.quantisation,
      "--boost with --qat: FPGA ranks compute the gradients of the network that is not quantised",
      "Leave one of them out");
  expect(!typed.epochs || !typed.steps, "both --epochs and --steps say when training ends",
         "Give one of them");
  expect(settings.epochs >= 1, fmt::format("--epochs {} trains nothing", settings.epochs),
         "Give 1 or more");
  expect(typed.steps.value_or(1) >= 1,
         fmt::format("--steps {} trains nothing", typed.steps.value_or(0)), "Give 1 or more");
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

void add_options(CommandLine& line, TrainOptions& options, TypedOptions& typed) {
  TrainSettings& settings = options.settings;
  line.add("data", typed.data, "the data set's folder (made by `dovetail shard`)");
  line.add("model", settings.model, fmt::format("one of: {}", fmt::join(model_names(), ", ")));
  line.add("out", typed.out, "the run's folder: run.jsonl, summary.json, checkpoint.h5");
  line.add("epochs", typed.epochs, "passes over the training set (3 unless told)");
  line.add("steps", typed.steps,
           "in place of --epochs: training ends after so many steps, the schedule spans them");
  line.add("validate-every", settings.validate_every,
           "steps between two validations within an epoch, logged as events; 0: none");
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
  line.add("format", typed.format,
           "number format that products read their operands in: float32, tf32, bf16 or fp16");
  line.add("fpga-format", typed.fpga_formats,
           fmt::format(
               "formats that every epoch's weights are scored in, such as A,B; by default that of "
               "--qat, or int8. Known: {}",
               quant::inference_formats()));
  line.add("calibration", typed.calibration,
           "how those formats choose the activations' ranges: max, mse, percentile (99.9) or "
           "percentile:P");
  line.add("within", settings.within_points,
           "points below float32 within which the summary names the smallest format");
  line.add("fpga-failure", typed.failure,
           "when a card fails: retire its rank and train on, or abort");
  typed.qat.add_to(line);
  options.boost.add_to(line);
  options.input.add_to(line);
  options.reduce.add_to(line);
  options.balance.add_to(line);
  options.run.add_to(line);
  options.timeline.add_to(line);
  options.cache.add_to(line);
  options.placement.add_to(line, "ranks that train; by default all but the FPGA ranks",
                           "ranks that infer on FPGA cards; by default one a card; where there is "
                           "none, one on an emulated card, unless there are several GPUs");
}

/// What was typed, as settings.
void apply(TypedOptions& typed, TrainOptions& options) {
  TrainSettings& settings = options.settings;
  settings.data = typed.data;
  settings.out = typed.out;
  settings.epochs = typed.epochs.value_or(settings.epochs);
  settings.steps = static_cast<std::uint64_t>(std::max(0, typed.steps.value_or(0)));
  options.run.apply(settings);
  options.timeline.apply();
  settings.optimizer.kind = parse_optimizer(typed.optimizer);
  settings.optimizer.momentum = static_cast<float>(typed.momentum);
  settings.optimizer.weight_decay = static_cast<float>(typed.decay);
  settings.loss = parse_loss(typed.loss);
  settings.format = parse_compute_format(typed.format);
  settings.quantisation = typed.qat.parsed();
  settings.learning_rate.kind = parse_schedule(typed.schedule);
  settings.learning_rate.base = static_cast<float>(typed.rate);
  settings.learning_rate.factor = static_cast<float>(typed.rate_factor);
  options.names_fpga_formats = !typed.fpga_formats.empty();
  if (typed.fpga_formats.empty())
    typed.fpga_formats = settings.quantisation ? settings.quantisation->format : "int8";
  settings.fpga_formats = parse_list(typed.fpga_formats);
  settings.calibration = quant::parse_calibration(typed.calibration);
  settings.boost = options.boost.parsed(settings.fpga_formats.front(), settings.batch);
  options.input.apply(settings);
  options.reduce.apply(settings);
  options.balance.apply(settings);
  options.retire = typed.failure == "retire";
}

}  // namespace

bool parse(const Arguments& arguments, TrainOptions& options) {
  TypedOptions typed;
  CommandLine line("usage: mpirun -n N dovetail train --data DIR --model NAME --out RUN [options]",
                   "GPU ranks train the model; FPGA ranks score every epoch's weights in low "
                   "precision meanwhile.");
  add_options(line, options, typed);
  for (const char* name : {"data", "out"}) line.require(name);
  if (!line.parse(arguments)) return false;
  apply(typed, options);
  check(options.settings, typed);
  if (options.settings.boost.judges_by_old_scores())
    log::warn("dovetail train: --select hard with old scores may collapse; rank bears them");
  return true;
}

}  // namespace dovetail::app
