// The two kinds of failure that end a job, each with what went wrong and what to do about it.
#pragma once

#include <stdexcept>
#include <string>

namespace dovetail {

/// Something failed: a file, a device, a peer. `main` prints one line and ends the whole job with
/// exit code 1.
class Error : public std::runtime_error {
 public:
  /// @param problem what went wrong, naming the file, device or option.
  /// @param remedy  what the user can do; empty where nothing useful can be said.
  explicit Error(const std::string& problem, const std::string& remedy = "")
      : std::runtime_error(remedy.empty() ? problem : problem + ". " + remedy) {}
};

/// The command line or the configuration asks for something impossible; exit code 2.
class UsageError : public Error {
 public:
  using Error::Error;
};

}  // namespace dovetail
