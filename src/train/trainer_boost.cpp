// The trainer's dealings with the FPGA ranks that boost it.
#include <algorithm>
#include <cstring>

#include "device/opencl/failures.hpp"
#include "model/score.hpp"
#include "plan/fpga_network.hpp"
#include "quant/training_pack.hpp"
#include "support/activity.hpp"
#include "support/clock.hpp"
#include "support/log.hpp"
#include "support/text.hpp"
#include "support/timeline.hpp"
#include "train/boost_advice.hpp"
#include "train/boost_selection.hpp"
#include "train/trainer.hpp"

namespace dovetail {
namespace {

constexpr std::size_t calibration_samples = 1024;  // the first of the train split's shards
constexpr std::uint64_t steps_per_progress = 4;    // where scores are computed ahead

/// Float32 weights for gradients: one parameter after the other.
std::vector<std::uint8_t> flat_bytes(const std::vector<Parameter>& parameters) {
  std::vector<std::uint8_t> bytes;
  for (const Parameter& parameter : parameters) {
    const auto values = std::as_bytes(std::span(parameter.value.values));
    const auto* begin = reinterpret_cast<const std::uint8_t*>(values.data());
    bytes.insert(bytes.end(), begin, begin + values.size());
  }
  return bytes;
}

Json to_json(const BoostCounters::Staleness& staleness) {
  return {{"mean", staleness.mean()}, {"max", staleness.largest}};
}

}  // namespace

StepSchedule step_schedule(const TrainSettings& settings, std::uint64_t train_samples) {
  return StepSchedule::make(train_samples, static_cast<std::uint64_t>(settings.batch),
                            settings.boost.share, settings.boost.keep);
}

BoostTiming boost_timing(const TrainSettings& settings, const StepSchedule& schedule,
                         std::uint64_t first_step) {
  return {.first_step = first_step,
          .last_step = training_steps(settings, schedule),
          .staleness = settings.boost.staleness,
          .wait = settings.boost.wait};
}

void Trainer::hold_images() {
  const std::size_t bytes = train_set_.samples() * train_set_.manifest().shape.bytes();
  const bool fits = train_set_.in_memory() && bytes <= device_.info().memory_bytes / 8;
  const bool wanted = settings_.data_place == DataPlace::device ||
                      (settings_.data_place == DataPlace::automatic && !device_.is_cpu() && fits);
  if (!wanted) return;
  activity::enter("upload", step_);
  try {
    held_set_.emplace(plan_, train_set_, [this] { activity::enter("upload", step_); });
  } catch (const opencl::OutOfMemory&) {
    // An eighth of the memory is not what other ranks or a large batch have left of it.
    if (settings_.data_place == DataPlace::device) throw;
    plan_.drop_images();
    log::warn_of_host(fmt::format(
        "{}: the training set does not fit beside the rest on its device: it is streamed",
        my_name()));
    return;
  }
  result_.data_on_device = true;
}

void Trainer::make_feed() {
  activity::enter("samples", step_);
  const Share mine =
      share(std::min(calibration_samples, train_set_.samples()),
            static_cast<std::size_t>(ranks_.rank()), static_cast<std::size_t>(ranks_.size()));
  train_set_.read({.begin = mine.begin, .count = mine.count}, calibration_);

  const BoostSettings& boost = settings_.boost;
  timing_ = boost_timing(settings_, schedule_, step_);
  if (!boost.any()) return make_ordered_feed();
  const auto poll = [this] { take_from_fpga(); };
  const auto serving = [this] { return publisher_ ? publisher_->serving() : 0; };
  const auto alone = [this] { return feed_->includes_contributed(); };
  if (publisher_ && boost.needs_fpga()) {
    std::size_t parameters = 0;
    for (const Parameter& parameter : plan_.parameters()) parameters += parameter.value.size();
    arrivals_.emplace(schedule_, step_, parameters);
    if (boost.contributes()) {
      contribution_.emplace(
          plan_, ShardReader(settings_.data, "train", {.seed = settings_.seed}), schedule_, timing_,
          boost, BoostContribution::Lead{&*arrivals_, &result_.boost, log_, poll, serving, alone});
    }
  }
  std::optional<BoostSelection::Lead> lead;
  if (is_lead())
    lead = BoostSelection::Lead{arrivals_ ? &*arrivals_ : nullptr, &result_.boost, poll, serving};
  BoostSelection::ScoreHere score_here;
  BoostTiming feed_timing = timing_;
  if (boost.selects() && boost.select != SelectKind::random && boost.scores_on_gpu()) {
    feed_timing.wait = true;  // there are no scores ahead of time
    score_here = [this](std::span<const std::uint8_t> images,
                        std::span<const std::int32_t> labels) {
      return sample_losses(plan_.infer(images, labels.size()), labels);
    };
  }
  feed_ = std::make_unique<BoostSelection>(ranks_, train_set_, schedule_, balancer_.shares(),
                                           feed_timing, boost, settings_.seed, std::move(lead),
                                           std::move(score_here), !plan_.holds_images(),
                                           plan_.holds_images() ? nullptr : plan_.sample_memory());
}

void Trainer::make_ordered_feed() {
  const bool streams = !plan_.holds_images();
  std::size_t together = 0;  // steps
  if (ahead_ && streams) {
    together =
        std::min<std::size_t>(plan_.steps_together(schedule_.pool), schedule_.steps_per_epoch());
  }
  if (together > 0)
    plan_.make_room_to_send(std::min<std::size_t>(together * schedule_.pool, schedule_.samples));
  feed_ = std::make_unique<OrderedFeed>(
      ranks_, train_set_, schedule_, balancer_.shares(), timing_.first_step, timing_.last_step,
      settings_.chunks, streams, streams ? plan_.sample_memory() : nullptr, together);
  if (!ahead_) return;
  batches_ahead_.emplace(
      plan_, [this](Batch& batch) { return feed_->next(step_, batch); },
      [this](const Batch& batch, StepSamples& samples) { held_set_->find(batch, samples); });
}

void Trainer::publish_for_boost() {
  if (!arrivals_ || publisher_->serving() == 0) return;
  const PhaseTimer timer(phases_.publish_s);
  const timeline::Aside recorded("publish");
  const BoostSettings& boost = settings_.boost;
  if (!timing_.publishes_before(step_)) {
    if (boost.contributes() || step_ % steps_per_progress == 0) publisher_->tell_progress(step_);
    return;
  }
  const std::vector<Parameter> parameters = plan_.parameters();
  Plan::Ranges ranges{1, std::vector<float>(model_.layers().size(), 1.0f)};
  if (boost.needs_scores()) {
    const std::size_t few = std::min(plan_.capacity(), calibration_.size());
    ranges = plan_.output_ranges(calibration_.images, few);
  }
  const quant::Network network = plan::fpga_network(model_, parameters, plan_.statistics(),
                                                    input_statistics(train_set_), ranges);
  if (boost.needs_scores()) publisher_->publish_for_selection(pack(network, boost.select_format));
  if (!boost.contributes()) return;
  publisher_->publish_for_gradients(boost.gradient_format == "float32"
                                        ? quant::WeightPack{step_, flat_bytes(parameters)}
                                        : pack_for_gradients(network));
}

void Trainer::log_boost(std::uint64_t epoch) {
  if (!settings_.boost.any()) return;
  const BoostCounters& boost = result_.boost;
  log_->event("boost", {{"step", step_},
                        {"kind", "epoch"},
                        {"epoch", epoch + 1},
                        {"boosted_steps", boost.boosted_steps},
                        {"boosted_samples", boost.boosted_samples},
                        {"missing_samples", boost.missing_samples},
                        {"selected_steps", boost.selected_steps},
                        {"selected_samples", boost.selected_samples},
                        {"late_scores", boost.late_scores},
                        {"late_gradients", boost.late_gradients},
                        {"score_staleness", to_json(boost.score_staleness)},
                        {"gradient_staleness", to_json(boost.gradient_staleness)}});
  if (contribution_) {
    const BoostWeight& weight = contribution_->weight();
    result_.boost_weight = weight.weight();
    if (weight.measurements() > 0) {
      result_.boost_cosine = weight.mean_cosine();
      result_.boost_norm_ratio = weight.mean_norm_ratio();
    }
  }
  warn_of_boost();
}

void Trainer::warn_of_boost() {
  for (const BoostWarning& warning :
       boost_warnings(settings_.boost, result_.boost, result_.boost_cosine)) {
    if (!warned_of_.insert(warning.kind).second) continue;
    log::warn("dovetail train: " + warning.text);
    log_->event("warning", {{"kind", warning.kind}, {"step", step_}, {"reason", warning.text}});
  }
}

void Trainer::poll_fpga() {
  if (!publisher_) return;
  const PhaseTimer timer(phases_.poll_s);
  const timeline::Aside recorded("poll");
  take_from_fpga();
}

void Trainer::take_from_fpga() {
  if (!publisher_) return;
  collect(publisher_->poll());
  if (arrivals_) {
    arrivals_->add(publisher_->take_boosts());
    arrivals_->begin_round(publisher_->rosters());
  }
  note_retired();
}

void Trainer::note_retired() {
  const std::vector<ReportInbox::Arrival> retired = publisher_->take_retired();
  std::size_t left = publisher_->serving() + retired.size();  // before the first of them
  for (const ReportInbox::Arrival& arrival : retired) {
    const std::string reason(arrival.payload.begin(), arrival.payload.end());
    --left;
    log::warn(
        fmt::format("dovetail train: an FPGA rank retires, training goes on with {} of them: {}",
                    left, reason));
    log_->event("warning",
                {{"kind", "retired"}, {"step", step_}, {"reason", reason}, {"left", left}});
    result_.retired.push_back(reason);
  }
}

void Trainer::finish_fpga() {
  if (!publisher_) return;
  const PhaseTimer timer(phases_.await_fpga_s);
  activity::enter("await-fpga", step_, activity::Kind::wait);
  collect(publisher_->finish(result_.interrupted));
  if (arrivals_) {
    arrivals_->add(publisher_->take_boosts());
    result_.boost.late_gradients = arrivals_->late_gradients();
  }
  note_retired();
}

}  // namespace dovetail
