// A run folder's checkpoints: the newest, the few before it, and the best.
//
//   RUN/checkpoint.h5               the newest
//   RUN/checkpoints/step-000469.h5  the last K, the newest among them
//   RUN/best.h5                     the one with the highest test accuracy
//
// Equal ones are one file with several names (hard links), so K + 1 checkpoints are on the disk at
// most.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "train/checkpoint.hpp"

namespace dovetail {

/// Lives on the lead rank alone, which has the run folder to itself.
class CheckpointKeeper {
 public:
  /// @param keep  K, at least 1.
  /// @param anew  a new training: what an earlier one left goes when the first checkpoint is saved.
  CheckpointKeeper(std::filesystem::path folder, std::size_t keep, bool anew);

  /// Whether a run has left checkpoints in a folder.
  static bool any_in(const std::filesystem::path& folder);

  struct Found {
    Checkpoint checkpoint;
    std::filesystem::path path;
  };
  /// The newest that is undamaged, with a warning where it is not the newest of all. Throws Error
  /// naming the newest where there is none.
  Found newest() const;

  /// Saves, verifies, and lets go of what need not be kept. Throws Error.
  void save(const Checkpoint& checkpoint);

  std::filesystem::path newest_path() const { return folder_ / "checkpoint.h5"; }

 private:
  struct Numbered {
    std::uint64_t step = 0;
    std::filesystem::path path;
  };
  /// Those in checkpoints/, newest first.
  std::vector<Numbered> numbered() const;
  std::filesystem::path best_path() const { return folder_ / "best.h5"; }
  void keep_if_best(const Checkpoint& checkpoint, const std::filesystem::path& file);
  void let_go(std::uint64_t newest_step);

  std::filesystem::path folder_;
  std::size_t keep_;
  bool anew_;
  std::optional<double> best_;  // accuracy of best.h5, once it is known
};

}  // namespace dovetail
