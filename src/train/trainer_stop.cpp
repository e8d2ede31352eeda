// Where training may be stopped and gone on with, and what is said when it fails.
#include <algorithm>
#include <cmath>

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
  const std::string remedy = "Lower --lr or look for broken samples";
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

void Trainer::fail_not_finite(std::uint64_t step, const Batch& batch, std::string what) {
  // The sum does not tell whose it was. Nothing was updated yet, so each rank gets its own again.
  enqueue_step(batch, false);
  const std::string mine = plan_.first_not_finite(plan_.map_reduction().as<float>());
  std::vector<std::string> sources;
  for (const std::string& name : ranks_.all_gather_text(mine.empty() ? "" : my_name())) {
    if (!name.empty()) sources.push_back(name);
  }
  if (sources.empty()) {
    sources.push_back(contribution_ ? "what the FPGA ranks contributed"
                                    : "adding up the ranks' gradients");
  }
  throw_not_finite(step, std::move(what), sources);
}

void Trainer::throw_not_finite(std::uint64_t step, std::string what,
                               const std::vector<std::string>& sources) const {
  if (what.find("the ") != 0) what = "the gradient of " + what;
  const bool all = sources.size() == static_cast<std::size_t>(ranks_.size()) && sources.size() > 1;
  throw Error(fmt::format("{} is not a finite number at step {}; it comes from {}", what, step + 1,
                          all ? "all GPU ranks" : fmt::format("{}", fmt::join(sources, ", "))),
              remedy_with_checkpoint());
}

}  // namespace dovetail
