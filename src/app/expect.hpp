// What a command's options must satisfy.
#pragma once

#include <cmath>
#include <string>

#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail::app {

/// Throws UsageError with these two where it does not hold.
inline void expect(bool holds, const std::string& problem, const std::string& remedy) {
  if (!holds) throw UsageError(problem, remedy);
}

/// Of an option that says how long a kernel may take.
inline void expect_timeout(const char* option, double seconds) {
  expect(seconds > 0 && std::isfinite(seconds),
         fmt::format("--{} {} is not a positive time", option, seconds),
         "Give seconds, such as 30");
}

/// Of --bucket-mb, whose bytes are to be counted.
inline void expect_bucket_size(double mebibytes) {
  constexpr double most = 1 << 20;
  expect(mebibytes >= 0 && mebibytes <= most, fmt::format("--bucket-mb {} is no size", mebibytes),
         "Give MiB, such as 1");
}

}  // namespace dovetail::app
