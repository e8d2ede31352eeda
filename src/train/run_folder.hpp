// A run's folder: whose it is, and what summary.json says of the run before it has ended.
#pragma once

#include <filesystem>
#include <string>

#include "support/file_lock.hpp"
#include "support/json.hpp"

namespace dovetail {

/// A job's hold on the folder, before it changes anything in it. Held by one rank as long as the
/// job lives.
class RunFolder {
 public:
  struct Use {
    bool resume = false;     // go on with the run that is there
    bool overwrite = false;  // begin anew, whatever is there
  };
  /// Makes the folder where it is missing, locks it against other jobs and empties its signs().
  /// Throws Error where another job has it or it cannot be written, and UsageError where it holds
  /// checkpoints that training anew would replace.
  RunFolder(const std::filesystem::path& path, const Use& use);

  /// Where ranks leave their signs of life.
  static std::filesystem::path signs(const std::filesystem::path& path) { return path / ".ranks"; }
  /// The first folder on the way to this one that was missing; empty where none was.
  const std::filesystem::path& made() const { return made_; }

 private:
  std::filesystem::path made_;
  FileLock lock_;
};

/// The run begins, or goes on: summary.json says so, with the status "running". Who ends it writes
/// another: "done", "interrupted" or "failed".
void begin_run(const std::filesystem::path& folder, bool resume, const Json& run);

/// Whether the folder's newest checkpoint is of the Slurm job of that number, restarted or not,
/// rather than of a run that it was to overwrite: what `run` said of it as "slurm_job".
bool is_checkpoint_of(const std::filesystem::path& folder, const std::string& slurm_job);

/// Removes what RunFolder has left where the job has not begun. `made` as it said; any rank may
/// call it, of a job that ends. Never throws.
void discard_run(const std::filesystem::path& folder, const std::filesystem::path& made) noexcept;

/// Writes that the run in this folder has failed and why, where it says that it is running. Any
/// rank may call it; never throws.
void mark_failed(const std::filesystem::path& folder, const std::string& why) noexcept;

/// "Go on from RUN/checkpoint.h5 with --resume", or that there is no checkpoint yet.
std::string resume_hint(const std::filesystem::path& folder);

}  // namespace dovetail
