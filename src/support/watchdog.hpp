// A thread that sees when a rank of the job stalls or is gone, says which one, and ends the job.
//
// Each rank's watchdog watches its own rank's activity and leaves signs of life in a folder that
// the ranks share. A rank whose own work does not return speaks for itself. A rank that waits for
// others looks at their signs: it names one that gives none any more (stopped, its host hung), and
// goes on waiting as long as another rank gets on with its work. Where all wait for each other, it
// asks over the network which host is cut off. Ranks of the same host also see
// when a process is gone, within a second, whatever the launcher does about it.
#pragma once

#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "support/deadman.hpp"
#include "support/lookout.hpp"
#include "support/peers.hpp"
#include "support/signs_of_life.hpp"

namespace dovetail {

struct WatchdogSettings {
  int rank = 0;                    // this one
  std::vector<WatchedRank> ranks;  // of the job, by rank
  double timeout_s = 300;          // without progress
  double beat_s = 5;               // between two signs at least; the same on all ranks
  double hurry_s = 10;  // that a wait may take once SIGTERM has come and no other rank works
  std::filesystem::path folder;  // for the signs of life
  /// Says `line` and ends this process without waiting for anything; called once, in the
  /// watchdog's thread.
  std::function<void(const std::string& line)> end;
  /// The same where the folder's file system does not answer this watchdog: touches no file, and is
  /// called in a thread of its own.
  std::function<void(const std::string& line)> end_without_files;
};

class Watchdog {
 public:
  explicit Watchdog(WatchdogSettings settings);
  /// Leaves a last word, so that nobody misses this rank.
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  /// Once more is known of the ranks: what they are called from now on, by rank.
  void rename(const std::vector<std::string>& names);
  /// Another time limit from now on. Ranks may have different ones.
  void set_timeout(double timeout_s);
  /// What is left is that the ranks end, each when it likes.
  void job_is_done();
  /// Whether another rank, about to end the job, has removed the signs of life.
  bool signs_removed() const { return writer_.removed(); }

 private:
  using Clock = Lookout::Clock;

  bool look(Clock::duration missed);
  void look_at_myself();
  void write_sign();
  void judge_myself(bool at_beat);
  /// Says whom this rank waits for, and ends it.
  void end_because_of(const std::string& who);
  /// Whether another rank has said why the job ends, or is done.
  bool another_leaves() const;
  /// Tells the others that this rank ends, and says itself why.
  void leave_word();
  void end(const std::string& line);
  void end_without_files(double seconds);

  WatchdogSettings settings_;
  std::mutex name_mutex_;  // taken within mutex_, and by who waits for no file
  std::string own_name_;
  Deadman deadman_;
  LifeWriter writer_;
  Peers peers_;
  SignOfLife mine_;
  std::uint64_t count_ = 0, written_count_ = 0;
  Clock::time_point last_progress_, last_beat_, last_written_;

  std::mutex mutex_;
  bool ended_ = false;
  std::optional<Lookout> lookout_;  // last; there once all else is
};

/// How often ranks give signs of life that have at least this much time.
double beat_of(double timeout_s);

}  // namespace dovetail
