// What a command's options must satisfy.
#pragma once

#include <string>

#include "support/error.hpp"

namespace dovetail::app {

/// Throws UsageError with these two where it does not hold.
inline void expect(bool holds, const std::string& problem, const std::string& remedy) {
  if (!holds) throw UsageError(problem, remedy);
}

}  // namespace dovetail::app
