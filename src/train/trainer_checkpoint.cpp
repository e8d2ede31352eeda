// The trainer's way into a checkpoint and out of it.
#include <algorithm>

#include "support/activity.hpp"
#include "support/checksum.hpp"
#include "support/clock.hpp"
#include "support/error.hpp"
#include "support/log.hpp"
#include "support/text.hpp"
#include "train/trainer.hpp"

namespace dovetail {
namespace {

constexpr std::size_t step_samples = 64;  // that quantised activations take their first steps from

}  // namespace

std::string train_set_identity(const ShardReader& reader) {
  Sha256 sum;
  for (const ShardEntry& shard : reader.manifest().splits.at("train").shards) {
    sum.update(shard.sha256.data(), shard.sha256.size());
  }
  return sum.hex();
}

namespace {

/// What a resumed run may change, though its curve then has a kink.
std::string recipe(const TrainSettings& settings) {
  const LearningRate& rate = settings.learning_rate;
  const OptimizerSettings& optimizer = settings.optimizer;
  std::string text = fmt::format("learning rate {} {}", rate.base, to_string(rate.kind));
  if (rate.kind == ScheduleKind::cosine) {
    text += settings.steps > 0 ? fmt::format(" over {} steps", settings.steps)
                               : fmt::format(" over {} epochs", settings.epochs);
  }
  if (rate.kind == ScheduleKind::step)
    text += fmt::format(" by {} each {} epochs", rate.factor, settings.step_epochs);
  text += fmt::format(", warm-up {} epochs", settings.warmup_epochs);
  if (optimizer.kind == OptimizerKind::sgd)
    text += fmt::format(", momentum {}", optimizer.momentum);
  if (optimizer.nesterov) text += " (Nesterov)";
  text += fmt::format(", weight decay {}", optimizer.weight_decay);
  if (settings.format != ComputeFormat::float32)
    text += fmt::format(", {}", to_string(settings.format));
  if (settings.augmentation.any())
    text += fmt::format(", augmented by {}", to_string(settings.augmentation));
  return text;
}

}  // namespace

void Trainer::expect_same_training(const Checkpoint& start,
                                   const std::filesystem::path& path) const {
  expect_model(start, model_, path);
  const auto expect = [&](bool same, const std::string& difference, const char* remedy) {
    if (!same) throw UsageError(fmt::format("checkpoint {} {}", path.string(), difference), remedy);
  };
  expect(start.optimizer == settings_.optimizer.kind,
         fmt::format("was trained with {}", to_string(start.optimizer)),
         "Resume with the same --optimizer");
  expect(start.loss == settings_.loss, fmt::format("was trained on {}", to_string(start.loss)),
         "Resume with the same --loss");
  expect(start.batch == static_cast<std::uint64_t>(settings_.batch) && start.seed == settings_.seed,
         fmt::format("was trained with --batch {} --seed {}", start.batch, start.seed),
         "Resume with the same batch and seed");
  const auto chunks_text = [](std::uint64_t chunks) {
    return chunks > 0 ? fmt::format("--deterministic --chunks {}", chunks)
                      : std::string("without --deterministic");
  };
  expect(start.chunks == settings_.chunks,
         fmt::format("was trained {}", start.chunks > 0 ? "with " + chunks_text(start.chunks)
                                                        : chunks_text(start.chunks)),
         "Resume in the same way: other sums would change the weights");
  const std::uint64_t each = schedule_.steps_per_epoch();
  const std::uint64_t so_far = start.step - std::min(start.step, start.epoch * each);
  const bool known = start.steps_per_epoch != 0;  // else it is of an epoch's end
  expect(start.step >= start.epoch * each && so_far <= (known ? each : 0) &&
             (!known || start.steps_per_epoch == each),
         fmt::format("has {} steps in {} epochs, which would have {} each", start.step, start.epoch,
                     each),
         "Resume with the same --boost and --boost-select");
  expect(start.train_set_sha256 == train_set_identity(train_set_), "was trained on other samples",
         "Resume with the same --data");
  // Where no epoch is left the change has no effect.
  const bool trains_on = start.step < training_steps(settings_, schedule_);
  if (trains_on && !start.recipe.empty() && start.recipe != recipe(settings_)) {
    log::warn(fmt::format("resuming with {}; the checkpoint was trained with {}", recipe(settings_),
                          start.recipe));
  }
}

void Trainer::resume() {
  Checkpoint start;
  activity::enter("resume", 0);
  if (is_lead()) keeper_.emplace(settings_.out, settings_.keep_checkpoints, !settings_.resume);
  if (is_lead() && settings_.resume) {
    auto [found, path] = keeper_->newest();
    start = std::move(found);
    expect_same_training(start, path);
    log::note(fmt::format("resuming after epoch {} (step {}) of {}", start.epoch, start.step,
                          path.string()));
  } else {
    start.parameters = model_.initial_parameters(settings_.seed);
    start.statistics = model_.initial_statistics();
    for (int i = 0; i < settings_.optimizer.state_slots(); ++i) {
      auto& slot = start.optimizer_state.emplace_back(start.parameters);
      for (Parameter& parameter : slot) {
        std::fill(parameter.value.values.begin(), parameter.value.values.end(), 0.0f);
      }
    }
    if (is_lead() && model_.quantisation()) initialise_steps(start);
  }
  activity::enter("resume", 0, activity::Kind::wait);  // for the lead, which reads the checkpoint
  broadcast_start(start);
  resume_shares(start.shares);
  if (settings_.resume) take_up_errors(start);
  activity::enter("load", start.step);
  plan_.load_parameters(start.parameters);
  plan_.load_statistics(start.statistics);
  plan_.load_optimizer_state(start.optimizer_state);
  if (loss_scale_) {
    loss_scale_ = start.loss_scale;
    plan_.set_loss_scale(loss_scale_->value(), loss_scale_->steps());
  }
  epochs_done_ = start.epoch;
  step_ = start.step;
  epoch_sums_ = start.epoch_sums;
  if (settings_.resume) checkpoint_step_ = step_;
}

void Trainer::initialise_steps(Checkpoint& start) {
  plan_.load_parameters(start.parameters);
  plan_.load_statistics(start.statistics);
  Batch batch;
  const std::size_t capacity = plan_.capacity();
  train_set_.read({.begin = 0, .count = std::min({step_samples, capacity, train_set_.samples()})},
                  batch);
  plan_.initialise_steps(batch.images, batch.size());
  start.parameters = plan_.parameters();
  start.statistics = plan_.statistics();
}

void Trainer::broadcast_start(Checkpoint& start) {
  const auto send = [&](std::vector<Parameter>& parameters) {
    for (Parameter& parameter : parameters) ranks_.broadcast(parameter.value.values, 0);
  };
  send(start.parameters);
  send(start.statistics);
  for (auto& slot : start.optimizer_state) send(slot);
  ranks_.broadcast(std::span(&start.epoch, 1), 0);
  ranks_.broadcast(std::span(&start.step, 1), 0);
  ranks_.broadcast(std::span(&start.epoch_sums, 1), 0);
  LossScale scale = start.loss_scale.value_or(LossScale());
  ranks_.broadcast(std::span(&scale, 1), 0);
  start.loss_scale = scale;
  std::uint64_t shares = start.shares.size();
  ranks_.broadcast(std::span(&shares, 1), 0);
  start.shares.resize(shares);
  ranks_.broadcast(start.shares, 0);
}

void Trainer::take_up_errors(const Checkpoint& start) {
  std::vector<float> values;
  if (is_lead() && start.compression_errors) {
    const CompressionErrors& errors = *start.compression_errors;
    const auto groups = static_cast<std::uint64_t>(all_reduce_->groups());
    if (errors.compression == to_string(settings_.compression) && errors.groups == groups &&
        errors.values.size() == groups * all_reduce_->memory().size()) {
      values = errors.values;
    } else {
      log::note(
          fmt::format("resuming with --compress {} between {} hosts; what {} between {} lost is "
                      "not made up for",
                      to_string(settings_.compression), groups, errors.compression, errors.groups));
    }
  }
  std::uint32_t known = values.empty() ? 0 : 1;
  ranks_.broadcast(std::span(&known, 1), 0);
  if (known == 1) all_reduce_->scatter_feedback(values);
}

void Trainer::save() {
  checkpoint_step_ = step_;
  since_checkpoint_.restart();
  std::vector<float> errors = all_reduce_->gather_feedback();
  if (!is_lead()) return;
  const PhaseTimer timer(phases_.checkpoint_s);
  activity::enter("checkpoint", step_);
  Checkpoint checkpoint;
  checkpoint.model = model_.name();
  checkpoint.quantisation = model_.quantisation();
  checkpoint.input = model_.input();
  checkpoint.classes = model_.classes();
  checkpoint.input_statistics = input_statistics(train_set_);
  checkpoint.parameters = plan_.parameters();
  checkpoint.statistics = plan_.statistics();
  checkpoint.optimizer = settings_.optimizer.kind;
  checkpoint.optimizer_state = plan_.optimizer_state();
  checkpoint.epoch = std::min(epochs_done_, step_ / schedule_.steps_per_epoch());  // whole ones
  checkpoint.step = step_;
  checkpoint.steps_per_epoch = schedule_.steps_per_epoch();
  checkpoint.epoch_sums = epoch_sums_;
  if (step_ <= epochs_done_ * checkpoint.steps_per_epoch)  // validated
    checkpoint.test_accuracy = result_.test_accuracy;
  checkpoint.seed = settings_.seed;
  checkpoint.batch = static_cast<std::uint64_t>(settings_.batch);
  checkpoint.chunks = settings_.chunks;
  if (!balancer_.shares().even())
    checkpoint.shares.assign(balancer_.counts().begin(), balancer_.counts().end());
  checkpoint.loss = settings_.loss;
  checkpoint.train_set_sha256 = train_set_identity(train_set_);
  checkpoint.recipe = recipe(settings_);
  checkpoint.loss_scale = loss_scale_;
  if (!errors.empty()) {
    checkpoint.compression_errors = {.compression = std::string(to_string(settings_.compression)),
                                     .groups = static_cast<std::uint64_t>(all_reduce_->groups()),
                                     .values = std::move(errors)};
  }
  checkpoint.calibration = {ranges_.input};
  checkpoint.calibration.insert(checkpoint.calibration.end(), ranges_.layers.begin(),
                                ranges_.layers.end());
  for (const quant::Histogram& histogram : ranges_.histograms) {
    const auto counts = histogram.counts();
    checkpoint.histograms.insert(checkpoint.histograms.end(), counts.begin(), counts.end());
  }
  keeper_->save(checkpoint);
}

}  // namespace dovetail
