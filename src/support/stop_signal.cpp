// Notes signals in atomics; all else is left to those who look.
#include "support/stop_signal.hpp"

#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>

namespace dovetail {
namespace {

constexpr std::array<int, 3> watched{SIGTERM, SIGUSR1, SIGINT};

std::atomic<int> first_signal{0};
std::atomic<bool> hurry{false};
std::atomic<int> interrupts{0};
static_assert(std::atomic<int>::is_always_lock_free);

extern "C" void note_signal(int signal) {
  int none = 0;
  first_signal.compare_exchange_strong(none, signal);
  if (signal == SIGTERM) hurry = true;
  if (signal == SIGINT && interrupts++ > 0) ::_exit(128 + SIGINT);
}

}  // namespace

StopSignal::StopSignal() {
  first_signal = 0;
  hurry = false;
  interrupts = 0;
  for (const int signal : watched) {
    struct sigaction action {};
    action.sa_handler = note_signal;
    action.sa_flags = SA_RESTART;  // a write to a file goes on
    ::sigaction(signal, &action, nullptr);
  }
}

StopSignal::~StopSignal() {
  // A notice can come twice, the second time when the process has stopped for the first and is
  // about to end: that must not look like a death.
  for (const int signal : watched) ::signal(signal, signal == SIGUSR1 ? SIG_IGN : SIG_DFL);
  first_signal = 0;
  hurry = false;
}

int StopSignal::requested() {
  return first_signal;
}

bool StopSignal::must_hurry() {
  return hurry;
}

const char* signal_name(int signal) {
  switch (signal) {
    case SIGTERM:
      return "SIGTERM";
    case SIGUSR1:
      return "SIGUSR1";
    case SIGINT:
      return "SIGINT";
    default:
      return "a signal";
  }
}

}  // namespace dovetail
