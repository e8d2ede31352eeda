// Fills pools, and keeps gradients until their step comes.
#include "train/boost_arrivals.hpp"

#include <algorithm>
#include <cstring>

#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail {

using quant::Report;

namespace {

std::vector<float> floats_of(const ReportInbox::Arrival& arrival, std::size_t expected) {
  if (arrival.payload.size() != expected * sizeof(float)) {
    throw Error(fmt::format("a boost of {} bytes came for step {} where {} were expected",
                            arrival.payload.size(), arrival.report.step, expected * sizeof(float)),
                "All ranks must run the same build and data set");
  }
  std::vector<float> values(expected);
  std::memcpy(values.data(), arrival.payload.data(), arrival.payload.size());
  return values;
}

void expect_inside(const Report& report, std::size_t count) {
  if (report.begin > count || report.sums.samples > count - report.begin) {
    throw Error(fmt::format("a boost for samples {} to {} of step {}, which has {}", report.begin,
                            report.begin + report.sums.samples, report.step, count),
                "All ranks must run the same build and data set");
  }
}

}  // namespace

BoostArrivals::BoostArrivals(const StepSchedule& schedule, std::uint64_t first_step,
                             std::size_t parameters)
    : schedule_(schedule),
      parameters_(parameters),
      first_open_pool_(first_step),
      first_open_step_(first_step) {}

void BoostArrivals::add(std::vector<ReportInbox::Arrival> arrivals) {
  for (const ReportInbox::Arrival& arrival : arrivals) {
    if (arrival.report.kind == Report::Kind::scores) add_scores(arrival);
    if (arrival.report.kind == Report::Kind::gradients) add_gradients(arrival);
  }
}

void BoostArrivals::begin_round(std::uint64_t rosters) {
  if (rosters == round_) return;
  round_ = rosters;
  gradients_.clear();
}

void BoostArrivals::add_scores(const ReportInbox::Arrival& arrival) {
  const Report& report = arrival.report;
  if (report.step < first_open_pool_) return;
  const std::size_t size = schedule_.at(report.step).pool.count;
  expect_inside(report, size);
  const std::vector<float> losses = floats_of(arrival, report.sums.samples);
  Pool& pool = pools_[report.step];
  pool.losses.resize(size);
  pool.known.resize(size);
  std::copy(losses.begin(), losses.end(),
            pool.losses.begin() + static_cast<std::ptrdiff_t>(report.begin));
  std::fill_n(pool.known.begin() + static_cast<std::ptrdiff_t>(report.begin), losses.size(), true);
  pool.version = std::min(pool.version, report.sums.version);
}

bool BoostArrivals::has_scores(std::uint64_t step) const {
  const auto found = pools_.find(step);
  return found != pools_.end() && std::find(found->second.known.begin(), found->second.known.end(),
                                            false) == found->second.known.end();
}

std::optional<BoostArrivals::Scores> BoostArrivals::take_scores(std::uint64_t step) {
  std::optional<Scores> scores;
  if (has_scores(step)) {
    Pool& pool = pools_.at(step);
    scores = Scores{std::move(pool.losses), pool.version};
  }
  pools_.erase(pools_.begin(), pools_.upper_bound(step));
  first_open_pool_ = step + 1;
  return scores;
}

void BoostArrivals::add_gradients(const ReportInbox::Arrival& arrival) {
  const Report& report = arrival.report;
  if (report.step < first_open_step_) {
    ++late_gradients_;
    return;
  }
  if (report.round < round_) return;
  expect_inside(report, schedule_.at(report.step).contributed.count);
  std::vector<Gradients>& there = gradients_[report.step];
  const Share mine{report.begin, report.sums.samples};
  // What a rank computes again under a new roster, it may have sent already.
  const bool known = std::any_of(there.begin(), there.end(), [&](const Gradients& other) {
    return mine.begin < other.samples.begin + other.samples.count &&
           other.samples.begin < mine.begin + mine.count;
  });
  if (known) return;
  const auto at = std::find_if(there.begin(), there.end(), [&](const Gradients& other) {
    return other.samples.begin > mine.begin;
  });
  there.insert(at, {mine, report.sums, floats_of(arrival, parameters_)});
}

bool BoostArrivals::has_all_gradients(std::uint64_t step) const {
  std::size_t count = 0;
  if (const auto found = gradients_.find(step); found != gradients_.end()) {
    for (const Gradients& part : found->second) count += part.samples.count;
  }
  return count == schedule_.at(step).contributed.count;
}

std::vector<BoostArrivals::Gradients> BoostArrivals::take_gradients(std::uint64_t step) {
  std::vector<Gradients> taken;
  if (const auto found = gradients_.find(step); found != gradients_.end())
    taken = std::move(found->second);
  gradients_.erase(gradients_.begin(), gradients_.upper_bound(step));
  first_open_step_ = step + 1;
  return taken;
}

}  // namespace dovetail
