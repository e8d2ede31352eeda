// How this room waits. Only its .cpp files include it.
#pragma once

#include <sched.h>

#include <chrono>
#include <thread>

#include "support/clock.hpp"

namespace dovetail {

/// Until `done()`. On a host with more ranks than cores, a core that waits is a core that a
/// straggler needs; a scheduler that is fair to all threads gives a yielding waiter its turn again
/// and again, so after a while only sleep helps.
template <typename Done>
void wait_politely(const Done& done) {
  constexpr int spins = 100;  // tests before the core is offered to others: some 10 µs
  constexpr double yielding_s =
      1e-3;  // then naps, whose 50 µs (100 with the timer's slack) no longer weigh
  constexpr std::chrono::microseconds nap{50};
  for (int i = 0; i < spins; ++i) {
    if (done()) return;
  }
  const Stopwatch watch;
  while (!done()) {
    if (watch.seconds() < yielding_s) {
      sched_yield();
    } else {
      std::this_thread::sleep_for(nap);
    }
  }
}

}  // namespace dovetail
