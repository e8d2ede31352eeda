// The watchdog names what stalls, who is gone and who is silent, and leaves the others in peace.
#include "support/watchdog.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <functional>

#include "support/clock.hpp"
#include "support/scratch_folder.hpp"
#include "support/stop_signal.hpp"
#include "support/text.hpp"

namespace dovetail {
namespace {

using activity::Kind;
using ::testing::AnyOf;
using ::testing::HasSubstr;

class WatchdogTest : public ::testing::Test {
 protected:
  /// Rank 0 is this process on host "a"; rank 1 is `other`.
  WatchdogSettings settings(const ProcessId& other, const std::string& other_host = "a") {
    WatchdogSettings settings;
    settings.ranks = {{"rank 0 on a (CPU)", "a", this_process()},
                      {fmt::format("rank 1 on {} (card 0)", other_host), other_host, other}};
    settings.timeout_s = 0.6;
    settings.beat_s = beat_of(settings.timeout_s);
    settings.folder = folder_.path();
    settings.end = [this](const std::string& line) {
      const std::lock_guard lock(mutex_);
      line_ = line;
    };
    return settings;
  }
  /// Rank 1 on another host; patient until SIGTERM comes.
  WatchdogSettings hurried() {
    WatchdogSettings hurried = settings({}, "b");
    hurried.timeout_s = 60;
    hurried.hurry_s = 0.6;
    return hurried;
  }
  std::string line() {
    const std::lock_guard lock(mutex_);
    return line_;
  }
  /// What was said within `limit_s`, while `meanwhile` goes on.
  std::string said(
      double limit_s, const std::function<void()>& meanwhile = [] {}) {
    for (const Stopwatch watch; watch.seconds() < limit_s && line().empty();) {
      meanwhile();
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return line();
  }

  ScratchFolder folder_;
  std::mutex mutex_;
  std::string line_;
};

/// Lives until it is told otherwise.
class Child {
 public:
  explicit Child(const std::function<void()>& life = [] { ::pause(); }) : pid_(::fork()) {
    if (pid_ == 0) {
      life();
      ::_exit(0);
    }
  }
  ~Child() { kill(); }
  void kill() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  /// As this process's own, but for the number: forked within the same tick, or a few later.
  ProcessId id() const {
    ProcessId id{.pid = pid_, .started = this_process().started};
    while (!is_alive(id)) ++id.started;
    return id;
  }

