// Looks five times a second; writes a sign of life once a second while something changes, else more
// seldom, and compares the others' as seldom.
#include "support/watchdog.hpp"

#include <algorithm>
#include <chrono>
#include <optional>

#include "support/network_probe.hpp"
#include "support/stop_signal.hpp"
#include "support/text.hpp"

namespace dovetail {
namespace {

using std::chrono::duration;

constexpr std::chrono::milliseconds look{200};
// mpirun sends survivors SIGTERM at once and SIGKILL after a second; while it kills the ranks one
// by one, none of them shall miss the others.
constexpr duration<double> gone_for{0.35};
constexpr duration<double> turn{1.5};  // of one survivor after the other to speak
constexpr double news_s = 1;           // between two signs, where phase, step or bucket has changed
constexpr double pause_s = 1.5;        // more than a loaded host lets this thread wait
constexpr double hurry_s = 10;         // that a wait may take once SIGTERM has come
constexpr double farewell_s = 10;      // for the launcher to end this rank once another has spoken
constexpr double answer_s = 2;         // for a host to answer over the network

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return duration<double>(std::chrono::steady_clock::now() - begin).count();
}

/// "all-reduce of step 12 (bucket 3)".
std::string place(const SignOfLife& sign) {
  return sign.phase + (sign.step == 0 ? "" : fmt::format(" of step {}", sign.step)) +
         (sign.bucket < 0 ? "" : fmt::format(" (bucket {})", sign.bucket));
}

}  // namespace

Watchdog::Watchdog(WatchdogSettings settings)
    : settings_(std::move(settings)),
      writer_(settings_.folder, settings_.rank),
      peers_(settings_.ranks.size()),
      beat_s_(std::clamp(settings_.timeout_s / 8, 0.2, 5.0)),
      last_progress_(Clock::now()),
      last_beat_(),
      last_look_(last_progress_) {
  const auto mine = static_cast<std::size_t>(settings_.rank);
  for (std::size_t rank = 0; rank < peers_.size(); ++rank) {
    const WatchedRank& other = settings_.ranks[rank];
    // Containers may hide the others' processes, or show another one under that number.
    peers_[rank].watched =
        rank != mine && other.host == settings_.ranks[mine].host && is_alive(other.process);
    peers_[rank].beat_seen = last_progress_;
  }
  write_sign();
  thread_ = std::thread([this] { watch(); });
}

Watchdog::~Watchdog() {
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
  }
  wake_.notify_all();
  thread_.join();
  leave_word();
}

void Watchdog::watch() {
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, look, [this] { return over_; })) {
    if (ended_) continue;
    forget_own_pause();
    look_at_myself();
    look_for_the_gone();
    if (seconds_since(last_beat_) >= beat_s_.count()) {
      last_beat_ = Clock::now();
      write_sign();
      look_at_signs();
    } else if (count_ != written_count_ && seconds_since(last_written_) >= news_s) {
      write_sign();
    }
    judge_myself();
  }
}

void Watchdog::forget_own_pause() {
  // Whoever was stopped itself (SIGSTOP, scontrol suspend) has missed nothing that others did.
  const Clock::duration pause = Clock::now() - last_look_ - look;
  last_look_ = Clock::now();
  if (duration<double>(pause).count() < pause_s) return;
  last_progress_ += pause;
  for (Peer& peer : peers_) peer.beat_seen += pause;
}

void Watchdog::look_at_myself() {
  const activity::State state = activity::now();
  if (state.count != count_) last_progress_ = Clock::now();
  count_ = state.count;
  mine_.phase = state.phase;
  mine_.step = state.step;
  mine_.kind = state.kind;
  mine_.bucket = state.bucket;
  mine_.seconds = seconds_since(last_progress_);
}

void Watchdog::write_sign() {
  ++mine_.beat;
  writer_.write(mine_);
  written_count_ = count_;
  last_written_ = Clock::now();
}

void Watchdog::look_for_the_gone() {
  std::optional<std::size_t> gone;
  double survivors_before_me = 0;
  for (std::size_t rank = 0; rank < peers_.size(); ++rank) {
    Peer& peer = peers_[rank];
    if (!peer.watched) continue;
    if (is_alive(settings_.ranks[rank].process)) {
      if (rank < static_cast<std::size_t>(settings_.rank)) ++survivors_before_me;
      continue;
    }
    const std::optional<SignOfLife> sign = read_sign(settings_.folder, static_cast<int>(rank));
    if (sign && sign->leaving) {
      peer.watched = false;  // it has ended, or says itself why it fails
      continue;
    }
    if (peer.gone_since == Clock::time_point::max()) peer.gone_since = Clock::now();
    if (!gone) gone = rank;
  }
  if (!gone ||
      seconds_since(peers_[*gone].gone_since) < (gone_for + survivors_before_me * turn).count()) {
    return;
  }
  const std::optional<SignOfLife> sign = read_sign(settings_.folder, static_cast<int>(*gone));
  // One that fails says so itself; its launcher then ends the others.
  for (std::size_t rank = 0; rank < peers_.size(); ++rank) {
    const auto other = read_sign(settings_.folder, static_cast<int>(rank));
    if (other && other->leaving) return;
  }
  end(fmt::format("{} is gone: its process {} was killed{}", name(*gone),
                  settings_.ranks[*gone].process.pid, sign ? ", last in " + place(*sign) : ""));
}

