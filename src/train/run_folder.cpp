// Locks a run folder and keeps the status in its summary.json.
#include "train/run_folder.hpp"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "support/clock.hpp"
#include "support/error.hpp"
#include "support/file.hpp"
#include "support/text.hpp"
#include "train/checkpoint_keeper.hpp"

namespace dovetail {
namespace {

namespace fs = std::filesystem;

/// What stands in the lock file for the people whose job finds it taken.
std::string this_job() {
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  const char* slurm = std::getenv("SLURM_JOB_ID");
  return fmt::format("process {} on {}{}, since {}", ::getpid(), host.data(),
                     slurm ? fmt::format(" (Slurm job {})", slurm) : "", utc_now());
}

FileLock lock(const fs::path& folder) {
  const fs::path file = folder / ".lock";
  if (std::optional<FileLock> lock = FileLock::take(file, this_job())) return std::move(*lock);
  throw Error(fmt::format("the run folder {} is in use by another job: {}", folder.string(),
                          FileLock::holder(file)),
              "Wait for its end, or give another --out");
}

/// What summary.json holds; an empty object where it is missing or damaged.
Json summary_in(const fs::path& folder) {
  const fs::path file = folder / "summary.json";
  if (!fs::is_regular_file(file)) return Json::object();
  Json summary = Json::parse(read_file(file), nullptr, false);
  return summary.is_object() ? summary : Json::object();
}

void write_summary(const fs::path& folder, const Json& summary) {
  replace_file_text(folder / "summary.json", summary.dump(2) + "\n");
}

const fs::path& made(const fs::path& folder) {
  make_writable_folder(folder);
  return folder;
}

}  // namespace

RunFolder::RunFolder(fs::path path, const Use& use, const Json& run)
    : path_(std::move(path)), lock_(lock(made(path_))) {
  if (!use.resume && !use.overwrite && CheckpointKeeper::any_in(path_)) {
    throw UsageError(
        fmt::format("the run folder {} holds the checkpoints of a run", path_.string()),
        "Give --resume to go on with it, --overwrite to begin anew, or another --out");
  }
  Json summary = use.resume ? summary_in(path_) : Json::object();
  summary.update(run);
  summary["status"] = "running";
  summary.erase("error");
  write_summary(path_, summary);
  std::error_code ignored;
  fs::remove_all(signs(), ignored);
  fs::create_directories(signs(), ignored);
}

void RunFolder::tidy() {
  std::error_code ignored;
  fs::remove_all(signs(), ignored);
}

bool is_first_to_fail(const fs::path& folder) noexcept {
  try {
    std::FILE* file = std::fopen((folder / ".ranks" / "failure").c_str(), "wx");
    if (file == nullptr) return errno != EEXIST;
    std::fclose(file);
  } catch (...) {  // out of memory: both speak
  }
  return true;
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
