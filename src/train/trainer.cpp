// Trains, epoch by epoch.
#include "train/trainer.hpp"

#include <algorithm>
#include <cmath>

#include "model/score.hpp"
#include "plan/fpga_network.hpp"
#include "shards/share.hpp"
#include "support/activity.hpp"
#include "support/clock.hpp"
#include "support/error.hpp"
#include "support/log.hpp"
#include "support/progress.hpp"
#include "support/text.hpp"

namespace dovetail {
namespace {

constexpr std::size_t validation_samples = 2048;  // read at once
// A poll may give the core away for a moment; the all-reduce moves broadcasts on as well.
constexpr std::uint64_t steps_per_poll = 8;
constexpr std::uint64_t steps_per_event = 50;  // of a "step" line in run.jsonl

PlanOptions full_plan_options(const TrainSettings& settings, std::size_t train_samples,
                              const Communicator& ranks, plan::Tuner* tuner,
                              AllReduce& all_reduce) {
  PlanOptions options = Trainer::plan_options(settings, train_samples, ranks);
  options.tuner = tuner;
  options.same_bits = settings.chunks > 0;
  options.reduction_memory = all_reduce.memory();
  return options;
}

}  // namespace

InputStatistics input_statistics(const ShardReader& reader) {
  const Manifest& manifest = reader.manifest();
  return {{manifest.mean.begin(), manifest.mean.end()},
          {manifest.standard_deviation.begin(), manifest.standard_deviation.end()}};
}

std::uint64_t training_steps(const TrainSettings& settings, const StepSchedule& schedule) {
  if (settings.steps > 0) return settings.steps;
  return schedule.steps_per_epoch() * static_cast<std::uint64_t>(settings.epochs);
}

Trainer::Trainer(Communicator& gpu_ranks, opencl::Device& device, const TrainSettings& settings,
                 const Model& model, ShardReader& train_set, ShardReader& test_set,
                 Publisher* publisher, RunLog* log, plan::Tuner* tuner,
                 std::unique_ptr<AllReduce> all_reduce)
    : ranks_(gpu_ranks),
      device_(device),
      settings_(settings),
      model_(model),
      train_set_(train_set),
      test_set_(test_set),
      publisher_(publisher),
      log_(log),
      schedule_(step_schedule(settings, train_set.samples())),
      balancer_(settings.balance, schedule_.batch, static_cast<std::size_t>(gpu_ranks.size())),
      all_reduce_(all_reduce
                      ? std::move(all_reduce)
                      : make_all_reduce(gpu_ranks, device, settings, model, train_set.samples())),
      plan_(device, model, input_statistics(train_set),
            full_plan_options(settings, train_set.samples(), gpu_ranks, tuner, *all_reduce_)),
      exchange_(plan_, *all_reduce_, settings.overlap) {
  result_.buckets = plan_.buckets().size();
  result_.groups = all_reduce_->groups();
  if (settings.format == ComputeFormat::fp16) loss_scale_.emplace();
  // Boosts look at each step's weights or gradients.
  if (gpu_ranks.size() == 1 && !settings.boost.any())
    ahead_.emplace(device, plan_, loss_scale_ ? &*loss_scale_ : nullptr);
  result_.emulates_format = plan_.emulates_format();
  if (tuner) result_.kernels = tuner->to_json();
  if (result_.emulates_format && is_lead()) {
    log::note(
        fmt::format("{} is emulated for some layers: {} rounds their operands in passes of "
                    "its own and multiplies in float32",
                    to_string(settings.format), device.info().name));
  }
  LearningRate& rate = settings_.learning_rate;
  const std::uint64_t steps_per_epoch = schedule_.steps_per_epoch();
  const auto steps = static_cast<double>(steps_per_epoch);
  rate.total_steps = training_steps(settings_, schedule_);
  settings_.epochs = static_cast<int>((rate.total_steps + steps_per_epoch - 1) / steps_per_epoch);
  rate.warmup_steps = static_cast<std::uint64_t>(std::llround(settings_.warmup_epochs * steps));
  rate.interval =
      static_cast<std::uint64_t>(std::max(1.0, std::round(settings_.step_epochs * steps)));
}

TrainResult Trainer::run() {
  resume();
  hold_images();
  make_feed();
  const auto epochs = static_cast<std::uint64_t>(settings_.epochs);
  const bool nothing_left = epochs_done_ >= epochs;
  while (epochs_done_ < epochs && train_epoch(epochs_done_)) finish_epoch(epochs_done_);
  result_.interrupted = epochs_done_ < epochs;
  if (nothing_left) {  // the result still has its accuracies
    calibrate();
    publish();
    validate();
  }
  finish_fpga();
  activity::enter("weights", step_);
  result_.epochs = static_cast<int>(epochs_done_);
  if (settings_.chunks == 0) result_.shares = balancer_.counts();
  result_.steps = step_;
  result_.weights_sha256 = weights_sha256(plan_.parameters());
  return result_;
}

void Trainer::finish_epoch(std::uint64_t epoch) {
  expect_sound_weights();
  calibrate();
  publish();  // first, so that the FPGA ranks evaluate while the GPU ranks validate
  validate();
  epochs_done_ = epoch + 1;
  // Where --steps ends within the epoch, a longer run goes on from its sums.
  if (step_ == epochs_done_ * schedule_.steps_per_epoch()) epoch_sums_ = {};
  rebalance();  // a checkpoint has the shares of the next step
  probe_steps_ = 0;
  save();
  poll_fpga();
  if (!is_lead()) return;
  log::note(fmt::format(
      "epoch {}/{}: loss {:.4f}, test accuracy {:.2f} % ({})", epoch + 1, settings_.epochs,
      result_.train_loss, 100 * result_.test_accuracy,
      model_.quantisation() ? model_.quantisation()->format : to_string(settings_.format)));
  log_->event("epoch", {{"epoch", epoch + 1},
                        {"step", step_},
                        {"train_loss", result_.train_loss},
                        {"test_cross_entropy", result_.test_cross_entropy},
                        {"test_accuracy", result_.test_accuracy}});
  log_boost(epoch);
}

std::uint64_t Trainer::epoch_end(std::uint64_t epoch) const {
  return std::min((epoch + 1) * schedule_.steps_per_epoch(), training_steps(settings_, schedule_));
}

bool Trainer::train_epoch(std::uint64_t epoch) {
  Batch batch;
  const std::uint64_t first = epoch * schedule_.steps_per_epoch(), end = epoch_end(epoch);
  epoch_.emplace(EpochWatch{
      .epoch = epoch,
      .first = first,
      .samples_before = epoch_sums_.samples,
      .progress =
          Progress(fmt::format("epoch {}/{}", epoch + 1, settings_.epochs), end - first, "steps"),
      .watch = {}});
  bool interrupted = false;
  while (!interrupted && step_ < end) {
    const StepVotes votes = ahead_ ? step_ahead() : train_step(batch);
    if (!ahead_) measure_pace(batch.size());
    const Stopwatch aside;
    if (settings_.validate_every > 0 && step_ % settings_.validate_every == 0 && step_ < end)
      validate_within(epoch);
    interrupted = checkpoint_or_stop(votes);
    epoch_->aside_s += aside.seconds();
    if (is_lead() && step_ % steps_per_poll == 0) poll_fpga();
  }
  catch_up();
  epoch_->progress.clear();
  result_.training_s += epoch_->watch.seconds() - epoch_->aside_s;
  result_.trained_samples +=
      static_cast<std::uint64_t>(std::llround(epoch_sums_.samples - epoch_->samples_before));
  result_.train_loss = epoch_sums_.loss_sum / epoch_sums_.samples;
  return !interrupted;
}

void Trainer::note_step(std::uint64_t step, const StepStatistics& done) {
  epoch_sums_.loss_sum += done.loss_sum;
  epoch_sums_.correct += done.correct;
  epoch_sums_.samples += done.samples;
  if (!is_lead()) return;
  const std::uint64_t number = step + 1;
  epoch_->progress.update(number - epoch_->first,
                          fmt::format("loss {:.3f}", epoch_sums_.loss_sum / epoch_sums_.samples));
  if (number % steps_per_event != 0) return;
  log_->event("step", {{"step", number},
                       {"epoch", epoch_->epoch + 1},
                       {"loss", done.loss_sum / done.samples},
                       {"learning_rate", settings_.learning_rate.at(step)},
                       {"samples_per_second", (epoch_sums_.samples - epoch_->samples_before) /
                                                  (epoch_->watch.seconds() - epoch_->aside_s)}});
}

void Trainer::validate() {
  const PhaseTimer timer(phases_.validate_s);
  const Share mine = my_share(test_set_.samples());
  std::vector<double> sums(2, 0.0);
  Batch batch;
  for (std::size_t done = 0; done < mine.count; done += validation_samples) {
    activity::enter("validate", step_);
    test_set_.read(
        {.begin = mine.begin + done, .count = std::min(validation_samples, mine.count - done)},
        batch);
    const Score score = score_logits(plan_.infer(batch.images, batch.size()), batch.labels);
    sums[0] += score.loss_sum;
    sums[1] += static_cast<double>(score.correct);
    poll_fpga();
  }
  activity::enter("validate", step_, activity::Kind::wait);
  ranks_.all_reduce_sum(sums);
  result_.test_cross_entropy = sums[0] / static_cast<double>(test_set_.samples());
  result_.test_accuracy = sums[1] / static_cast<double>(test_set_.samples());
  if (!std::isfinite(result_.test_cross_entropy)) {
    throw Error(fmt::format("the test loss is not a finite number after step {}", step_),
                remedy_with_checkpoint());
  }
}

void Trainer::validate_within(std::uint64_t epoch) {
  catch_up();
  validate();
  if (!is_lead()) return;
  log_->event("validation", {{"step", step_},
                             {"epoch", epoch + 1},
                             {"test_cross_entropy", result_.test_cross_entropy},
                             {"test_accuracy", result_.test_accuracy}});
}

void Trainer::calibrate() {
  const PhaseTimer timer(phases_.calibrate_s);
  activity::enter("calibrate", step_);
  ranges_ = plan_.output_ranges(calibration_.images, calibration_.size());
  activity::enter("calibrate", step_, activity::Kind::wait);
  ranks_.all_reduce_max(std::span(&ranges_.input, 1));
  ranks_.all_reduce_max(ranges_.layers);
  for (quant::Histogram& histogram : ranges_.histograms) ranks_.all_reduce_sum(histogram.counts());
}

void Trainer::publish() {
  if (!publisher_) return;
  const PhaseTimer timer(phases_.publish_s);
  activity::enter("publish", step_);
  const quant::Network network = plan::fpga_network(model_, plan_.parameters(), plan_.statistics(),
                                                    input_statistics(train_set_), ranges_);
  std::vector<quant::WeightPack> packs;
  result_.pack_bytes.clear();
  for (const std::string& format : settings_.fpga_formats) {
    packs.push_back(pack(network, format));
    result_.pack_bytes.push_back(packs.back().bytes.size());
    log_->event("broadcast",
                {{"version", step_}, {"format", format}, {"bytes", packs.back().bytes.size()}});
  }
  publisher_->publish(std::move(packs));
}

void Trainer::collect(const std::vector<quant::Evaluation>& evaluations) {
  for (const quant::Evaluation& evaluation : evaluations) {
    result_.evaluations.push_back(evaluation);
    log_->event("evaluation", {{"version", evaluation.version},
                               {"format", settings_.fpga_formats.at(evaluation.format)},
                               {"accuracy", evaluation.accuracy()},
                               {"loss", evaluation.loss()},
                               {"samples", evaluation.samples},
                               {"seconds", evaluation.seconds},
                               {"arrived_at_step", step_}});
  }
}

}  // namespace dovetail
