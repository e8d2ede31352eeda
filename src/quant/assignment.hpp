// Which FPGA rank evaluates which formats.
#pragma once

#include <cstddef>
#include <optional>

namespace dovetail::quant {

/// Part `index` of `count` equal ones of the test set.
struct Part {
  std::size_t index = 0;
  std::size_t count = 1;
};

/// How many ranks share the test set for a format. Formats are dealt out like cards: with fewer
/// ranks than formats a rank evaluates several, each alone; with more, several ranks share one.
inline std::size_t parts_of_format(std::size_t format, std::size_t formats, std::size_t ranks) {
  if (ranks <= formats) return ranks == 0 ? 0 : 1;
  return ranks / formats + (format < ranks % formats ? 1 : 0);
}

/// The part of the rank at `position` among the `ranks` that serve; nullopt where it has none.
inline std::optional<Part> part_of_format(std::size_t format, std::size_t formats,
                                          std::size_t position, std::size_t ranks) {
  if (ranks <= formats) return format % ranks == position ? std::optional(Part{}) : std::nullopt;
  if (position % formats != format) return std::nullopt;
  return Part{position / formats, parts_of_format(format, formats, ranks)};
}

}  // namespace dovetail::quant
