// Chooses among kernels by measurement, once per device, driver, shape and format, and remembers
// the choice.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "device/opencl/device.hpp"
#include "support/file_lock.hpp"
#include "support/json.hpp"

namespace dovetail::plan {

/// No candidate's result is right.
class NothingComputes : public Error {
 public:
  using Error::Error;
};

/// What a problem's name ends with where only kernels are candidates that give the same bits: their
/// choice is none among all.
inline const char* remark_of(bool same_bits) {
  return same_bits ? ", in one order" : "";
}

/// A problem is a name that says all that a choice depends on but the device: "dense 784->256, 64
/// rows, float32, forward".
class Tuner {
 public:
  enum class Memory { use, renew };
  /// Remembers in device.cache(), where there is one. Memory::renew: what was remembered before is
  /// not looked at, but measured anew and replaced. `patience_s`: how long another process that
  /// measures is waited for; one that takes longer has stopped, and no other is waited for then.
  explicit Tuner(opencl::Device& device, Memory memory = Memory::use, double patience_s = 120)
      : device_(device), memory_(memory), patience_s_(patience_s) {}

  /// `cost`: a guess, in any unit. What is guessed to take several times as long as the best is not
  /// tried, unless nothing else computes rightly.
  struct Candidate {
    std::string name;
    double cost = 1;
  };
  /// A candidate on the problem's operands. `enqueue` only enqueues. `fault`, called after the
  /// first run, holds the result against the twin: what is wrong with it, or nothing.
  struct Trial {
    std::function<void()> enqueue;
    std::function<std::string()> fault;
  };

  /// The candidate to use: the fastest whose results are right, where the first one is preferred to
  /// others that are hardly faster; one alone is checked, too. A candidate that throws Error or is
  /// at fault is out, with a line; but where one lacks memory its OutOfMemory ends the choice,
  /// since what is chosen without it would be remembered. What this tuner has chosen before stays
  /// so. Throws NothingComputes where none is left.
  std::size_t choose(const std::string& problem, const std::vector<Candidate>& candidates,
                     const std::function<Trial(std::size_t candidate)>& prepare);

  enum class Origin { only, measured, remembered, told };
  struct Choice {
    std::string problem;
    std::string kernels{};
    Origin origin = Origin::only;
    std::map<std::string, double> seconds{};  // by candidate, of those that were measured
  };
  /// In the order of choosing.
  const std::vector<Choice>& choices() const { return choices_; }
  /// {problem: kernels}, for run.jsonl.
  Json to_json() const;
  /// A table: problem, kernels, where the choice is from, times.
  std::string to_text() const;

  /// The same in full, with where each is from and the times: an array.
  Json details() const;
  /// The choices, for a process with the same device; it need not measure then.
  std::string tell() const;
  void listen(const std::string& told);

 private:
  std::string device_text() const;
  CacheFolder::Label label(const std::string& problem) const;
  /// Processes of a host that share a cache measure one after the other, a problem at a time: under
  /// each other's load they would measure that. Never held while another rank is waited for.
  struct Turn {
    std::optional<FileLock> lock{};  // none where there is no cache, or none can be had
    bool waited = false;
  };
  /// Without a turn where `is_known` says, while it waits, that there is nothing to measure, and
  /// where patience ends.
  Turn await_turn(const std::string& problem, const std::function<bool()>& is_known);
  /// Of the first `plausible` ones in that order, or, where none of those is right, the others.
  std::size_t measure(Choice& choice, const std::vector<Candidate>& candidates,
                      const std::vector<std::size_t>& in_order, std::size_t plausible,
                      const std::function<Trial(std::size_t)>& prepare);

  opencl::Device& device_;
  Memory memory_;
  double patience_s_;
  bool gave_up_ = false;  // waiting for other processes
  std::vector<Choice> choices_;
  std::map<std::string, std::string> told_;
};

const char* to_string(Tuner::Origin origin);

}  // namespace dovetail::plan
