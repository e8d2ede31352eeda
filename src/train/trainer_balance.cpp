// Shares of the global batch that follow the ranks' measured speeds.
#include <algorithm>
#include <cmath>

#include "support/activity.hpp"
#include "support/clock.hpp"
#include "support/log.hpp"
#include "support/text.hpp"
#include "train/trainer.hpp"

namespace dovetail {
namespace {

constexpr std::uint64_t settling_steps = 2;  // not measured: kernels, pages and queues are cold
constexpr std::uint64_t least_steps = 4;     // that say anything

std::string counts_text(const std::vector<std::size_t>& counts) {
  constexpr std::size_t most_named = 16;
  if (counts.size() <= most_named) return fmt::format("{}", fmt::join(counts, ":"));
  const auto [least, most] = std::ranges::minmax(counts);
  return fmt::format("{} to {}", least, most);
}

}  // namespace

Share Trainer::my_share(std::size_t samples) const {
  return balancer_.shares().of(samples, static_cast<std::size_t>(ranks_.rank()));
}

void Trainer::measure_pace(std::size_t samples) {
  // Where FPGA ranks or the lead choose the samples, waiting for input is waiting for others.
  const double busy = phases_.compute_s + (settings_.boost.any() ? 0 : phases_.input_s);
  const double seconds = busy - busy_before_;
  busy_before_ = busy;
  if (!balancer_.adapts() || ++steps_at_these_shares_ <= settling_steps) return;
  pace_.samples += static_cast<double>(samples);
  pace_.seconds += seconds;
  ++pace_.steps;
  const std::uint64_t left = epoch_end(epochs_done_) - step_;
  if (pace_.steps != probe_steps_ || left < probe_steps_) return;
  rebalance();
  probe_steps_ *= 2;
}

void Trainer::rebalance() {
  if (!balancer_.adapts()) return;
  const PhaseTimer timer(phases_.balance_s);
  activity::enter("balance", step_, activity::Kind::wait);
  const std::vector<Pace> paces = ranks_.all_gather(pace_);
  pace_ = {};
  std::vector<double> speeds, seconds;
  for (const Pace& pace : paces) {
    speeds.push_back(pace.samples / pace.seconds);
    seconds.push_back(pace.seconds);
  }
  const bool is_measured =
      paces.front().steps >= least_steps &&
      std::ranges::all_of(speeds, [](double speed) { return speed > 0 && std::isfinite(speed); });
  if (!is_measured) return;
  const std::vector<std::size_t> before = balancer_.counts();
  const bool is_over = step_ == timing_.last_step;
  const bool has_changed = !is_over && balancer_.update(speeds) && make_room(before);
  if (has_changed) {
    feed_->rebalance(step_, balancer_.shares());
    steps_at_these_shares_ = 0;
    ++result_.rebalanced;
  }
  if (!is_lead()) return;
  log_->event("balance", {{"step", step_},
                          {"shares", balancer_.counts()},
                          {"before", before},
                          {"samples_per_second", speeds},
                          {"imbalance", imbalance(seconds)}});
  if (!has_changed) return;
  log::note(
      fmt::format("step {}: shares are {} of {} samples from now on (before: {}, where the "
                  "slowest rank computed {:.0f} % longer than the mean)",
                  step_, counts_text(balancer_.counts()), schedule_.batch, counts_text(before),
                  100 * imbalance(seconds)));
}

bool Trainer::make_room(const std::vector<std::size_t>& before) {
  // Should all FPGA ranks retire, their samples come back; a little more saves the next time.
  const auto rank = static_cast<std::size_t>(ranks_.rank());
  const std::size_t whole =
      std::min(static_cast<std::size_t>(settings_.batch), train_set_.samples());
  const std::size_t needed = balancer_.shares().largest(whole, rank);
  std::string failure;
  if (needed > plan_.capacity()) failure = plan_.set_capacity(std::min(whole, needed + needed / 8));
  const std::vector<std::uint8_t> failed = ranks_.all_gather(std::uint8_t{!failure.empty()});
  if (std::ranges::none_of(failed, [](std::uint8_t each) { return each != 0; })) return true;
  if (!failure.empty()) {
    log::warn(fmt::format("{} has no room for {} samples and keeps {}: {}", my_name(), needed,
                          before[rank], failure));
  }
  balancer_.take_back(before, failed);
  return false;
}

void Trainer::resume_shares(const std::vector<std::uint64_t>& shares) {
  if (shares.empty()) return;
  const std::vector<std::size_t> before = balancer_.counts();
  const bool are_known =
      before.size() == shares.size() && std::equal(before.begin(), before.end(), shares.begin());
  if (are_known && !balancer_.adapts()) return;
  const auto text = [](const auto& counts) { return counts_text({counts.begin(), counts.end()}); };
  if (balancer_.adapts() && balancer_.restore(shares)) {
    make_room(before);
    probe_steps_ = 0;
  } else if (is_lead()) {
    log::note(fmt::format("the checkpoint's shares were {}; now they are {}", text(shares),
                          text(before)));
  }
}

}  // namespace dovetail
