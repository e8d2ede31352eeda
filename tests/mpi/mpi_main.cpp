// main() of the tests that run on several ranks: MPI around GoogleTest, failures with their rank,
// and a watchdog.
#include "mpi/mpi_main.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "comm/mpi_session.hpp"

namespace dovetail::testing {
namespace {

std::unique_ptr<Communicator> world_;
int rank_ = 0;

/// Ends the process, and so the job, when the tests take too long: a rank that waits for ever then
/// says in which test.
class Watchdog {
 public:
  explicit Watchdog(int timeout_s) : thread_([this, timeout_s] { watch(timeout_s); }) {}
  ~Watchdog() {
    {
      const std::lock_guard lock(mutex_);
      done_ = true;
    }
    changed_.notify_one();
    thread_.join();
  }
  void enter(const std::string& test) {
    const std::lock_guard lock(mutex_);
    test_ = test;
  }

 private:
  void watch(int timeout_s) {
    std::unique_lock lock(mutex_);
    if (changed_.wait_for(lock, std::chrono::seconds(timeout_s), [this] { return done_; })) return;
    std::fprintf(stderr, "[rank %d] watchdog: still in %s after %d s\n", rank_, test_.c_str(),
                 timeout_s);
    // Every rank gets to say where it hangs before mpirun sees the first of them die.
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    std::_Exit(124);
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool done_ = false;
  std::string test_ = "start";
  std::thread thread_;
};

std::string name_of(const ::testing::TestInfo& test) {
  return std::string(test.test_suite_name()) + "." + test.name();
}

/// Prints failures with their rank, tells the watchdog where it is, and ends the job at a failure
/// that leaves a test.
class RankListener : public ::testing::EmptyTestEventListener {
 public:
  explicit RankListener(Watchdog& watchdog) : watchdog_(watchdog) {}

 private:
  void OnTestStart(const ::testing::TestInfo& test) override {
    test_ = name_of(test);
    watchdog_.enter(test_);
  }
  void OnTestPartResult(const ::testing::TestPartResult& result) override {
    if (!result.failed()) return;
    std::fprintf(stderr, "[rank %d] %s:%d: %s\n", rank_,
                 result.file_name() ? result.file_name() : "?", result.line_number(),
                 result.message());
    if (result.fatally_failed() && world_->size() > 1) {
      std::fprintf(stderr, "[rank %d] has left %s: the job ends\n", rank_, test_.c_str());
      abort_job(1);
    }
  }
  void OnTestProgramEnd(const ::testing::UnitTest&) override { watchdog_.enter("the end"); }

  Watchdog& watchdog_;
  std::string
      test_{};  // GoogleTest holds its lock during OnTestPartResult, so it cannot be asked there
};

int run_tests() {
  const MpiSession mpi;
  world_ = std::make_unique<Communicator>(Communicator::world());
  rank_ = world_->rank();
  const char* timeout = std::getenv("DOVETAIL_TEST_TIMEOUT_S");
  Watchdog watchdog(timeout ? std::atoi(timeout) : 60);
  auto& listeners = ::testing::UnitTest::GetInstance()->listeners();
  if (rank_ != 0) delete listeners.Release(listeners.default_result_printer());
  listeners.Append(new RankListener(watchdog));
  const int failed = RUN_ALL_TESTS();
  const int any_failed = world_->all_reduce_max(failed);
  world_.reset();
  return any_failed;
}

}  // namespace

Communicator& world() {
  return *world_;
}

}  // namespace dovetail::testing

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  return dovetail::testing::run_tests();
}