void Watchdog::look_at_signs() {
  if (mine_.kind != activity::Kind::wait) return;
  for (std::size_t rank = 0; rank < peers_.size(); ++rank) {
    const auto sign = read_sign(settings_.folder, static_cast<int>(rank));
    if (!sign || sign->beat == peers_[rank].beat) continue;
    peers_[rank].beat = sign->beat;
    peers_[rank].beat_seen = Clock::now();
  }
}

void Watchdog::judge_myself() {
  if (mine_.kind == activity::Kind::work && mine_.seconds > settings_.timeout_s) {
    end(fmt::format("{}: {} has not returned for {:.0f} s",
                    name(static_cast<std::size_t>(settings_.rank)), place(mine_), mine_.seconds));
  }
  if (mine_.kind != activity::Kind::wait) return;
  if (StopSignal::must_hurry() && mine_.seconds > hurry_s && !another_leaves()) {
    end(fmt::format("{}: asked to end by SIGTERM, but {} has not returned for {:.0f} s",
                    name(static_cast<std::size_t>(settings_.rank)), place(mine_), mine_.seconds));
  }
  // A rank whose work stalls speaks first, then the waiting ones in turn.
  const double patience_s =
      settings_.timeout_s + 2 * beat_s_.count() + settings_.rank * turn.count();
  if (mine_.seconds < patience_s) return;
  const double longer_s = std::min(farewell_s, 2 * settings_.timeout_s);
  if (mine_.seconds < patience_s + longer_s && another_leaves()) return;
  const std::string who = culprit();
  if (!who.empty()) {
    end(fmt::format("{}; {} waits in {} for {:.0f} s", who,
                    name(static_cast<std::size_t>(settings_.rank)), place(mine_), mine_.seconds));
  }
}

std::string Watchdog::culprit() {
  const double silence_s = std::max(settings_.timeout_s / 2, 3 * beat_s_.count());
  std::vector<std::string> unheard;
  for (std::size_t rank = 0; rank < peers_.size(); ++rank) {
    if (rank == static_cast<std::size_t>(settings_.rank)) continue;
    const auto sign = read_sign(settings_.folder, static_cast<int>(rank));
    if (!sign) {
      unheard.push_back(fmt::format("{}", rank));  // its host has another file system
      continue;
    }
    if (sign->leaving) continue;  // done, and waiting for the others
    if (seconds_since(peers_[rank].beat_seen) > silence_s) {
      return fmt::format("{} gives no sign of life for {:.0f} s, last in {}", name(rank),
                         seconds_since(peers_[rank].beat_seen), place(*sign));
    }
    if (sign->kind != activity::Kind::work) continue;
    if (sign->seconds < settings_.timeout_s) return "";
    return fmt::format("{}: {} has not returned for {:.0f} s", name(rank), place(*sign),
                       sign->seconds);
  }
  leave_word();  // the network may take a while to answer, and this rank ends either way
  const std::string cut = cut_off();
  if (!cut.empty()) return cut;
  if (!unheard.empty()) return fmt::format("no word from the ranks {}", fmt::join(unheard, ", "));
  return "all ranks wait for each other: the network between them may be down";
}

bool Watchdog::another_leaves() const {
  for (std::size_t rank = 0; rank < peers_.size(); ++rank) {
    if (rank == static_cast<std::size_t>(settings_.rank)) continue;
    const auto sign = read_sign(settings_.folder, static_cast<int>(rank));
    if (sign && sign->leaving) return true;
  }
  return false;
}

std::string Watchdog::cut_off() const {
  std::vector<std::size_t> first_ranks;  // of each host
  std::vector<std::vector<std::string>> hosts;
  std::size_t mine = 0;
  for (std::size_t rank = 0; rank < settings_.ranks.size(); ++rank) {
    const auto seen = std::find_if(first_ranks.begin(), first_ranks.end(), [&](std::size_t first) {
      return settings_.ranks[first].host == settings_.ranks[rank].host;
    });
    if (rank == static_cast<std::size_t>(settings_.rank))
      mine = static_cast<std::size_t>(seen - first_ranks.begin());
    if (seen != first_ranks.end()) continue;
    first_ranks.push_back(rank);
    hosts.push_back(settings_.ranks[rank].addresses);
  }
  const std::vector<std::size_t> cut = cut_off_hosts(
      hosts, mine, [](const auto& addresses) { return which_answer(addresses, answer_s); });
  if (cut.empty()) return "";
  if (cut.front() == mine) {
    return fmt::format("{} is cut off: no other host answers over the network",
                       name(first_ranks[mine]));
  }
  std::vector<std::string> names;
  for (const std::size_t host : cut) names.push_back(name(first_ranks[host]));
  return fmt::format("{} is cut off: no answer over the network", fmt::join(names, ", "));
}

void Watchdog::leave_word() {
  mine_.leaving = true;
  writer_.write(mine_);
}

void Watchdog::end(const std::string& line) {
  leave_word();  // the others need not miss this rank: it says itself what is wrong
  ended_ = true;
  settings_.end(line);
}

std::string Watchdog::name(std::size_t rank) const {
  const WatchedRank& named = settings_.ranks[rank];
  return fmt::format("rank {} on {} ({})", rank, named.host, named.device);
}

}  // namespace dovetail
