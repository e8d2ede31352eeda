// Steps of a rank that trains alone: enqueued while earlier ones run, their gradients staying on
// the device.
#include "support/activity.hpp"
#include "support/clock.hpp"
#include "support/timeline.hpp"
#include "train/trainer.hpp"

namespace dovetail {

StepVotes Trainer::step_ahead() {
  const timeline::Step recorded(step_ + 1);
  Stopwatch phase;
  while (ahead_->is_full()) take_oldest();
  phases_.compute_s += phase.restart();
  activity::enter("input", step_ + 1);
  auto [range, samples] = batches_ahead_->next();
  samples.first = static_cast<std::uint64_t>(range.epoch) * schedule_.samples + range.begin;
  phases_.input_s += phase.restart();
  activity::enter("compute", step_ + 1);
  const std::vector<std::size_t> passes = feed_->passes(step_, range.count);
  for (int again = 1; again < settings_.repeats; ++again)
    plan_.enqueue_step(samples, passes, false);
  samples_ += range.count;
  ahead_->enqueue(step_, samples, passes, settings_.learning_rate.at(step_));
  phases_.compute_s += phase.restart();
  ++step_;
  while (const auto done = ahead_->poll()) note_done(*done);
  phases_.update_s += phase.restart();
  return my_votes();
}

void Trainer::take_oldest() {
  activity::enter("compute", ahead_->oldest() + 1);
  note_done(ahead_->wait());
}

void Trainer::note_done(const StepsAhead::Done& done) {
  batches_ahead_->drop_oldest();
  if (loss_scale_) result_.skipped_steps = loss_scale_->skipped();
  if (done.failed() || no_scale_helps()) throw_not_finite(done.step, done.not_finite, {my_name()});
  note_step(done.step, done.statistics);
}

void Trainer::catch_up() {
  const PhaseTimer timer(phases_.compute_s);
  while (ahead_ && ahead_->size() > 0) take_oldest();
}

}  // namespace dovetail
