// What one rank's watchdog knows of the other ranks: who is gone, who is silent, who is at work,
// and which host is cut off.
//
// Not thread-safe: the watchdog's thread alone uses it.
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "support/signs_of_life.hpp"

namespace dovetail {

/// Of one rank; all ranks have the same list.
struct WatchedRank {
  std::string name;  // "rank 3 on fpga1 (card 0)"
  std::string host;
  ProcessId process;
  std::vector<std::string> addresses{};  // of its host: own_addresses() there
};

class Peers {
 public:
  /// `folder` holds the signs of `ranks`, of which `self` is this one. Each gives a sign at least
  /// every `beat_s`.
  Peers(std::filesystem::path folder, std::vector<WatchedRank> ranks, std::size_t self,
        double beat_s);

  const std::string& name(std::size_t rank) const { return ranks_[rank].name; }
  const std::string& own_name() const { return ranks_[self_].name; }
  void rename(std::size_t rank, std::string name) { ranks_[rank].name = std::move(name); }

  /// Who of this host is gone without a word, for long enough that this rank is to say so: one
  /// survivor after the other.
  std::optional<std::string> gone();
  /// The job is done but for its processes' end. Who leaves no signs here (its host has another
  /// file system than the one that made the folder) is not missed any more.
  void job_is_done() { job_is_done_ = true; }
  /// Looks who has given a sign of life since. Reads a file of each rank.
  void listen();
  /// Nobody waits for others any more: when listen() is next called, it begins to listen.
  void stop_listening() { listening_since_ = Clock::time_point::max(); }
  /// Nobody has missed a beat in `pause`: this process was stopped itself.
  void forgive(std::chrono::steady_clock::duration pause);
  /// Whether another rank has said why the job ends, or is done.
  bool another_leaves() const;
  /// Whether another rank, not silent for more than three beats, is at work within its time.
  bool another_works() const;

  /// Who keeps a rank waiting that has no patience for more than `timeout_s` of silence.
  struct Verdict {
    enum class Kind { unknown_yet, someone_works, guilty, nobody } kind = Kind::nobody;
    std::string who{};  // that is guilty, and of what
  };
  /// unknown_yet: it has not listened for long enough to tell who is silent.
  Verdict judge(double timeout_s) const;
  /// Where nobody is guilty: whose host cannot be reached any more, or from whom there is no word.
  /// Takes seconds where hosts do not answer.
  std::string suspect() const;

 private:
  using Clock = std::chrono::steady_clock;
  struct Peer {
    bool watched = false;  // its process can be seen from here
    Clock::time_point gone_since = Clock::time_point::max();
    std::uint64_t beat = 0;
    Clock::time_point beat_seen{};
  };

  std::optional<SignOfLife> sign_of(std::size_t rank) const;
  std::string cut_off() const;

  std::filesystem::path folder_;
  std::vector<WatchedRank> ranks_;
  std::size_t self_;
  double beat_s_;
  bool job_is_done_ = false;
  Clock::time_point listening_since_ = Clock::time_point::max();
  std::vector<Peer> peers_;
};

/// "all-reduce of step 12 (bucket 3)".
std::string place_of(const SignOfLife& sign);

}  // namespace dovetail
