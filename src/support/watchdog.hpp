// A thread that sees when a rank of the job stalls or is gone, says which one, and ends the job.
//
// Each rank's watchdog watches its own rank's activity and leaves signs of life in a folder that
// the ranks share. A rank whose own work does not return speaks for itself. A rank that waits for
// others looks at their signs: it names one that gives none any more (stopped, its host hung), and
// goes on waiting as long as another rank gets on with its work. Where all wait for each other, it
// asks over the network which host is cut off. Ranks of the same host also see
// when a process is gone, within a second, whatever the launcher does about it.
#pragma once

#include <condition_variable>
#include <filesystem>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "support/signs_of_life.hpp"

namespace dovetail {

/// Of one rank; all ranks have the same list.
struct WatchedRank {
  std::string host;
  std::string device;
  ProcessId process;
  std::vector<std::string> addresses{};  // of its host: own_addresses() there
};

struct WatchdogSettings {
  int rank = 0;                    // this one
  std::vector<WatchedRank> ranks;  // of the job, by rank
  double timeout_s = 300;          // without progress
  std::filesystem::path folder;    // for the signs of life
  /// Says `line` and ends this process without waiting for anything; called once, in the
  /// watchdog's thread.
  std::function<void(const std::string& line)> end;
};

class Watchdog {
 public:
  explicit Watchdog(WatchdogSettings settings);
  /// Leaves a last word, so that nobody misses this rank.
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

 private:
  using Clock = std::chrono::steady_clock;
  /// What is known of another rank.
  struct Peer {
    bool watched = false;  // its process can be seen from here
    Clock::time_point gone_since = Clock::time_point::max();
    std::uint64_t beat = 0;
    Clock::time_point beat_seen{};
  };

  void watch();
  void forget_own_pause();
  void look_at_myself();
  void write_sign();
  void look_for_the_gone();
  void look_at_signs();
  void judge_myself();
  /// Who keeps this rank waiting, or nothing while somebody is at work.
  std::string culprit();
  /// Whose host cannot be reached any more, or nothing.
  std::string cut_off() const;
  /// Whether another rank has said why the job ends, or is done.
  bool another_leaves() const;
  /// Tells the others that this rank ends, and says itself why.
  void leave_word();
  void end(const std::string& line);
  std::string name(std::size_t rank) const;

  WatchdogSettings settings_;
  LifeWriter writer_;
  std::vector<Peer> peers_;
  std::chrono::duration<double> beat_s_;
  SignOfLife mine_;
  std::uint64_t count_ = 0, written_count_ = 0;
  Clock::time_point last_progress_, last_beat_, last_look_, last_written_;

  std::mutex mutex_;
  std::condition_variable wake_;
  bool over_ = false;
  bool ended_ = false;
  std::thread thread_;  // last
};

}  // namespace dovetail
