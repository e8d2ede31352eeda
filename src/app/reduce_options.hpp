// Options of `dovetail train` about the sums over the ranks.
#pragma once

#include <cstdint>
#include <string>

#include "app/command_line.hpp"
#include "train/trainer.hpp"

namespace dovetail::app {

struct ReduceOptions {
  double bucket_mb =
      static_cast<double>(TrainSettings{}.bucket_bytes) / static_cast<double>(1 << 20);
  bool no_overlap = false;
  bool deterministic = false;
  std::uint64_t chunks = 4;
  std::string compression = "none";
  std::string reduce = "hosts";

  void add_to(CommandLine& line);
  /// Throws UsageError for what cannot work.
  void apply(TrainSettings& settings) const;
};

}  // namespace dovetail::app
