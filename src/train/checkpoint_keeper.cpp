// Names, links and removes checkpoint files.
#include "train/checkpoint_keeper.hpp"

#include <algorithm>
#include <charconv>

#include "support/error.hpp"
#include "support/file.hpp"
#include "support/log.hpp"
#include "support/text.hpp"

namespace dovetail {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view prefix = "step-", extension = ".h5";

/// 469 of "step-000469.h5".
std::optional<std::uint64_t> step_of(const std::string& name) {
  if (!name.starts_with(prefix) || !name.ends_with(extension)) return std::nullopt;
  const char* end = name.data() + name.size() - extension.size();
  std::uint64_t step = 0;
  const auto parsed = std::from_chars(name.data() + prefix.size(), end, step);
  return parsed.ec == std::errc{} && parsed.ptr == end ? std::optional(step) : std::nullopt;
}

/// Files in `folder`; none where it is no folder.
std::vector<fs::path> files_in(const fs::path& folder) {
  std::error_code missing;
  std::vector<fs::path> files;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, missing))
    files.push_back(entry.path());
  return files;
}

/// What a process that was killed while it wrote has left aside.
void remove_parts(const fs::path& folder) {
  std::error_code ignored;
  for (const fs::path& file : files_in(folder)) {
    if (file.extension() == ".part") fs::remove(file, ignored);
  }
}

bool same_file(const fs::path& a, const fs::path& b) {
  std::error_code missing;
  return fs::equivalent(a, b, missing);
}

}  // namespace

CheckpointKeeper::CheckpointKeeper(fs::path folder, std::size_t keep, bool anew)
    : folder_(std::move(folder)), keep_(keep), anew_(anew) {
  remove_parts(folder_);
  remove_parts(folder_ / "checkpoints");
  if (anew_ || !fs::exists(best_path())) return;
  try {
    best_ = load_checkpoint(best_path()).test_accuracy;
  } catch (const Error&) {
    best_.reset();  // the next one is better than a damaged one
  }
}

bool CheckpointKeeper::any_in(const fs::path& folder) {
  if (fs::exists(folder / "checkpoint.h5")) return true;
  const std::vector<fs::path> files = files_in(folder / "checkpoints");
  return std::any_of(files.begin(), files.end(), [](const fs::path& file) {
    return step_of(file.filename().string()).has_value();
  });
}

std::vector<CheckpointKeeper::Numbered> CheckpointKeeper::numbered() const {
  std::vector<Numbered> found;
  for (const fs::path& file : files_in(folder_ / "checkpoints")) {
    if (const auto step = step_of(file.filename().string())) found.push_back({*step, file});
  }
  std::sort(found.begin(), found.end(),
            [](const Numbered& a, const Numbered& b) { return a.step > b.step; });
  return found;
}

CheckpointKeeper::Found CheckpointKeeper::newest() const {
  std::vector<fs::path> candidates{newest_path()};
  for (const Numbered& older : numbered()) {
    if (!same_file(older.path, newest_path())) candidates.push_back(older.path);
  }
  if (fs::exists(best_path()) && !same_file(best_path(), newest_path()))
    candidates.push_back(best_path());
  std::string damage;
  for (const fs::path& candidate : candidates) {
    try {
      Found found{read_checkpoint(candidate), candidate};
      if (!damage.empty()) {
        log::warn(fmt::format("{}; going on from the one before, {} of step {}", damage,
                              candidate.string(), found.checkpoint.step));
      }
      return found;
    } catch (const Error& failure) {
      if (damage.empty()) damage = failure.what();
    }
  }
  throw Error(damage, "Give an undamaged checkpoint.h5, or train anew");
}

void CheckpointKeeper::save(const Checkpoint& checkpoint) {
  const fs::path folder = folder_ / "checkpoints";
  const fs::path file = folder / fmt::format("{}{:06}{}", prefix, checkpoint.step, extension);
  fs::create_directories(folder);
  save_checkpoint(file, checkpoint);
  replace_by_link(newest_path(), file);
  if (anew_) {
    std::error_code ignored;
    for (const Numbered& old : numbered()) {
      if (old.step != checkpoint.step) fs::remove(old.path, ignored);
    }
    fs::remove(best_path(), ignored);
    anew_ = false;
  }
  keep_if_best(checkpoint, file);
  let_go(checkpoint.step);
}

void CheckpointKeeper::keep_if_best(const Checkpoint& checkpoint, const fs::path& file) {
  if (!checkpoint.test_accuracy || (best_ && *checkpoint.test_accuracy <= *best_)) return;
  replace_by_link(best_path(), file);
  best_ = checkpoint.test_accuracy;
}

void CheckpointKeeper::let_go(std::uint64_t newest_step) {
  std::size_t kept = 0;
  for (const Numbered& file : numbered()) {
    // Later ones are of a training that went further, and had to come back to an earlier step.
    if (file.step > newest_step || kept++ < keep_) continue;
    std::error_code failure;
    fs::remove(file.path, failure);
    if (failure)
      log::warn(fmt::format("cannot remove {}: {}", file.path.string(), failure.message()));
  }
}

}  // namespace dovetail
