// Options of `dovetail train` about GPU ranks of unlike speed.
#pragma once

#include <string>

#include "app/command_line.hpp"
#include "train/trainer.hpp"

namespace dovetail::app {

struct BalanceOptions {
  std::string balance = "equal";

  void add_to(CommandLine& line);
  /// Throws UsageError for what cannot work.
  void apply(TrainSettings& settings) const;
};

/// How often this rank of the job is to compute its gradients: N where the environment has
/// DOVETAIL_SLOW_RANK=RANK:N, which makes a slow device of any, for tests; else 1. Throws
/// UsageError for another text.
int repeats_of(int rank);

}  // namespace dovetail::app
