// The trainer's way into a checkpoint and out of it.
#include <algorithm>

#include "support/clock.hpp"
#include "support/error.hpp"
#include "support/log.hpp"
#include "support/text.hpp"
#include "train/trainer.hpp"

namespace dovetail {

void Trainer::resume() {
  Checkpoint start;
  const std::filesystem::path path = settings_.out / "checkpoint.h5";
  if (is_lead() && settings_.resume) {
    start = load_checkpoint(path);
    expect_model(start, model_, path);
    if (start.optimizer != settings_.optimizer.kind) {
      throw UsageError(fmt::format("checkpoint {} was trained with {}, not {}", path.string(),
                                   to_string(start.optimizer), to_string(settings_.optimizer.kind)),
                       "Resume with the same --optimizer");
    }
    if (start.batch != static_cast<std::uint64_t>(settings_.batch) ||
        start.seed != settings_.seed) {
      throw UsageError(fmt::format("checkpoint {} was trained with --batch {} --seed {}",
                                   path.string(), start.batch, start.seed),
                       "Resume with the same batch and seed");
    }
    log::note(fmt::format("resuming after epoch {} (step {}) of {}", start.epoch, start.step,
                          path.string()));
  } else {
    start.parameters = model_.initial_parameters(settings_.seed);
    start.statistics = model_.initial_statistics();
    for (int i = 0; i < settings_.optimizer.state_slots(); ++i) {
      auto& slot = start.optimizer_state.emplace_back(start.parameters);
      for (Parameter& parameter : slot)
        std::fill(parameter.value.values.begin(), parameter.value.values.end(), 0.0f);
    }
  }
  broadcast_start(start);
  plan_.load_parameters(start.parameters);
  plan_.load_statistics(start.statistics);
  plan_.load_optimizer_state(start.optimizer_state);
  first_epoch_ = start.epoch;
  step_ = start.step;
  calibration_ = start.calibration;
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
}

void Trainer::save(std::uint64_t epochs_done) {
  if (!is_lead()) return;
  const PhaseTimer timer(phases_.checkpoint_s);
  Checkpoint checkpoint;
  checkpoint.model = model_.name();
  checkpoint.input = model_.input();
  checkpoint.classes = model_.classes();
  checkpoint.input_statistics = input_statistics(train_set_);
  checkpoint.parameters = plan_.parameters();
  checkpoint.statistics = plan_.statistics();
  checkpoint.optimizer = settings_.optimizer.kind;
  checkpoint.optimizer_state = plan_.optimizer_state();
  checkpoint.epoch = epochs_done;
  checkpoint.step = step_;
  checkpoint.seed = settings_.seed;
  checkpoint.batch = static_cast<std::uint64_t>(settings_.batch);
  checkpoint.calibration = calibration_;
  save_checkpoint(settings_.out / "checkpoint.h5", checkpoint);
}

}  // namespace dovetail
