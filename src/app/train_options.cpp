// Reads and checks the options of `dovetail train`.
#include "app/train_options.hpp"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "app/expect.hpp"
#include "app/qat_options.hpp"
#include "model/zoo.hpp"
#include "quant/calibration.hpp"
#include "quant/training_format.hpp"
#include "quant/weight_pack.hpp"
#include "support/error.hpp"
#include "support/log.hpp"
#include "support/text.hpp"

namespace dovetail::app {
namespace {

/// Options as they are typed; checked and turned into settings afterwards.
struct TypedOptions {
  std::string data, out;
  std::optional<int> epochs, steps, staleness;
  std::string format = "float32";
  std::string optimizer = to_string(OptimizerSettings{}.kind);
  std::string loss = to_string(TrainSettings{}.loss);
  std::string schedule = to_string(LearningRate{}.kind);
  double rate = 0.05, rate_factor = 0.1;
  double momentum = 0.9, decay = 0;
  std::string fpga_formats, calibration = "max", failure = "retire";
  std::string share = "0", keep = "1", select = to_string(SelectKind::rank), weight = "1";
  BoostSettings boost;
  std::string rounding = "stochastic";
  bool insist = false, feedback = false;
};

/// "0.25" or "1/4".
double parse_fraction(const std::string& option, const std::string& text) {
  const std::size_t slash = text.find('/');
  std::istringstream above(text.substr(0, slash));
  std::istringstream below(slash == std::string::npos ? "1" : text.substr(slash + 1));
  double numerator = 0, denominator = 1;
  if (!(above >> numerator) || !above.eof() || !(below >> denominator) || !below.eof() ||
      !std::isfinite(numerator / denominator)) {
    throw UsageError(fmt::format("--{} {} is no fraction", option, text), "Give 0.25 or 1/4");
  }
  return numerator / denominator;
}

std::vector<std::string> parse_list(const std::string& text) {
  std::vector<std::string> items;
  std::istringstream list(text);
  for (std::string item; std::getline(list, item, ',');) {
    if (std::find(items.begin(), items.end(), item) == items.end()) items.push_back(item);
  }
  if (items.empty()) items.push_back("");
  return items;
}

/// Whether --select hard would judge by scores of weights that may have moved on.
bool is_hard_by_old_scores(const BoostSettings& boost) {
  const bool fresh = boost.scores_on_gpu() || (boost.wait && boost.staleness == 0);
  return boost.selects() && boost.select == SelectKind::hard && !fresh;
}

/// Turns what was typed about boosts into settings.
BoostSettings boost_settings(const TypedOptions& typed, const std::string& first_format) {
  BoostSettings boost = typed.boost;
  boost.share = parse_fraction("boost", typed.share);
  boost.keep = parse_fraction("boost-select", typed.keep);
  boost.select = parse_select(typed.select);
  if (boost.select_format.empty()) boost.select_format = first_format;
  if (boost.contributes()) boost.staleness = usual_contribution_staleness;
  if (typed.staleness) boost.staleness = static_cast<std::uint64_t>(std::max(0, *typed.staleness));
  if (typed.weight == "auto") {
    boost.weight.reset();
  } else {
    boost.weight = parse_fraction("boost-weight", typed.weight);
  }
  return boost;
}

void check_boost(const BoostSettings& boost, const TypedOptions& typed, int batch) {
  expect(boost.share >= 0 && boost.share < 1,
         fmt::format("--boost {} is outside [0, 1)", typed.share),
         "Give the FPGA ranks' share of the global batch, such as 1/4");
  expect(!boost.contributes() || std::llround(boost.share * batch) >= 1,
         fmt::format("--boost {} of a batch of {} is not one sample", typed.share, batch),
         "Give a larger share or batch");
  expect(boost.keep > 0 && boost.keep <= 1,
         fmt::format("--boost-select {} is outside (0, 1]", typed.keep),
         "Give the part of the samples to train on, such as 1/3");
  expect(!boost.weight || (*boost.weight >= 0 && *boost.weight <= 1),
         fmt::format("--boost-weight {} is outside [0, 1]", typed.weight), "Give auto, or 1");
  expect(typed.staleness.value_or(0) >= 0,
         fmt::format("--boost-staleness {} is negative", typed.staleness.value_or(0)),
         "Give steps, or 0 for new weights each step");
  expect(boost.measure_every >= 1, "--boost-measure 0 measures nothing", "Give steps, such as 50");
  expect(typed.rounding == "stochastic" || typed.rounding == "nearest",
         fmt::format("unknown --boost-rounding '{}'", typed.rounding),
         "Known: stochastic, nearest");
  expect(boost.discount >= 0 && std::isfinite(boost.discount),
         fmt::format("--select-discount {} is negative", boost.discount),
         "Give 0 to ignore the age of scores, or more");
  if (boost.contributes()) quant::training_format(boost.gradient_format);
  if (boost.needs_scores()) quant::check_inference_format(boost.select_format);
  expect(!is_hard_by_old_scores(boost) || typed.insist,
         "--select hard trains on what old scores misjudged, and was seen to collapse with weights "
         "20 steps old",
         "Use --select rank, or --boost-wait --boost-staleness 0, or insist with --select-insist");
}

/// Of the options of boosts: see expect_effects.
void expect_boost_effects(const BoostSettings& boost, const TypedOptions& typed) {
  const TypedOptions usual;
  const auto expect_usual = [](bool same, const char* option, const char* boosts) {
    expect(same, fmt::format("--{} has no effect without {}", option, boosts),
           fmt::format("Leave it out, or give {}", boosts));
  };
  if (!boost.contributes()) {
    const char* boosts = "--boost SHARE";
    expect_usual(typed.boost.gradient_format == usual.boost.gradient_format, "boost-format",
                 boosts);
    expect_usual(typed.rounding == usual.rounding, "boost-rounding", boosts);
    expect_usual(!typed.feedback, "boost-feedback", boosts);
    expect_usual(typed.weight == usual.weight, "boost-weight", boosts);
    expect_usual(typed.boost.measure_every == usual.boost.measure_every, "boost-measure", boosts);
  }
  if (!boost.selects()) {
    const char* boosts = "--boost-select KEEP";
    expect_usual(typed.select == usual.select, "select", boosts);
    expect_usual(typed.boost.discount == usual.boost.discount, "select-discount", boosts);
    expect_usual(typed.boost.select_format.empty(), "select-format", boosts);
    expect_usual(!typed.insist, "select-insist", boosts);
  } else {
    const bool by_rank = boost.select == SelectKind::rank, hard = boost.select == SelectKind::hard;
    const bool scored = boost.select != SelectKind::random;
    expect_usual(by_rank || typed.boost.discount == usual.boost.discount, "select-discount",
                 "--select rank");
    expect_usual(hard || !typed.insist, "select-insist", "--select hard");
    expect(scored || typed.boost.select_format.empty(),
           "--select-format has no effect with --select random, which needs no scores",
           "Leave one of them out");
  }
  if (!boost.any()) {
    const char* boosts = "--boost SHARE or --boost-select KEEP";
    expect_usual(!typed.boost.wait, "boost-wait", boosts);
    expect_usual(!typed.staleness, "boost-staleness", boosts);
  }
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
  expect_boost_effects(settings.boost, typed);
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
  check_boost(settings.boost, typed, settings.batch);
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

void add_boost(CommandLine& line, TypedOptions& typed) {
  BoostSettings& boost = typed.boost;
  line.add("boost", typed.share,
           "FPGA ranks' share of the global batch, such as 1/4: they contribute its gradients");
  line.add("boost-format", boost.gradient_format,
           "format of contributed gradients: int2 ... int16, fixed2 ... fixed16, bfp2 ... bfp8");
  line.add("boost-rounding", typed.rounding, "of back-propagated gradients: stochastic or nearest");
  line.add_flag("boost-feedback", typed.feedback,
                "contributed sums are rounded to the format, with error feedback");
  line.add("boost-weight", typed.weight,
           "of a contributed sample: 1, another number up to 1, or auto: as measured");
  line.add("boost-measure", boost.measure_every,
           "steps between two measurements of contributed gradients against float32");
  line.add("boost-select", typed.keep,
           "part of the samples to train on, such as 1/3, chosen by scores of the FPGA ranks");
  line.add("select", typed.select,
           "rank (drawn by squared rank of the loss), importance (unbiased), hard or random");
  line.add("select-discount", boost.discount,
           "with --select rank, how much less an old score counts; 0: its age is ignored");
  line.add("select-format", boost.select_format,
           "format of the scores: one for FPGA ranks (default: the first of --fpga-format), or "
           "float32 on the GPU ranks");
  line.add_flag("select-insist", typed.insist, "allow --select hard with old scores");
  line.add_flag("boost-wait", boost.wait, "GPU ranks wait for the FPGA ranks (for experiments)");
  line.add("boost-staleness", typed.staleness,
           "weights go to boosting FPGA ranks every N + 1 steps (0 with --boost, else 20)");
}

}  // namespace

bool parse(const Arguments& arguments, TrainOptions& options) {
  TrainSettings& settings = options.settings;
  TypedOptions typed;
  QatOptions qat;
  CommandLine line("usage: mpirun -n N dovetail train --data DIR --model NAME --out RUN [options]",
                   "GPU ranks train the model; FPGA ranks score every epoch's weights in low "
                   "precision meanwhile.");
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
  qat.add_to(line);
  add_boost(line, typed);
  options.input.add_to(line);
  options.reduce.add_to(line);
  options.balance.add_to(line);
  options.run.add_to(line);
  options.timeline.add_to(line);
  options.cache.add_to(line);
  options.placement.add_to(line, "ranks that train; by default all but the FPGA ranks",
                           "ranks that infer on FPGA cards; by default one a card; where there is "
                           "none, one on an emulated card, unless there are several GPUs");
  for (const char* name : {"data", "out"}) line.require(name);
  if (!line.parse(arguments)) return false;

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
  settings.quantisation = qat.parsed();
  settings.learning_rate.kind = parse_schedule(typed.schedule);
  settings.learning_rate.base = static_cast<float>(typed.rate);
  settings.learning_rate.factor = static_cast<float>(typed.rate_factor);
  options.names_fpga_formats = !typed.fpga_formats.empty();
  if (typed.fpga_formats.empty())
    typed.fpga_formats = settings.quantisation ? settings.quantisation->format : "int8";
  settings.fpga_formats = parse_list(typed.fpga_formats);
  settings.calibration = quant::parse_calibration(typed.calibration);
  settings.boost = boost_settings(typed, settings.fpga_formats.front());
  options.input.apply(settings);
  options.reduce.apply(settings);
  options.balance.apply(settings);
  options.stochastic = typed.rounding == "stochastic";
  options.error_feedback = typed.feedback;
  options.retire = typed.failure == "retire";
  check(settings, typed);
  if (is_hard_by_old_scores(settings.boost))
    log::warn("dovetail train: --select hard with old scores may collapse; rank bears them");
  return true;
}

}  // namespace dovetail::app
