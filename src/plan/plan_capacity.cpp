// Makes room for another number of samples; what does not depend on it stays where it is.
#include <utility>

#include "plan/plan.hpp"
#include "support/error.hpp"

namespace dovetail {

std::string Plan::set_capacity(std::size_t samples) {
  if (samples == capacity()) return "";
  const int before = std::exchange(options_.batch, static_cast<int>(samples));
  const plan::Refusals refused_before = refusals_;
  try {
    lower_again();
    return "";
  } catch (const Error& failure) {
    options_.batch = before;
    refusals_ = refused_before;
    lower_again();
    return failure.what();
  }
}

void Plan::drop_layers() {
  unfused_.reset();
  operations_.clear();
  names_.clear();
  edges_.clear();
  inputs_.clear();
  input_slots_.clear();
  steps_.clear();
  chain_.reset();
  loss_.reset();
}

void Plan::lower_again() {
  device_.finish();
  drop_layers();  // the old memory goes before the new one comes
  const plan::Lowered lowered = lower();
  make_edges(lowered);
  normalise_.set_capacity(room());
  make_layers(lowered);
  if (holds_images()) make_numbers();
  load_statistics(running_);
  device_.finish();  // some drivers take memory only when it is used
}

}  // namespace dovetail
