// A text table with aligned columns.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "support/text.hpp"

namespace dovetail {

/// One line per row, the head first; every row has as many cells as the head. Columns are two
/// spaces apart, and lines have no spaces at their end. Widths count bytes: cells are ASCII.
inline std::string format_table(const std::vector<std::string>& head,
                                const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::vector<std::string>> lines{head};
  lines.insert(lines.end(), rows.begin(), rows.end());
  std::vector<std::size_t> widths(head.size());
  for (const auto& line : lines) {
    for (std::size_t i = 0; i < head.size(); ++i)
      widths[i] = std::max(widths[i], line.at(i).size());
  }
  std::string text;
  for (const auto& line : lines) {
    for (std::size_t i = 0; i < head.size(); ++i)
      text += fmt::format("{:<{}}  ", line[i], widths[i]);
    text.erase(text.find_last_not_of(' ') + 1);
    text += '\n';
  }
  return text;
}

}  // namespace dovetail
