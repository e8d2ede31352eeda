// What a process records: phases and steps, other threads' spans, and when memory is full.
#include "support/timeline.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "support/activity.hpp"
#include "support/text.hpp"

namespace dovetail::timeline {
namespace {

using ::testing::ElementsAre;

class TimelineTest : public ::testing::Test {
 protected:
  ~TimelineTest() override { stop(); }

  /// "name step" of a lane's spans, with a space for each that they lie in.
  static std::vector<std::string> outline(const Recording& recording, Lane lane = host_lane) {
    std::vector<std::string> lines;
    std::vector<Span> enclosing;
    for (const Span& span : recording.spans) {
      if (span.lane != lane) continue;
      while (!enclosing.empty() && enclosing.back().end_ns <= span.begin_ns) enclosing.pop_back();
      if (!enclosing.empty()) {
        EXPECT_LE(span.end_ns, enclosing.back().end_ns);
      }
      EXPECT_LE(span.begin_ns, span.end_ns);
      lines.push_back(std::string(enclosing.size(), ' ') +
                      fmt::format("{} {}", recording.names[span.name], span.step));
      enclosing.push_back(span);
    }
    return lines;
  }
};

/// Takes some time, so that spans have a length.
void work() {
  const std::int64_t until = steady_ns() + 20'000;
  while (steady_ns() < until) {
  }
}

void train(std::uint64_t step) {
  const Step recorded(step);
  activity::enter("input", step);
  work();
  activity::enter("compute", step);
  work();
  activity::enter("compute", step);  // goes on
  work();
  activity::enter("all-reduce", step, activity::Kind::wait);
  work();
}

TEST_F(TimelineTest, RecordsNothingUnasked) {
  EXPECT_FALSE(on());
  EXPECT_FALSE(detailed());
  train(1);
  EXPECT_TRUE(stop().spans.empty());
}

TEST_F(TimelineTest, StepsOfTheWindowHoldTheirPhases) {
  start({2, 3});
  activity::enter("start", 0, activity::Kind::wait);
  work();
  for (std::uint64_t step = 1; step <= 4; ++step) train(step);
  activity::enter("validate", 4);
  work();
  {
    const Aside poll("poll");  // outside the window
    work();
  }
  activity::enter("checkpoint", 4);
  work();
  const Recording recording = stop();
  EXPECT_THAT(outline(recording),
              ElementsAre("start 0", "step 2", " input 2", " compute 2", " all-reduce 2", "step 3",
                          " input 3", " compute 3", " all-reduce 3", "validate 4", "checkpoint 4"));
  EXPECT_EQ(recording.dropped, 0u);
  std::vector<std::string> categories;
  for (const Span& span : recording.spans) categories.emplace_back(to_string(span.category));
  EXPECT_THAT(std::vector(categories.begin(), categories.begin() + 5),
              ElementsAre("waiting", "step", "input", "work", "waiting"));
}

TEST_F(TimelineTest, WhatIsAsideLiesInItsPhase) {
  start({1, 1});
  {
    const Step step(1);
    activity::enter("input", 1);
    work();
    {
      const Aside poll("poll");
      activity::enter("load", 1);
      work();
    }
    work();
    activity::enter("compute", 1);
    work();
  }
  EXPECT_THAT(outline(stop()),
              ElementsAre("step 1", " input 1", "  poll 1", "   load 1", " compute 1"));
}

TEST_F(TimelineTest, OfVersionsThoseOfTheWindowAndTheFirstBehindItAreDetailed) {
  start({10, 20});
  std::vector<std::uint64_t> detailed_ones;
  for (const std::uint64_t version : {5, 10, 15, 25, 25, 30, 25, 40}) {
    enter_version(version);
    if (detailed()) detailed_ones.push_back(version);
  }
  EXPECT_THAT(detailed_ones, ElementsAre(10, 15, 25, 25, 25));
}

TEST_F(TimelineTest, ADeviceSaysWhenItRanUnlessThatCannotBe) {
  start({1, 1});
  enter_step(1);
  const std::int64_t before = steady_ns();
  work();
  std::int64_t inside = 0;
  {
    Scope told("told", Category::kernel, "told");
    Scope early("early", Category::kernel, "early"), late("late", Category::kernel, "late"),
        reversed("reversed", Category::kernel, "reversed");
    work();
    inside = steady_ns();
    work();
    told.took_place(inside, inside + 5);
    early.took_place(before, inside);
    late.took_place(inside, steady_ns() + 1'000'000'000);
    reversed.took_place(inside, inside - 1);
  }
  const std::int64_t after = steady_ns();
  const Recording recording = stop();
  ASSERT_EQ(recording.spans.size(), 4u);
  for (const Span& span : recording.spans) {
    if (recording.names[span.name] == "told") {
      EXPECT_EQ(span.begin_ns, inside);
      EXPECT_EQ(span.end_ns, inside + 5);
      continue;
    }
    EXPECT_GT(span.begin_ns, before);
    EXPECT_LT(span.begin_ns, inside);
    EXPECT_GT(span.end_ns, inside);
    EXPECT_LE(span.end_ns, after);
  }
}

TEST_F(TimelineTest, ThreadsHaveLanesOfTheirOwnAndLeaveThemToLaterOnes) {
  start({1, 1});
  enter_step(1);
  constexpr int rounds = 5, threads = 4, spans = 20;
  for (int round = 0; round < rounds; ++round) {
    std::vector<std::thread> workers;
    for (int thread = 0; thread < threads; ++thread) {
      workers.emplace_back([thread] {
        const Part part("layer", std::to_string(thread));
        for (int i = 0; i < spans; ++i) {
          const Scope outer("card", Category::kernel, "outer", 8);
          const Scope inner("card", Category::copy, "inner");
          work();
        }
      });
    }
    for (std::thread& worker : workers) worker.join();
  }
  const Recording recording = stop();
  ASSERT_EQ(recording.spans.size(), static_cast<std::size_t>(rounds * threads * spans * 2));
  std::set<Lane> lanes;
  std::set<std::string> parts;
  for (const Span& span : recording.spans) {
    lanes.insert(span.lane);
    parts.insert(recording.names[span.part]);
  }
  EXPECT_LE(lanes.size(), static_cast<std::size_t>(threads));
  EXPECT_EQ(parts, (std::set<std::string>{"layer 0", "layer 1", "layer 2", "layer 3"}));
  for (const Lane lane : lanes) {
    EXPECT_EQ(recording.lanes[lane].substr(0, 4), "card");
    const auto lines = outline(recording, lane);
    for (std::size_t i = 0; i < lines.size(); ++i)
      EXPECT_EQ(lines[i], i % 2 == 0 ? "outer 1" : " inner 1");
  }
}

TEST_F(TimelineTest, FullMemoryDropsAndCounts) {
  start({1, 1}, {.detailed = 100, .lasting = 3});
  enter_step(1);
  std::vector<std::thread> workers;
  for (int thread = 0; thread < 4; ++thread) {
    workers.emplace_back([] {
      for (int i = 0; i < 50; ++i) const Scope scope("lane", Category::kernel, "span");
    });
  }
  for (std::thread& worker : workers) worker.join();
  for (std::uint64_t epoch = 1; epoch <= 5; ++epoch) activity::enter("validate", epoch);
  const Recording recording = stop();
  EXPECT_EQ(recording.spans.size(), 103u);
  EXPECT_EQ(recording.dropped, 102u);
}

TEST_F(TimelineTest, LanesOfOtherClocksAreToldInThisOne) {
  start({1, 1});
  enter_step(1);
  const Lane device = new_lane("device");
  set_clock(device, {{1000, 5000, 3}, {2000, 6100, 7}});  // theirs drifts by a tenth
  Span span = span_of(device, Category::kernel, intern("kernel"));
  span.begin_ns = 5000;
  span.end_ns = 6100;
  record(span);
  const Recording recording = stop();
  ASSERT_EQ(recording.spans.size(), 1u);
  EXPECT_EQ(recording.spans[0].begin_ns, 1000);
  EXPECT_EQ(recording.spans[0].end_ns, 2000);
  EXPECT_EQ(recording.spans[0].step, 1u);
  EXPECT_EQ(recording.lanes[device], "device");
  EXPECT_EQ(recording.uncertainty_ns, 7);
}

TEST_F(TimelineTest, ASecondRecordingStartsAnew) {
  for (int round = 0; round < 2; ++round) {
    start({1, 1});
    train(1);
    const Scope scope("lane", Category::copy, "open");  // ends too late to be recorded
    EXPECT_EQ(outline(stop()).size(), 4u);
  }
}

}  // namespace
}  // namespace dovetail::timeline
