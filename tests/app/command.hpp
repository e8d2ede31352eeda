// Runs a program as a person would, with a limit on its time, and shows how it ended.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace dovetail::testing {

using Words = std::vector<std::string>;

/// How a command ended.
struct Outcome {
  int exit_code = -1;        // -1 where a signal ended it
  bool timed_out = false;    // it was killed, with all its children
  bool left_behind = false;  // processes of it outlived it by seconds; they were killed
  double seconds = 0;
  std::string out, err;

  /// Everything, for the message of a failed check.
  std::string text() const;
};

std::vector<std::string> lines_of(const std::string& text);
/// Lines of standard error that begin with `prefix`.
std::vector<std::string> errors_beginning(const Outcome& outcome, const std::string& prefix);

class Command {
 public:
  explicit Command(Words words) : words_(std::move(words)) {}

  Command& with(const std::string& variable, const std::string& value) {
    environment_[variable] = value;
    return *this;
  }

  /// Runs it to its end or until the time is up. A process that is left without its parent becomes
  /// a child of this one, so that none escapes.
  Outcome run(double limit_s) const;

 private:
  [[noreturn]] void become(int out, int err) const;

  Words words_;
  std::map<std::string, std::string> environment_;
};

/// `dovetail` with these arguments, on its own.
Command dovetail(const Words& arguments);
/// The same under mpirun. `launcher` stands between the two, for example a shell that limits a
/// rank.
Command dovetail_job(int ranks, const Words& arguments, const Words& launcher = {});

/// What a time limit is multiplied with: more than 1 where sanitizers slow everything down.
inline constexpr double patience = DOVETAIL_TEST_PATIENCE;

}  // namespace dovetail::testing
