// Listens between two pieces of work, and works between two messages.
#include "infer/fpga_rank.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "infer/card_failure.hpp"
#include "model/score.hpp"
#include "quant/assignment.hpp"
#include "quant/training_format.hpp"
#include "shards/share.hpp"
#include "support/activity.hpp"
#include "support/clock.hpp"
#include "support/stop_signal.hpp"
#include "support/text.hpp"
#include "support/timeline.hpp"

namespace dovetail {

using quant::Announcement;
using quant::Report;

namespace {

constexpr std::chrono::milliseconds idle_interval{2};
constexpr std::size_t images_at_once = 512;         // between two looks at the inbox
constexpr std::size_t images_beside_a_boost = 128;  // the GPU ranks need scores sooner

std::vector<std::uint8_t> bytes_of(std::span<const float> values) {
  std::vector<std::uint8_t> bytes(values.size_bytes());
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

/// One parameter after the other.
std::vector<float> flat(const std::vector<Parameter>& parameters) {
  std::vector<float> values;
  for (const Parameter& parameter : parameters)
    values.insert(values.end(), parameter.value.values.begin(), parameter.value.values.end());
  return values;
}

/// A choice for step p + lookahead is made at the start of step p; gradients for step p are taken
/// at its end.
std::uint64_t first_choice(const BoostTiming& timing) {
  return timing.lookahead() + 1;
}

}  // namespace

FpgaRank::FpgaRank(Communicator& link, FpgaDuties duties)
    : link_(link),
      duties_(std::move(duties)),
      inbox_(link),
      evaluator_(duties_.open, *duties_.test_set),
      position_(static_cast<std::size_t>(link.rank() - 1)),
      serving_(static_cast<std::size_t>(link.size() - 1)),
      score_window_(duties_.timing, first_choice(duties_.timing)),
      gradient_window_(duties_.timing, 0) {}

void FpgaRank::run() {
  try {
    serve();
  } catch (const infer::CardFailure& failure) {
    if (!duties_.retire) throw;
    retire(fmt::format("{}: {}", duties_.name, failure.what()));
  }
  send({.kind = Report::Kind::done});
  sent_.clear();  // waits until the root has taken all of it
}

void FpgaRank::retire(const std::string& reason) {
  retired_ = true;
  send({.kind = Report::Kind::retired}, {reason.begin(), reason.end()});
  activity::enter("retired", 0, activity::Kind::idle);
  while (!over_) {
    pass_on_stop();
    const auto message = inbox_.wait_unless(idle_interval, [this] { return must_pass_on_stop(); });
    over_ = message && (message->announcement.kind == Announcement::Kind::end ||
                        message->announcement.kind == Announcement::Kind::stop);
  }
}

void FpgaRank::serve() {
  while (!over_) {
    pass_on_stop();
    take_news();
    if (over_ || work()) continue;
    const PhaseTimer timer(phases_.idle_s);
    activity::enter("idle", 0, activity::Kind::idle);
    if (duties_.train_set) {
      take(inbox_.wait(std::chrono::milliseconds(0)));
    } else if (auto message =
                   inbox_.wait_unless(idle_interval, [this] { return must_pass_on_stop(); })) {
      take(std::move(*message));
    }
  }
  while (evaluate()) {
  }
}

bool FpgaRank::must_pass_on_stop() const {
  return StopSignal::requested() != 0 && !stop_passed_on_;
}

void FpgaRank::pass_on_stop() {
  if (!must_pass_on_stop()) return;
  stop_passed_on_ = true;
  send({.kind = Report::Kind::stop});
}

void FpgaRank::take_news() {
  while (!over_) {
    std::optional<AnnouncementInbox::Message> message = inbox_.poll();
    if (!message) return;
    take(std::move(*message));
  }
}

void FpgaRank::take(AnnouncementInbox::Message message) {
  const Announcement& announcement = message.announcement;
  switch (announcement.kind) {
    case Announcement::Kind::evaluate: {
      const auto part =
          quant::part_of_format(announcement.format, duties_.formats.size(), position_, serving_);
      if (!part) return;
      const Share mine = share(duties_.test_set->samples(), part->index, part->count);
      evaluator_.add(announcement, std::move(message.payload),
                     duties_.formats.at(announcement.format), mine);
      return;
    }
    case Announcement::Kind::select: {
      activity::enter("load", announcement.version);
      const PhaseTimer timer(phases_.load_s);
      infer::on_card([&] {
        if (!scorer_) scorer_ = duties_.open(duties_.select_format);
        scorer_->load({announcement.version, std::move(message.payload)});
      });
      score_version_ = announcement.version;
      score_window_.weights_arrived(announcement.version);
      return;
    }
    case Announcement::Kind::weights: {
      activity::enter("load", announcement.version);
      const PhaseTimer timer(phases_.load_s);
      infer::on_card([&] {
        duties_.gradients->load({announcement.version, std::move(message.payload)});
      });
      gradient_version_ = announcement.version;
      gradient_window_.weights_arrived(announcement.version);
      return;
    }
    case Announcement::Kind::progress:
      score_window_.steps_done(announcement.version);
      gradient_window_.steps_done(announcement.version);
      return;
    case Announcement::Kind::roster:
      return take_roster(message.payload);
    case Announcement::Kind::end:
      over_ = true;
      return;
    case Announcement::Kind::stop:
      over_ = true;
      evaluator_.clear();
      return;
  }
}

void FpgaRank::take_roster(const std::vector<std::uint8_t>& roster) {
  const auto me = roster.begin() + (link_.rank() - 1);
  position_ = static_cast<std::size_t>(std::count(roster.begin(), me, 1));
  serving_ = static_cast<std::size_t>(std::count(roster.begin(), roster.end(), 1));
  ++rosters_;
  evaluator_.clear();
  score_window_.begin_anew();
  gradient_window_.begin_anew();
}

bool FpgaRank::work() {
  const bool scored = score_samples();
  const bool contributed = contribute();
  // The GPU ranks may be waiting for a boost; nobody waits for an evaluation.
  if (duties_.timing.wait && (scored || contributed)) return true;
  return evaluate() || scored || contributed;
}

std::size_t FpgaRank::images_between_news() const {
  return duties_.train_set && !duties_.gradients ? images_beside_a_boost : images_at_once;
}

bool FpgaRank::evaluate() {
  if (!evaluator_.has_work()) return false;
  activity::enter("evaluate", evaluator_.version());
  timeline::enter_version(evaluator_.version());
  const double loaded_s = evaluator_.load_seconds();
  const Stopwatch watch;
  std::optional<Report> report = evaluator_.advance(images_between_news());
  // Gradients need other kernels on the card: an evaluation has them loaded anew only once.
  while (duties_.gradients && !report) report = evaluator_.advance(images_between_news());
  const double load_s = evaluator_.load_seconds() - loaded_s;
  phases_.load_s += load_s;
  phases_.evaluate_s += watch.seconds() - load_s;
  if (report) send(*report);
  return true;
}

bool FpgaRank::score_samples() {
  // Where the GPU ranks wait for a pool all ranks share it; else each pool is one rank's, so that
  // ranks that skip different steps spoil no pool for each other.
  const bool shared = duties_.timing.wait;
  const auto step =
      score_window_.take([&](std::uint64_t s) { return shared || s % serving_ == position_; });
  if (!step) return false;
  const PhaseTimer timer(phases_.select_s);
  activity::enter("score", *step + 1);
  timeline::enter_step(*step + 1);
  const StepSchedule::Step plan = duties_.schedule.at(*step);
  const Share mine =
      shared ? share(plan.pool.count, position_, serving_) : Share{0, plan.pool.count};
  duties_.train_set->read({.epoch = static_cast<std::int64_t>(plan.epoch),
                           .begin = plan.pool.begin + mine.begin,
                           .count = mine.count},
                          batch_);
  const std::vector<float> losses = sample_losses(
      infer::on_card([&] { return scorer_->run(batch_.images, mine.count); }), batch_.labels);
  samples_ += mine.count;
  send({.kind = Report::Kind::scores,
        .step = *step,
        .begin = mine.begin,
        .sums = {.version = score_version_, .samples = mine.count}},
       bytes_of(losses));
  take_news();
  score_window_.finished(*step);
  return true;
}

bool FpgaRank::contribute() {
  const auto step = gradient_window_.take([](std::uint64_t) { return true; });
  if (!step) return false;
  const PhaseTimer timer(phases_.contribute_s);
  activity::enter("contribute", *step + 1);
  timeline::enter_step(*step + 1);
  const StepSchedule::Step plan = duties_.schedule.at(*step);
  const Share mine = share(plan.contributed.count, position_, serving_);
  if (mine.count > 0) {
    const std::size_t begin = plan.contributed.begin + mine.begin;
    duties_.train_set->read(
        {.epoch = static_cast<std::int64_t>(plan.epoch), .begin = begin, .count = mine.count},
        batch_);
    const infer::GradientSums sums =
        gradients_of(*step, plan.epoch * duties_.schedule.samples + begin);
    samples_ += mine.count;
    send({.kind = Report::Kind::gradients,
          .round = rosters_,
          .step = *step,
          .begin = mine.begin,
          .sums = {.version = gradient_version_,
                   .samples = mine.count,
                   .correct = sums.correct,
                   .loss_sum = sums.loss_sum}},
         bytes_of(flat(sums.parameters)));
  }
  take_news();
  gradient_window_.finished(*step);
  return true;
}

infer::GradientSums FpgaRank::gradients_of(std::uint64_t step, std::uint64_t draw) {
  try {
    return infer::on_card(
        [&] { return duties_.gradients->gradients(batch_.images, batch_.labels, draw); });
  } catch (const quant::RangeError& failure) {
    throw Error(
        fmt::format("the training has diverged: the gradients that FPGA ranks contribute to step "
                    "{} in {}, by weights {} old, cannot be computed: {}",
                    step + 1, duties_.gradient_format, counted(step - gradient_version_, "step"),
                    failure.problem()),
        quant::remedy_for_divergence(duties_.gradient_format, duties_.timing.staleness));
  }
}

void FpgaRank::send(Report report, std::vector<std::uint8_t> payload) {
  while (!sent_.empty() && sent_.front().report.test() && sent_.front().payload.test())
    sent_.pop_front();
  report.bytes = payload.size();
  const auto header = std::make_shared<Report>(report);
  Sent& sent = sent_.emplace_back();
  sent.report = link_.isend(std::span(header.get(), 1), 0, quant::report_tag);
  sent.report.keep(header);
  if (payload.empty()) return;
  const auto body = std::make_shared<std::vector<std::uint8_t>>(std::move(payload));
  sent.payload = link_.isend(*body, 0, quant::payload_tag);
  sent.payload.keep(body);
}

}  // namespace dovetail
