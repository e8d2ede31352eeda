// Threads that share one loop with the thread that calls them.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace dovetail {

class Workers {
 public:
  /// body(first, count).
  using Body = std::function<void(std::size_t, std::size_t)>;

  /// `threads` with the caller's own; those of its own are asleep between two loops.
  explicit Workers(int threads);
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  /// Cuts [0, count) into one part a thread, at multiples of 16, and returns when all are done; a
  /// short loop is the caller's alone. The body must not throw.
  void split(std::size_t count, const Body& body);

 private:
  void serve(std::size_t number);
  void run(std::size_t number) const;

  std::mutex mutex_;  // guards everything below but the threads
  std::condition_variable changed_;
  const Body* body_ = nullptr;
  std::size_t count_ = 0;
  std::size_t round_ = 0;
  std::size_t busy_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace dovetail
