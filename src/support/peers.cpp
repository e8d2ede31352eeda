// Reads the other ranks' signs, and asks the kernel about their processes and the network about
// their hosts.
#include "support/peers.hpp"

#include <algorithm>

#include "support/clock.hpp"
#include "support/network_probe.hpp"
#include "support/text.hpp"

namespace dovetail {
namespace {

using std::chrono::duration;

// mpirun sends survivors SIGTERM at once and SIGKILL after a second; while it kills the ranks one
// by one, none of them shall miss the others.
constexpr double gone_for_s = 0.35;
constexpr double turn_to_miss_s = 1.5;  // of one survivor after the other to speak
constexpr double answer_s = 2;          // for a host to answer over the network

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

std::string place_of(const SignOfLife& sign) {
  std::string place = sign.phase;
  if (sign.step != 0) place += fmt::format(" of step {}", sign.step);
  if (sign.bucket >= 0) place += fmt::format(" (bucket {})", sign.bucket);
  if (sign.call != activity::Call::none) place += fmt::format(" ({})", to_string(sign.call));
  return place;
}

Peers::Peers(std::filesystem::path folder, std::vector<WatchedRank> ranks, std::size_t self,
             double beat_s)
    : folder_(std::move(folder)),
      ranks_(std::move(ranks)),
      self_(self),
      beat_s_(beat_s),
      peers_(ranks_.size()) {
  for (std::size_t rank = 0; rank < ranks_.size(); ++rank) {
    const WatchedRank& other = ranks_[rank];
    // Containers may hide the others' processes, or show another one under that number.
    peers_[rank].watched =
        rank != self_ && other.host == ranks_[self_].host && is_alive(other.process);
    peers_[rank].beat_seen = Clock::now();
  }
}

std::optional<SignOfLife> Peers::sign_of(std::size_t rank) const {
  return read_sign(folder_, static_cast<int>(rank));
}

std::optional<std::string> Peers::gone() {
  std::optional<std::size_t> gone;
  double survivors_before_me = 0;
  for (std::size_t rank = 0; rank < peers_.size(); ++rank) {
    Peer& peer = peers_[rank];
    if (!peer.watched) continue;
    if (is_alive(ranks_[rank].process)) {
      if (rank < self_) ++survivors_before_me;
      continue;
    }
    const std::optional<SignOfLife> sign = sign_of(rank);
    // It has ended, or says itself why it fails.
    if (sign ? sign->leaving : job_is_done_) {
      peer.watched = false;
      continue;
    }
    if (peer.gone_since == Clock::time_point::max()) peer.gone_since = Clock::now();
    if (!gone) gone = rank;
  }
  if (!gone ||
      seconds_since(peers_[*gone].gone_since) < gone_for_s + survivors_before_me * turn_to_miss_s) {
    return std::nullopt;
  }
  const std::optional<SignOfLife> sign = sign_of(*gone);
  // One that fails says so itself; its launcher then ends the others.
  if (another_leaves()) return std::nullopt;
  return fmt::format("{} is gone: its process {} was killed{}", name(*gone),
                     ranks_[*gone].process.pid, sign ? ", last in " + place_of(*sign) : "");
}

void Peers::listen() {
  listening_since_ = std::min(listening_since_, Clock::now());
  for (std::size_t rank = 0; rank < peers_.size(); ++rank) {
    const auto sign = sign_of(rank);
    if (!sign || sign->beat == peers_[rank].beat) continue;
    peers_[rank].beat = sign->beat;
    peers_[rank].beat_seen = Clock::now();
  }
}

void Peers::forgive(Clock::duration pause) {
  for (Peer& peer : peers_) peer.beat_seen += pause;
  if (listening_since_ != Clock::time_point::max()) listening_since_ += pause;
}

bool Peers::another_leaves() const {
  for (std::size_t rank = 0; rank < peers_.size(); ++rank) {
    if (rank == self_) continue;
    const auto sign = sign_of(rank);
    if (sign && sign->leaving) return true;
  }
  return false;
}

bool Peers::another_works() const {
  for (std::size_t rank = 0; rank < peers_.size(); ++rank) {
    if (rank == self_) continue;
    const auto sign = sign_of(rank);
    if (!sign || sign->leaving || sign->kind != activity::Kind::work) continue;
    if (sign->seconds < sign->timeout_s && seconds_since(peers_[rank].beat_seen) < 3 * beat_s_)
      return true;
  }
  return false;
}

Peers::Verdict Peers::judge(double timeout_s) const {
  const double silence_s = std::max(timeout_s / 2, 3 * beat_s_);
  if (listening_since_ == Clock::time_point::max() ||
      seconds_since(listening_since_) < silence_s + beat_s_)
    return {.kind = Verdict::Kind::unknown_yet};
  Verdict verdict;
  for (std::size_t rank = 0; rank < peers_.size(); ++rank) {
    if (rank == self_) continue;
    const auto sign = sign_of(rank);
    if (!sign || sign->leaving) continue;  // done, and waiting for the others
    const double silent_s = seconds_since(peers_[rank].beat_seen);
    if (silent_s > silence_s) {
      return {Verdict::Kind::guilty,
              fmt::format("{} gives no sign of life for {:.0f} s, last in {}", name(rank), silent_s,
                          place_of(*sign))};
    }
    if (sign->kind != activity::Kind::work || verdict.kind != Verdict::Kind::nobody) continue;
    if (sign->seconds < sign->timeout_s) {
      verdict.kind = Verdict::Kind::someone_works;
    } else {
      verdict = {Verdict::Kind::guilty, fmt::format("{}: {} has not returned for {:.0f} s",
                                                    name(rank), place_of(*sign), sign->seconds)};
    }
  }
  return verdict;
}

std::string Peers::suspect() const {
  const std::string cut = cut_off();
  if (!cut.empty()) return cut;
  std::vector<std::string> unheard;  // their hosts have other file systems
  for (std::size_t rank = 0; rank < peers_.size(); ++rank)
    if (rank != self_ && !sign_of(rank)) unheard.push_back(name(rank));
  if (!unheard.empty()) return fmt::format("no word from {}", fmt::join(unheard, ", "));
  return "all ranks wait for each other: the network between them may be down";
}

std::string Peers::cut_off() const {
  std::vector<std::size_t> first_ranks;  // of each host
  std::vector<std::vector<std::string>> hosts;
  std::size_t mine = 0;
  for (std::size_t rank = 0; rank < ranks_.size(); ++rank) {
    const auto seen = std::find_if(first_ranks.begin(), first_ranks.end(), [&](std::size_t first) {
      return ranks_[first].host == ranks_[rank].host;
    });
    if (rank == self_) mine = static_cast<std::size_t>(seen - first_ranks.begin());
    if (seen != first_ranks.end()) continue;
    first_ranks.push_back(rank);
    hosts.push_back(ranks_[rank].addresses);
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

}  // namespace dovetail
