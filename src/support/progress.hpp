// A progress bar with rate and time left on a terminal; a plain line now and then elsewhere.
#pragma once

#include <cstddef>
#include <string>

#include "support/clock.hpp"

namespace dovetail {

class Progress {
 public:
  /// @param title what is under way, for example "epoch 1/3".
  /// @param total number of units that make it complete.
  /// @param unit  plural noun of one unit, for example "samples".
  Progress(std::string title, std::size_t total, std::string unit);

  /// Reports that `done` units are complete, with a remark such as "loss 0.412". Cheap enough for
  /// every step: it draws at most ten times a second on a terminal and every ten seconds elsewhere.
  void update(std::size_t done, const std::string& remark);

  /// Takes the bar off the terminal, so that a result line can stand in its place.
  void clear();

 private:
  std::string title_;
  std::size_t total_;
  std::string unit_;
  bool terminal_;
  bool drawn_ = false;
  Stopwatch since_start_;
  Stopwatch since_draw_;
};

}  // namespace dovetail
