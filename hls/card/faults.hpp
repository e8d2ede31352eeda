// Faults on demand, so that tests see what a failing card does to the job.
//
// DOVETAIL_CARD_FAULT lists them: "fail:3" ends the third launch with an error, "hang:1" never ends
// the first one, "alloc:2" refuses the second buffer, "corrupt:1" flips a bit of the first
// readback, "gone:5" loses the card at the fifth launch. "load:1" never ends the first loading of
// an xclbin, "write:2" the second transfer to the card and "read:3" the third one back, as a driver
// that hangs: no time limit of XRT's ends these. "silent:2" ends the second launch without telling
// who waits for one to end: a lost interrupt. Several are separated by commas. They count from
// the opening of a card.
#pragma once

#include <array>
#include <atomic>
#include <string>

namespace dovetail::card {

enum class Fault { fail, hang, alloc, corrupt, gone, load, write, read, silent };

class Faults {
 public:
  Faults() = default;
  /// Throws Refusal when the text is no list of faults.
  explicit Faults(const std::string& text);

  /// Counts one occasion for `fault`; true when it is the one to go wrong.
  bool strikes(Fault fault);
  /// The same, and never returns when it is.
  void hang_at(Fault fault);

 private:
  struct Counter {
    std::atomic<long> left{0};  // occasions until it strikes; 0: never
  };
  std::array<Counter, 9> counters_;
};

}  // namespace dovetail::card