 private:
  pid_t pid_;
};

TEST_F(WatchdogTest, WorkThatDoesNotReturnIsNamed) {
  const Watchdog watchdog(settings({}));
  activity::enter("compute", 17);
  const std::string text = said(5);
  EXPECT_THAT(text, HasSubstr("rank 0 on a (CPU): compute of step 17 has not returned for 1 s"));
}

TEST_F(WatchdogTest, AnotherBucketIsProgressAndTheOneThatStallsIsNamed) {
  const Watchdog watchdog(settings({}));
  activity::enter("compute", 17);
  std::size_t bucket = 0;
  EXPECT_EQ(said(1.5, [&] { activity::at_bucket(++bucket); }), "");
  const std::string expected = fmt::format("compute of step 17 (bucket {}) has not", bucket);
  EXPECT_THAT(said(5, [&] { activity::at_bucket(bucket); }), HasSubstr(expected));
  activity::enter("update", 17);
  EXPECT_EQ(activity::now().bucket, -1);
}

TEST_F(WatchdogTest, ACallThatReturnsIsProgressAndTheOneThatStallsIsNamed) {
  const Watchdog watchdog(settings({}));
  activity::enter("evaluate", 17);
  EXPECT_EQ(said(1.5, [] { const activity::During kernel(activity::Call::run_kernel); }), "");
  // Of several workers one hangs, which none of the others' calls hides.
  const activity::During stuck(activity::Call::write_to_card);
  { const activity::During other(activity::Call::read_from_card); }
  EXPECT_THAT(said(5), HasSubstr("evaluate of step 17 (writing to the card) has not returned"));
  const auto sign = read_sign(folder_.path(), 0);
  ASSERT_TRUE(sign);
  EXPECT_EQ(sign->call, activity::Call::write_to_card);
}

TEST_F(WatchdogTest, RanksGetTheirNamesAndTimeLimitsLater) {
  WatchdogSettings at_start = settings({});
  at_start.timeout_s = 1000;
  Watchdog watchdog(at_start);
  activity::enter("kernels", 0);
  EXPECT_EQ(said(1.5), "");
  watchdog.rename({"rank 1 on a (GPU)", "rank 0 on a (card 0)"});
  watchdog.set_timeout(0.6);
  EXPECT_THAT(said(5), HasSubstr("rank 1 on a (GPU): kernels has not returned for"));
}

TEST_F(WatchdogTest, ARankThatIsSilentIsNamedThoughAnotherOneIsAtWork) {
  const LifeWriter at_work(folder_.path(), 1), silent(folder_.path(), 2);
  SignOfLife sign{.kind = Kind::work, .step = 4, .timeout_s = 100, .phase = "evaluate"};
  silent.write({.beat = 5, .kind = Kind::work, .step = 4, .timeout_s = 100, .phase = "input"});
  WatchdogSettings of_three = settings({}, "b");
  of_three.ranks.push_back({"rank 2 on c (GPU)", "c", {}});
  const Watchdog watchdog(of_three);
  activity::enter("all-reduce", 4, Kind::wait);
  const auto beats = [&] {
    ++sign.beat;
    at_work.write(sign);
  };
  EXPECT_THAT(said(5, beats), HasSubstr("rank 2 on c (GPU) gives no sign of life"));
}

TEST_F(WatchdogTest, WhereTheSignsAreRemovedTheJobEndsAndNobodyIsMissed) {
  Child child;
  const LifeWriter writer(folder_.path(), 1);
  writer.write({.beat = 1, .step = 9, .phase = "compute"});
  const Watchdog watchdog(settings(child.id()));
  activity::enter("idle", 0, Kind::idle);
  EXPECT_FALSE(watchdog.signs_removed());
  std::filesystem::remove(folder_.path() / "rank-0");
  std::filesystem::remove(folder_.path() / "rank-1");
  EXPECT_TRUE(watchdog.signs_removed());
  child.kill();
  EXPECT_EQ(said(1.5), "");
}

TEST_F(WatchdogTest, TheFirstToFailIsOne) {
  EXPECT_TRUE(is_first_to_fail(folder_.path()));
  EXPECT_FALSE(is_first_to_fail(folder_.path()));
  EXPECT_TRUE(is_first_to_fail(folder_.path() / "not there"));
}

TEST_F(WatchdogTest, WorkThatGoesOnIsNoStallAndIdlenessNeither) {
  const Watchdog watchdog(settings({}));
  std::uint64_t step = 0;
  EXPECT_EQ(said(1.5, [&] { activity::enter("compute", ++step); }), "");
  activity::enter("idle", 0, Kind::idle);
  EXPECT_EQ(said(1.5), "");
}

TEST_F(WatchdogTest, AProcessThatIsGoneIsNamed) {
  Child child;
  const LifeWriter writer(folder_.path(), 1);
  writer.write({.beat = 1, .step = 9, .phase = "compute"});
  const Watchdog watchdog(settings(child.id()));
  activity::enter("idle", 0, Kind::idle);
  EXPECT_EQ(said(0.5), "");
  child.kill();
  EXPECT_THAT(said(5), HasSubstr("rank 1 on a (card 0) is gone"));
  EXPECT_THAT(line(), HasSubstr("compute of step 9"));
}

TEST_F(WatchdogTest, OfARankKilledSoonAfterItChangedPhaseTheNewPhaseIsNamed) {
  // Says "compute" in its first sign; without news the next one would come 5 s later.
  const WatchdogSettings defaults;
  const auto says = [&](const char* phase) {
    const auto sign = read_sign(folder_.path(), 1);
    return sign && sign->phase == phase;
  };
  const auto await = [&](const char* phase, double limit_s) {
    for (const Stopwatch watch; watch.seconds() < limit_s && !says(phase);) ::usleep(10'000);
  };
  Child child([&] {
    WatchdogSettings of_rank_1 = settings({});
    of_rank_1.rank = 1;
    of_rank_1.ranks[1].process = this_process();
    of_rank_1.timeout_s = defaults.timeout_s;
    of_rank_1.beat_s = defaults.beat_s;
    activity::enter("compute", 8);
    const Watchdog watchdog(of_rank_1);
    await("compute", 60);
    activity::enter("checkpoint", 9);
    ::pause();
  });
  WatchdogSettings of_rank_0 = settings(child.id());
  of_rank_0.timeout_s = defaults.timeout_s;
  of_rank_0.beat_s = defaults.beat_s;
  const Watchdog watchdog(of_rank_0);
  activity::enter("idle", 0, Kind::idle);
  await("compute", 60);
  await("checkpoint", 4);
  child.kill();
  EXPECT_THAT(said(5), HasSubstr("was killed, last in checkpoint of step 9"));
}

TEST_F(WatchdogTest, AProcessThatLeftInGoodOrderIsNotMissed) {
  Child child;
  const LifeWriter writer(folder_.path(), 1);
  writer.write({.leaving = true, .phase = "done"});
  const Watchdog watchdog(settings(child.id()));
  activity::enter("idle", 0, Kind::idle);
  child.kill();
  EXPECT_EQ(said(1.5), "");
}

TEST_F(WatchdogTest, OnceTheJobIsDoneAProcessThatLeavesNoSignsIsNotMissed) {
  for (const bool done : {false, true}) {
    SCOPED_TRACE(done);
    Child child;
    Watchdog watchdog(settings(child.id()));
    activity::enter("end", 0, Kind::idle);
    if (done) watchdog.job_is_done();
    child.kill();
    if (done) {
      EXPECT_EQ(said(1.5), "");
    } else {
      EXPECT_THAT(said(5), HasSubstr("rank 1 on a (card 0) is gone"));
    }
    const std::lock_guard lock(mutex_);
    line_.clear();
  }
}

TEST_F(WatchdogTest, APeerIsListenedToForAWhileBeforeItIsCalledSilent) {
  // Its signs of an hour ago are no news: only beats that fail to come are.
  const LifeWriter writer(folder_.path(), 1);
  writer.write({.beat = 7, .kind = Kind::work, .step = 4, .phase = "input"});
  WatchdogSettings as_set = settings({}, "b");
  Peers peers(as_set.folder, as_set.ranks, 0, as_set.beat_s);
  ::usleep(1'500'000);  // more than a silence
  using Verdict = Peers::Verdict::Kind;
  EXPECT_EQ(peers.judge(as_set.timeout_s).kind, Verdict::unknown_yet);
  peers.listen();
  EXPECT_EQ(peers.judge(1000).kind, Verdict::unknown_yet);
  ::usleep(1'500'000);
  EXPECT_EQ(peers.judge(as_set.timeout_s).kind, Verdict::guilty);
  peers.stop_listening();
  EXPECT_EQ(peers.judge(as_set.timeout_s).kind, Verdict::unknown_yet);
}

TEST_F(WatchdogTest, WhoeverWaitsNamesTheRankThatIsSilent) {
  const LifeWriter writer(folder_.path(), 1);
  writer.write({.beat = 5, .kind = Kind::work, .step = 4, .phase = "input"});
  const Watchdog watchdog(settings({}, "b"));
  activity::enter("all-reduce", 4, Kind::wait);
  EXPECT_THAT(said(5), HasSubstr("rank 1 on b (card 0) gives no sign of life"));
  EXPECT_THAT(line(), HasSubstr("last in input of step 4; rank 0 on a (CPU) waits in all-reduce"));
}

TEST_F(WatchdogTest, WhoeverWaitsForARankAtWorkGoesOnWaiting) {
  const LifeWriter writer(folder_.path(), 1);
  SignOfLife sign{.kind = Kind::work, .step = 4, .timeout_s = 2, .bucket = 2, .phase = "compute"};
  const Watchdog watchdog(settings({}, "b"));
  activity::enter("all-reduce", 4, Kind::wait);
  activity::at_bucket(1);
  const auto beats = [&] {
    ++sign.beat;
    writer.write(sign);
  };
  EXPECT_EQ(said(2.5, beats), "");
  sign.seconds = 3;  // without progress
  EXPECT_THAT(said(3, beats),
              HasSubstr("rank 1 on b (card 0): compute of step 4 (bucket 2) has not returned"));
  EXPECT_THAT(line(), HasSubstr("rank 0 on a (CPU) waits in all-reduce of step 4 (bucket 1) for"));
}

TEST_F(WatchdogTest, RanksThatAllWaitSuspectTheNetwork) {
  const LifeWriter writer(folder_.path(), 1);
  SignOfLife sign{.kind = Kind::wait, .step = 4, .phase = "all-reduce"};
  const Watchdog watchdog(settings({}, "b"));
  activity::enter("all-reduce", 4, Kind::wait);
  const auto beats = [&] {
    ++sign.beat;
    writer.write(sign);
  };
  EXPECT_THAT(said(5, beats), HasSubstr("all ranks wait for each other"));
}

TEST_F(WatchdogTest, AfterSigtermAWaitLastsAsLongAsAnotherRankWorks) {
  const StopSignal signals;
  ::raise(SIGTERM);
  const LifeWriter writer(folder_.path(), 1);
  SignOfLife sign{.kind = Kind::work, .step = 4, .timeout_s = 60, .phase = "checkpoint"};
  const Watchdog watchdog(hurried());
  activity::enter("reports", 4, Kind::wait);
  const auto beats = [&] {
    ++sign.beat;
    writer.write(sign);
  };
  EXPECT_EQ(said(3, beats), "");
  sign.kind = Kind::wait;
  EXPECT_THAT(said(5, beats), HasSubstr("asked to end by SIGTERM, but reports of step 4 has not"));
}

TEST_F(WatchdogTest, AfterSigtermNobodyWaitsForARankThatIsSilent) {
  const StopSignal signals;
  ::raise(SIGTERM);
  const LifeWriter writer(folder_.path(), 1);
  writer.write({.beat = 1, .kind = Kind::work, .step = 4, .timeout_s = 60, .phase = "compute"});
  const Watchdog watchdog(hurried());
  activity::enter("all-reduce", 4, Kind::wait);
  EXPECT_THAT(said(5),
              AnyOf(HasSubstr("asked to end by SIGTERM"), HasSubstr("gives no sign of life")));
}

TEST_F(WatchdogTest, AfterSigtermARankThatIsGoneIsNamedThoughAnotherWorks) {
  const StopSignal signals;
  ::raise(SIGTERM);
  const LifeWriter silent(folder_.path(), 1), worker(folder_.path(), 2);
  silent.write({.beat = 1, .kind = Kind::work, .step = 4, .timeout_s = 60, .phase = "compute"});
  SignOfLife sign{.kind = Kind::work, .step = 4, .timeout_s = 60, .phase = "evaluate"};
  WatchdogSettings of_three = hurried();
  of_three.ranks.push_back({"rank 2 on c (card 1)", "c", {}});
  const Watchdog watchdog(of_three);
  activity::enter("all-reduce", 4, Kind::wait);
  const auto beats = [&] {
    ++sign.beat;
    worker.write(sign);
  };
  EXPECT_THAT(said(5, beats), HasSubstr("rank 1 on b (card 0) gives no sign of life"));
}

TEST_F(WatchdogTest, TheLastWordIsThatOneLeaves) {
  { const Watchdog watchdog(settings({})); }
  const auto sign = read_sign(folder_.path(), 0);
  ASSERT_TRUE(sign);
  EXPECT_TRUE(sign->leaving);
}

TEST(StopSignalTest, SignalsAreNotedWhileOneLives) {
  {
    const StopSignal signals;
    EXPECT_EQ(StopSignal::requested(), 0);
    ::raise(SIGUSR1);
    ::raise(SIGTERM);
    EXPECT_EQ(StopSignal::requested(), SIGUSR1);
    EXPECT_TRUE(StopSignal::must_hurry());
  }
  EXPECT_EXIT(::raise(SIGTERM), ::testing::KilledBySignal(SIGTERM), "");
}

TEST(StopSignalTest, ALateNoticeDoesNotKillAProcessThatEnds) {
  { const StopSignal signals; }
  ::raise(SIGUSR1);
  EXPECT_EQ(StopSignal::requested(), 0);
}

TEST(StopSignalTest, ASecondInterruptEndsTheProcessAtOnce) {
  const StopSignal signals;
  ::raise(SIGINT);
  EXPECT_EQ(StopSignal::requested(), SIGINT);
  EXPECT_EXIT(::raise(SIGINT), ::testing::ExitedWithCode(130), "");
}

}  // namespace
}  // namespace dovetail
