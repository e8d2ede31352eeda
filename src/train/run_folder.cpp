// Locks a run folder and keeps the status in its summary.json.
#include "train/run_folder.hpp"

#include "support/error.hpp"
#include "support/file.hpp"
#include "support/text.hpp"
#include "train/checkpoint_keeper.hpp"

namespace dovetail {
namespace {

namespace fs = std::filesystem;

/// What summary.json holds; an empty object where it is missing or damaged.
Json summary_in(const fs::path& folder) {
  const fs::path file = folder / "summary.json";
  if (!fs::is_regular_file(file)) return Json::object();
  Json summary = Json::parse(read_file(file), nullptr, false);
  return summary.is_object() ? summary : Json::object();
}

void write_summary(const fs::path& folder, const Json& summary) {
  replace_file_text(folder / "summary.json", dump(summary, 2) + "\n");
}

/// Absolute, without dots or a slash at its end.
fs::path whole(const fs::path& folder) {
  const fs::path path = fs::absolute(folder).lexically_normal();
  return path.has_filename() ? path : path.parent_path();
}

/// Makes the folder; returns the first one on the way that was missing.
fs::path make(const fs::path& folder) {
  fs::path missing;
  std::error_code unknown;
  for (fs::path path = whole(folder); path.has_relative_path() && !fs::exists(path, unknown);
       path = path.parent_path())
    missing = path;
  make_writable_folder(folder);
  return missing;
}

/// Of the newest checkpoint: when it was written. Empty: there is none.
std::string newest_mark(const fs::path& folder) {
  std::error_code missing;
  const fs::file_time_type written = fs::last_write_time(folder / "checkpoint.h5", missing);
  return missing ? "" : fmt::format("{}", written.time_since_epoch().count());
}

}  // namespace

RunFolder::RunFolder(const fs::path& path, const Use& use)
    : made_(make(path)),
      lock_(FileLock::take_for_job(path / ".lock",
                                   fmt::format("the run folder {} is in use", path.string()))) {
  if (!use.resume && !use.overwrite && CheckpointKeeper::any_in(path)) {
    throw UsageError(fmt::format("the run folder {} holds the checkpoints of a run", path.string()),
                     "Give --resume to go on with it, --overwrite to begin anew, or another --out");
  }
  std::error_code ignored;
  fs::remove_all(signs(path), ignored);
  fs::create_directories(signs(path), ignored);
}

void begin_run(const fs::path& folder, bool resume, const Json& run) {
  Json summary = resume ? summary_in(folder) : Json::object();
  summary.update(run);
  // Until the run has a checkpoint of its own, those of another one stay.
  if (!resume) summary["overwrites"] = newest_mark(folder);
  summary["status"] = "running";
  summary.erase("error");
  write_summary(folder, summary);
}

bool is_checkpoint_of(const fs::path& folder, const std::string& slurm_job) {
  const Json summary = summary_in(folder);
  return summary.value("slurm_job", "") == slurm_job &&
         summary.value("overwrites", "") != newest_mark(folder);
}

void discard_run(const fs::path& folder, const fs::path& made) noexcept {
  std::error_code ignored;
  fs::remove_all(RunFolder::signs(folder), ignored);
  if (made.empty()) return;
  fs::remove(folder / ".lock", ignored);
  try {
    // Those that are not empty stay.
    for (fs::path path = whole(folder); fs::remove(path, ignored); path = path.parent_path())
      if (path == made) return;
  } catch (...) {  // out of memory: an empty folder stays
  }
}

void mark_failed(const fs::path& folder, const std::string& why) noexcept {
  try {
    Json summary = summary_in(folder);
    if (summary.value("status", "") != "running") return;
    summary["status"] = "failed";
    summary["error"] = why;
    write_summary(folder, summary);
  } catch (...) {  // the line on standard error says it as well
  }
}

std::string resume_hint(const fs::path& folder) {
  if (!CheckpointKeeper::any_in(folder)) return "There is no checkpoint yet: start it anew";
  return fmt::format("Go on from {} with --resume", (folder / "checkpoint.h5").string());
}

}  // namespace dovetail
