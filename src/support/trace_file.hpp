// Timelines as one file for Perfetto and chrome://tracing.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "support/clock_offset.hpp"
#include "support/json.hpp"
#include "support/timeline.hpp"

namespace dovetail {

/// Writes the object format of Google's "Trace Event Format": a process per rank, a thread per
/// lane, complete events ("X") with times in microseconds since `zero`.
class TraceWriter {
 public:
  using Sink = std::function<void(std::string_view)>;

  /// @param zero_ns of the clock that all recordings are told in.
  TraceWriter(Sink sink, std::int64_t zero_ns);
  /// One rank's recording; `clock` tells its steady_clock (mine) in the common clock (theirs).
  void add(int rank, const std::string& name, const timeline::Recording& recording,
           const ClockLine& clock);
  /// Ends the file with what else there is to say ("otherData").
  void finish(const Json& about);

 private:
  void name(const char* what, int rank, int lane, const std::string& text);
  void span(int rank, const timeline::Recording& recording, const timeline::Span& span,
            const ClockLine& clock);
  /// Separates events, and passes them on where there are many.
  void end_event();

  Sink sink_;
  std::int64_t zero_ns_;
  std::string pending_;
  bool is_first_ = true;
};

/// Replaces `path` atomically by what `write` gives the sink; compressed where it ends in ".gz".
void replace_trace(const std::filesystem::path& path,
                   const std::function<void(const TraceWriter::Sink&)>& write);

}  // namespace dovetail
