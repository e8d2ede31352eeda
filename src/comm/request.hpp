// A communication under way: test it between other work, or wait for it without burning a core that
// others need.
#pragma once

#include <chrono>
#include <memory>

namespace dovetail {

/// Handed out by Communicator's non-blocking calls. The buffer must stay alive and untouched until
/// `test` has returned true or a wait has returned; `keep` lets the request itself see to that.
///
/// MPI advances an operation only inside calls to MPI: a rank that computes for long should `test`
/// now and then.
///
/// A request destroyed while under way is cancelled when it is a receive, and waited for otherwise.
/// While an exception is unwinding it is abandoned, because its peers may be gone and the job is
/// about to end.
class Request {
 public:
  /// Nothing under way: `test` is true.
  Request();
  ~Request();
  Request(Request&&) noexcept;
  /// Settles the operation that was under way here, as destruction does.
  Request& operator=(Request&&) noexcept;

  /// Whether the operation is complete. Throws Error where it failed, or where a message had
  /// another size than its buffer.
  bool test();

  /// For short waits: spins briefly, then offers the core to others, and after a millisecond naps
  /// between the tests.
  void wait();

  /// For waits of seconds, such as an FPGA rank's for new weights: tests once per `poll`, and costs
  /// no CPU time to speak of.
  void wait_idle(std::chrono::milliseconds poll = std::chrono::milliseconds(1));

  /// Holds `buffer` until the operation is complete.
  void keep(std::shared_ptr<const void> buffer);

 private:
  friend class Communicator;
  struct Operation;
  /// Calls start(MPI_Request*), which begins the MPI function `call`.
  template <typename Start>
  static Request begin(const char* call, const Start& start);

  std::unique_ptr<Operation> operation_;  // null when nothing is under way
};

}  // namespace dovetail
