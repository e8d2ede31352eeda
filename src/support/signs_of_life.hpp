// What each rank of a job says of itself while it works: a small file a rank, in a folder that the
// hosts share.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "support/activity.hpp"

namespace dovetail {

/// One rank's latest word.
struct SignOfLife {
  std::uint64_t beat = 0;  // of its watchdog; stands still where the whole process does
  activity::Kind kind = activity::Kind::idle;
  std::uint64_t step = 0;
  double seconds = 0;    // without progress
  double timeout_s = 0;  // how many of these it may take now
  bool leaving = false;
  std::int32_t bucket = -1;  // of gradients that it waits for; -1: none
  activity::Call call = activity::Call::none;
  std::string phase = "start";  // one word
};

/// Writes this rank's file in place: one write(2) of 128 bytes, never synced to a local disk.
class LifeWriter {
 public:
  LifeWriter(const std::filesystem::path& folder, int rank);
  ~LifeWriter();
  LifeWriter(const LifeWriter&) = delete;
  LifeWriter& operator=(const LifeWriter&) = delete;
  /// For the other ranks of this host; those of others may see it half a minute later. Says nothing
  /// where the file cannot be written: a watchdog ends no job over that.
  void write(const SignOfLife& sign) const;
  /// Has other hosts that open the file from now on see what was written: on a network file system
  /// waits for its server, else for nothing.
  void hand_over() const;
  /// Whether the file was there and has been removed: by a rank that ends the job.
  bool removed() const;

 private:
  int file_ = -1;
};

/// nullopt where there is no such file, or no whole line in it.
std::optional<SignOfLife> read_sign(const std::filesystem::path& folder, int rank);

/// Whether this rank is the first one of the job to ask: the one to say why it fails. True too
/// where the folder cannot tell. Never throws.
bool is_first_to_fail(const std::filesystem::path& folder) noexcept;

/// A process of this host. A number alone may be another's by now; its start tells them apart.
struct ProcessId {
  std::int64_t pid = 0;
  std::uint64_t started = 0;  // in clock ticks since the host's start
};
ProcessId this_process();
/// False for one that has ended, reaped or not, and for one that this process cannot see.
bool is_alive(const ProcessId& process);

}  // namespace dovetail
