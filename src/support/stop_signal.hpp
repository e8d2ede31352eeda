// Signals that ask this process to stop in good order: SIGTERM, SIGUSR1 (Slurm's notice), SIGINT.
#pragma once

namespace dovetail {

/// While one lives, these signals are noted instead of ending the process. Whoever works looks at
/// requested() now and then. A second SIGINT, a person's Ctrl-C, ends the process at once; of
/// SIGTERM and SIGUSR1 launchers send several. Behind the last one's life SIGUSR1 is ignored: it
/// asks for nothing that an ending process could do. One per process.
class StopSignal {
 public:
  StopSignal();
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  /// The first signal that came, or 0. Any thread may ask.
  static int requested();
  /// Whether SIGTERM came: who sends it kills the process if it does not end soon.
  static bool must_hurry();
};

/// "SIGTERM" and so on.
const char* signal_name(int signal);

}  // namespace dovetail
