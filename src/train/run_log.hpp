// run.jsonl: one JSON object a line for each event of a run.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>

#include "support/json.hpp"

namespace dovetail {

/// Only the lead rank has one. Every event carries "event" and "time" (UTC) first.
class RunLog {
 public:
  /// Starts the file anew, or appends to it when resuming (a line that a crash left unfinished is
  /// dropped).
  RunLog(const std::filesystem::path& path, bool append);

  /// Throws Error when the line cannot be written (the disk is full).
  void event(const std::string& name, const Json& fields);

 private:
  std::filesystem::path path_;
  std::ofstream out_;
};

}  // namespace dovetail
