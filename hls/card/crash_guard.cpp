// Catches the signals of a faulting kernel on the thread that runs it, and leaves all others to
// whoever had them.
#include "card/crash_guard.hpp"

#include <csetjmp>
#include <csignal>
#include <exception>
#include <mutex>

namespace dovetail::card {
namespace {

constexpr int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};

thread_local sigjmp_buf* way_out = nullptr;
struct sigaction previous[NSIG];

void on_signal(int signal, siginfo_t* info, void* context) {
  if (way_out != nullptr) siglongjmp(*way_out, signal);
  const struct sigaction& before = previous[signal];
  if (before.sa_flags & SA_SIGINFO) {
    before.sa_sigaction(signal, info, context);
  } else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
    before.sa_handler(signal);
  } else {
    sigaction(signal, &before,
              nullptr);  // the faulting instruction runs again and ends the process
  }
}

void install_handlers() {
  struct sigaction action {};
  action.sa_sigaction = on_signal;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  sigemptyset(&action.sa_mask);
  for (const int signal : signals) sigaction(signal, &action, &previous[signal]);
}

const char* describe(int signal) {
  switch (signal) {
    case SIGSEGV:
    case SIGBUS:
      return "it touched memory outside its buffers";
    case SIGFPE:
      return "it divided by zero";
    default:
      return "it ran an instruction that this processor does not have";
  }
}

}  // namespace

std::string guarded(const std::function<void()>& call) {
  static std::once_flag installed;
  std::call_once(installed, install_handlers);
  sigjmp_buf here;
  // No mask to save: SA_NODEFER leaves it as it is, and the launch stays free of a system call.
  if (const int signal = sigsetjmp(here, 0)) {
    way_out = nullptr;
    return describe(signal);
  }
  way_out = &here;
  std::string problem;
  try {
    call();
  } catch (const std::exception& failure) {
    problem = std::string("it threw: ") + failure.what();
  } catch (...) {
    problem = "it threw something unknown";
  }
  way_out = nullptr;
  return problem;
}

}  // namespace dovetail::card
