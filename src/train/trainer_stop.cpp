// Where training may be stopped and gone on with, and what is said when it fails.
#include <algorithm>
#include <cmath>

#include "quant/training_format.hpp"
#include "quant/training_pack.hpp"
#include "support/activity.hpp"
#include "support/error.hpp"
#include "support/log.hpp"
#include "support/stop_signal.hpp"
#include "support/text.hpp"
#include "train/trainer.hpp"

namespace dovetail {

StepVotes Trainer::my_votes() const {
  const bool stop = StopSignal::requested() != 0 || (publisher_ && publisher_->stop_asked());
  // One clock decides.
  const bool late = is_lead() && settings_.checkpoint_minutes > 0 &&
                    since_checkpoint_.seconds() >= 60 * settings_.checkpoint_minutes;
  return {.stop = stop ? 1.0 : 0.0, .checkpoint = late ? 1.0 : 0.0};
}

bool Trainer::may_resume_here() const {
  // Boosts that are waited for use weights of the latest publication. A resumed run publishes first
  // of all; only where that is due anyway does it use the weights that it would have used.
  return !settings_.boost.any() || !settings_.boost.wait ||
         step_ % (settings_.boost.staleness + 1) == 0 || step_ == timing_.last_step;
}

bool Trainer::checkpoint_or_stop(const StepVotes& votes) {
  if (!may_resume_here()) return false;
  const bool stop = votes.stop > 0;
  const std::uint64_t each = settings_.checkpoint_steps;
  const bool due =
      votes.checkpoint > 0 || (each > 0 && step_ / each > checkpoint_step_.value_or(0) / each);
  const bool epoch_ends = step_ == epoch_end(epochs_done_);
  if (!stop && (!due || epoch_ends)) return false;  // an epoch's end has a checkpoint of its own
  catch_up();
  expect_sound_weights();
  calibrate();  // `dovetail infer` takes any checkpoint
  save();
  if (is_lead()) {
    log_->event(stop ? "interrupted" : "checkpoint",
                {{"step", step_}, {"epoch", epochs_done_ + 1}});
  }
  if (stop && is_lead()) {
    const int signal = StopSignal::requested();
    log::note(fmt::format("{}: stopping after step {}; {} is written",
                          signal ? signal_name(signal) : "a rank was asked to stop", step_,
                          keeper_->newest_path().string()));
  }
  return stop;
}

std::string Trainer::my_name() const {
  return settings_.rank_name.empty() ? fmt::format("rank {}", ranks_.rank()) : settings_.rank_name;
}

std::string Trainer::remedy_with_checkpoint() const {
  const BoostSettings& boost = settings_.boost;
  std::string remedy = boost.contributes()
                           ? quant::remedy_for_divergence(boost.gradient_format, boost.staleness)
                           : "Lower --lr or look for broken samples";
  if (no_scale_helps()) remedy = "Train in bf16. " + remedy;
  if (!checkpoint_step_) return remedy + "; there is no checkpoint from before";
  return fmt::format("{}; {} is from step {}, before it", remedy,
                     (settings_.out / "checkpoint.h5").string(), *checkpoint_step_);
}

void Trainer::expect_sound_weights() {
  activity::enter("compare", step_, activity::Kind::wait);
  const auto expect_same = [&](const std::vector<Parameter>& tensors, const std::string& what) {
    for (const Parameter& tensor : tensors) {
      ranks_.expect_same_bits(tensor.value.values, what + tensor.name);
    }
  };
  const std::vector<Parameter> parameters = plan_.parameters();
  expect_same(parameters, "");
  expect_same(plan_.statistics(), "");
  for (const auto& state : plan_.optimizer_state()) expect_same(state, "optimiser state of ");
  for (const Parameter& parameter : parameters) {
    const auto& values = parameter.value.values;
    if (std::all_of(values.begin(), values.end(),
                    [](float value) { return std::isfinite(value); })) {
      continue;
    }
    throw Error(fmt::format("{} is no longer finite after step {}", parameter.name, step_),
                remedy_with_checkpoint());
  }
}

quant::WeightPack Trainer::pack(const quant::Network& network, const std::string& format) const {
  try {
    return quant::pack(network, format, step_, settings_.calibration);
  } catch (const quant::RangeError& failure) {
    fail_to_publish(format, failure);
  }
}

quant::WeightPack Trainer::pack_for_gradients(const quant::Network& network) const {
  const std::string& format = settings_.boost.gradient_format;
  try {
    return quant::pack_training(network, format, step_);
  } catch (const quant::RangeError& failure) {
    fail_to_publish(format, failure);
  }
}

void Trainer::fail_to_publish(const std::string& format, const quant::RangeError& failure) const {
  if (step_ == 0) throw failure;  // nothing was trained yet
  const std::string boosts = contribution_ ? contribution_->so_far() : "";
  throw Error(fmt::format("the weights of step {} cannot be published in {}{}: {}", step_, format,
                          boosts.empty() ? "" : ", after " + boosts, failure.problem()),
              remedy_with_checkpoint());
}

void Trainer::fail_not_finite(std::uint64_t step, const Batch& batch, std::string what) {
  // The sum does not tell whose it was. Nothing was updated yet, so each rank gets its own again.
  enqueue_step(batch, false);
  const std::string mine = plan_.first_not_finite(plan_.map_reduction().as<float>());
  std::vector<std::string> sources;
  for (const std::string& name : ranks_.all_gather_text(mine.empty() ? "" : my_name())) {
    if (!name.empty()) sources.push_back(name);
  }
  if (sources.empty()) sources.push_back("adding up the ranks' gradients");
  // Whether FPGA ranks have contributed is known to the lead alone.
  const std::string boosts =
      ranks_.all_gather_text(contribution_ ? contribution_->so_far() : "").front();
  throw_not_finite(step, std::move(what), sources, boosts);
}

void Trainer::throw_not_finite(std::uint64_t step, std::string what,
                               const std::vector<std::string>& sources,
                               const std::string& boosts) const {
  if (what.find("the ") != 0) what = "the gradient of " + what;
  const bool all = sources.size() == static_cast<std::size_t>(ranks_.size()) && sources.size() > 1;
  const std::string from = all ? "all GPU ranks" : fmt::format("{}", fmt::join(sources, ", "));
  std::string line = fmt::format("{} is not a finite number at step {}", what, step + 1);
  if (no_scale_helps())
    line += fmt::format(", whatever the loss scale (down to {})", LossScale::least);
  // The ranks that meet it first compute with weights that the contributions have moved.
  line += boosts.empty() ? fmt::format("; it comes from {}", from)
                         : fmt::format(", after {}; it was met first on {}", boosts, from);
  throw Error(line, remedy_with_checkpoint());
}

}  // namespace dovetail
