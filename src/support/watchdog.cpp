// Writes a sign of life once a second while something changes, else more seldom; hands it over to
// other hosts, and compares the others', as seldom.
#include "support/watchdog.hpp"

#include <algorithm>
#include <chrono>
#include <optional>

#include "support/stop_signal.hpp"
#include "support/text.hpp"

namespace dovetail {
namespace {

using std::chrono::duration;

constexpr double turn_s = 1.5;       // of one waiting rank after the other to speak
constexpr double news_s = 1;         // between two signs, where phase, step or bucket has changed
constexpr double slow_files_s = 10;  // that a file system may take beyond the ranks' own limit
constexpr double farewell_s = 10;    // for the launcher to end this rank once another has spoken

double elapsed_s(std::chrono::steady_clock::time_point begin) {
  return duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

double beat_of(double timeout_s) {
  return std::clamp(timeout_s / 8, 0.2, 5.0);
}

Watchdog::Watchdog(WatchdogSettings settings)
    : settings_(std::move(settings)),
      own_name_(settings_.ranks[static_cast<std::size_t>(settings_.rank)].name),
      deadman_(settings_.timeout_s + slow_files_s,
               [this](double seconds) { end_without_files(seconds); }),
      writer_(settings_.folder, settings_.rank),
      peers_(settings_.folder, settings_.ranks, static_cast<std::size_t>(settings_.rank),
             settings_.beat_s),
      last_progress_(Clock::now()),
      last_beat_() {
  write_sign();
  writer_.hand_over();
  lookout_.emplace([this](Clock::duration missed) { return look(missed); });
}

Watchdog::~Watchdog() {
  lookout_.reset();
  leave_word();
}

void Watchdog::rename(const std::vector<std::string>& names) {
  const std::lock_guard lock(mutex_);
  for (std::size_t rank = 0; rank < names.size(); ++rank) peers_.rename(rank, names[rank]);
  const std::lock_guard name_lock(name_mutex_);
  own_name_ = names[static_cast<std::size_t>(settings_.rank)];
}

void Watchdog::set_timeout(double timeout_s) {
  const std::lock_guard lock(mutex_);
  settings_.timeout_s = timeout_s;
  deadman_.set_timeout(timeout_s + slow_files_s);
  last_progress_ = Clock::now();
}

void Watchdog::job_is_done() {
  const std::lock_guard lock(mutex_);
  peers_.job_is_done();
}

bool Watchdog::look(Clock::duration missed) {
  const std::lock_guard lock(mutex_);
  deadman_.sign();
  if (ended_) return true;
  // Whoever was stopped itself has missed nothing that others did.
  last_progress_ += missed;
  peers_.forgive(missed);
  look_at_myself();
  if (!signs_removed()) {
    if (const std::optional<std::string> line = peers_.gone()) end(*line);
  }
  const bool at_beat = elapsed_s(last_beat_) >= settings_.beat_s;
  if (at_beat) {
    last_beat_ = Clock::now();
    write_sign();
    // Not each piece of news: a server of a thousand ranks would have as many to write a second.
    writer_.hand_over();
    // Not while all goes well: on a thousand ranks that would be a million files each time.
    if (mine_.kind == activity::Kind::wait && mine_.seconds >= settings_.beat_s) {
      peers_.listen();
    } else {
      peers_.stop_listening();
    }
  } else if (count_ != written_count_ && elapsed_s(last_written_) >= news_s) {
    write_sign();
  }
  judge_myself(at_beat);
  return true;
}

void Watchdog::look_at_myself() {
  const activity::State state = activity::now();
  if (state.count != count_) last_progress_ = Clock::now();
  count_ = state.count;
  mine_.phase = state.phase;
  mine_.step = state.step;
  mine_.kind = state.kind;
  mine_.bucket = state.bucket;
  mine_.call = state.call;
  mine_.seconds = elapsed_s(last_progress_);
  mine_.timeout_s = settings_.timeout_s;
}

void Watchdog::write_sign() {
  ++mine_.beat;
  writer_.write(mine_);
  written_count_ = count_;
  last_written_ = Clock::now();
}

void Watchdog::judge_myself(bool at_beat) {
  if (ended_) return;
  if (mine_.kind == activity::Kind::work && mine_.seconds > settings_.timeout_s) {
    return end(fmt::format("{}: {} has not returned for {:.0f} s", peers_.own_name(),
                           place_of(mine_), mine_.seconds));
  }
  if (mine_.kind != activity::Kind::wait) return;
  // Reads all ranks' files, so at beats alone.
  if (at_beat && StopSignal::must_hurry() && mine_.seconds > settings_.hurry_s &&
      !another_leaves()) {
    const Peers::Verdict verdict = peers_.judge(settings_.hurry_s);
    if (verdict.kind == Peers::Verdict::Kind::guilty) return end_because_of(verdict.who);
    // Who works is on the checkpoint, perhaps.
    if (!peers_.another_works()) {
      return end(fmt::format("{}: asked to end by SIGTERM, but {} has not returned for {:.0f} s",
                             peers_.own_name(), place_of(mine_), mine_.seconds));
    }
  }
  // A rank whose work stalls speaks first, then the waiting ones in turn.
  const double patience_s = settings_.timeout_s + 2 * settings_.beat_s + settings_.rank * turn_s;
  if (mine_.seconds < patience_s) return;
  const double longer_s = std::min(farewell_s, 2 * settings_.timeout_s);
  if (mine_.seconds < patience_s + longer_s && another_leaves()) return;
  Peers::Verdict verdict = peers_.judge(settings_.timeout_s);
  if (verdict.kind == Peers::Verdict::Kind::unknown_yet ||
      verdict.kind == Peers::Verdict::Kind::someone_works)
    return;
  if (verdict.kind == Peers::Verdict::Kind::nobody) {
    leave_word();  // the network may take a while to answer, and this rank ends either way
    verdict.who = peers_.suspect();
  }
  end_because_of(verdict.who);
}

void Watchdog::end_because_of(const std::string& who) {
  end(fmt::format("{}; {} waits in {} for {:.0f} s", who, peers_.own_name(), place_of(mine_),
                  mine_.seconds));
}

bool Watchdog::another_leaves() const {
  return signs_removed() || peers_.another_leaves();
}

void Watchdog::leave_word() {
  mine_.leaving = true;
  writer_.write(mine_);
  writer_.hand_over();
}

void Watchdog::end(const std::string& line) {
  leave_word();  // the others need not miss this rank: it says itself what is wrong
  ended_ = true;
  settings_.end(line);
}

void Watchdog::end_without_files(double seconds) {
  if (!settings_.end_without_files) return;
  const std::lock_guard lock(name_mutex_);
  settings_.end_without_files(fmt::format("{}: the file system of {} has not answered for {:.0f} s",
                                          own_name_, settings_.folder.string(), seconds));
}

}  // namespace dovetail
