// The epoch under way, as its lead rank reports it.
#pragma once

#include <cstdint>

#include "support/clock.hpp"
#include "support/progress.hpp"

namespace dovetail {

struct EpochWatch {
  std::uint64_t epoch = 0;
  std::uint64_t first = 0;    // of its steps, those of an earlier job included
  double samples_before = 0;  // of the epoch, by an earlier job
  Progress progress;
  Stopwatch watch;
  double aside_s = 0;  // for checkpoints and validation
};

}  // namespace dovetail
