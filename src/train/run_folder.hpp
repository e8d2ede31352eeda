// A run's folder: whose it is, and what summary.json says of the run before it has ended.
#pragma once

#include <filesystem>
#include <string>

#include "support/file_lock.hpp"
#include "support/json.hpp"

namespace dovetail {

/// Held by the lead rank as long as the job lives. While the run goes on, summary.json has the
/// status "running"; who ends it writes another: "done", "interrupted" or "failed".
class RunFolder {
 public:
  struct Use {
    bool resume = false;     // go on with the run that is there
    bool overwrite = false;  // begin anew, whatever is there
  };
  /// Makes the folder where it is missing and locks it against other jobs. Throws Error where
  /// another job has it or it cannot be written, and UsageError where it holds checkpoints that
  /// training anew would replace.
  RunFolder(std::filesystem::path path, const Use& use, const Json& run);

  /// Where ranks leave their signs of life.
  std::filesystem::path signs() const { return path_ / ".ranks"; }
  /// The job has ended in good order: removes the signs of life.
  void tidy();

 private:
  std::filesystem::path path_;
  FileLock lock_;
};

/// Whether this rank is the first one of the running job to ask: the one to say why it fails. True
/// too where the folder cannot tell; never throws.
bool is_first_to_fail(const std::filesystem::path& folder) noexcept;

/// Writes that the run in this folder has failed and why, where it says that it is running. Any
/// rank may call it; never throws.
void mark_failed(const std::filesystem::path& folder, const std::string& why) noexcept;

/// "Resume from RUN/checkpoint.h5 with --resume", or that there is none.
std::string resume_hint(const std::filesystem::path& folder);

}  // namespace dovetail
