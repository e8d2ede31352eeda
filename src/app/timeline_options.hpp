// Options of `dovetail train` about its timeline.
#pragma once

#include <string>

#include "app/command_line.hpp"
#include "support/timeline.hpp"

namespace dovetail::app {

struct TimelineOptions {
  std::string file;  // empty: none; "-": standard output
  std::string steps = "1:50";
  timeline::Window window;  // of the steps, once applied

  void add_to(CommandLine& line);
  /// Throws UsageError for what cannot work.
  void apply();
};

}  // namespace dovetail::app
