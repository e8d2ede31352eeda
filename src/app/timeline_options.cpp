// A file, and a range of steps.
#include "app/timeline_options.hpp"

#include <charconv>
#include <filesystem>
#include <limits>

#include "support/error.hpp"
#include "support/log.hpp"
#include "support/text.hpp"

namespace dovetail::app {
namespace {

/// "A:B", "A:" (to the end), ":B" (from the first); false for anything else.
bool parse_window(const std::string& text, timeline::Window& window) {
  const std::size_t colon = text.find(':');
  if (colon == std::string::npos || text.size() == 1) return false;
  const auto number = [](const std::string& word, std::uint64_t& value) {
    if (word.empty()) return true;
    const char* end = word.data() + word.size();
    const auto [stopped, failure] = std::from_chars(word.data(), end, value);
    return failure == std::errc() && stopped == end;
  };
  window = {1, std::numeric_limits<std::uint64_t>::max()};
  return number(text.substr(0, colon), window.first) &&
         number(text.substr(colon + 1), window.last) && window.first >= 1 &&
         window.first <= window.last;
}

}  // namespace

void TimelineOptions::add_to(CommandLine& line) {
  line.add("timeline", file,
           "write what all ranks do when, for Perfetto or chrome://tracing; compressed where it "
           "ends in .gz; `-` is standard output");
  line.add("timeline-steps", steps,
           "A:B, the first and the last step that the timeline shows in detail (kernels, copies, "
           "sums, input); A: to the end. What lasts for many steps is shown throughout");
}

void TimelineOptions::apply() {
  if (!parse_window(steps, window)) {
    throw UsageError(fmt::format("--timeline-steps {} is no range of steps", steps),
                     "Give the first and the last, such as 1:50, or the first alone, such as 100:");
  }
  if (file.empty() && steps != TimelineOptions{}.steps) {
    throw UsageError("--timeline-steps has no effect without --timeline",
                     "Leave it out, or give both");
  }
  if (file == "-") log::keep_output_for_document();
  std::error_code ignored;
  if (!file.empty() && std::filesystem::is_directory(file, ignored))
    throw UsageError(fmt::format("--timeline {} is a folder", file), "Name a file in it");
}

}  // namespace dovetail::app
