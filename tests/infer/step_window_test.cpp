// An FPGA rank works for the steps that can still use what it finds.
#include "infer/step_window.hpp"

#include <gtest/gtest.h>

#include "quant/assignment.hpp"

namespace dovetail {
namespace {

const auto any = [](std::uint64_t) { return true; };

TEST(StepWindow, WaitsForWeights) {
  EXPECT_FALSE(StepWindow({.last_step = 10}, 4).take(any).has_value());
}

TEST(StepWindow, WhereTheGpuRanksWaitEveryStepIsServedWithItsWeights) {
  StepWindow window({.last_step = 10, .staleness = 3, .wait = true}, 1);
  window.weights_arrived(0);
  for (std::uint64_t step = 0; step < 4; ++step) {
    ASSERT_EQ(window.take(any), step);
    window.finished(step);
  }
  EXPECT_FALSE(window.take(any).has_value()) << "step 4 needs the weights of version 4";
  window.weights_arrived(4);
  EXPECT_EQ(window.take(any), 4u);
  window.weights_arrived(8);
  EXPECT_EQ(window.take(any), 8u);
  EXPECT_EQ(window.take(any), 9u);
  EXPECT_FALSE(window.take(any).has_value()) << "training is over";
}

TEST(StepWindow, AheadOfTheGpuRanksItAimsWhereItsResultIsInTime) {
  StepWindow window({.last_step = 1000}, 4);
  window.weights_arrived(100);
  ASSERT_EQ(window.take(any), 104u);
  window.steps_done(106);  // meanwhile: a result for 104 is six steps late
  window.finished(104);
  EXPECT_EQ(window.lag(), 6u);
  EXPECT_EQ(window.take(any), 116u);
  window.finished(116);
  EXPECT_EQ(window.take(any), 117u);
}

TEST(StepWindow, DoesNotRunFarAhead) {
  StepWindow window({.last_step = 1000}, 4);
  window.weights_arrived(0);
  std::uint64_t served = 0;
  while (const auto step = window.take(any)) {
    window.finished(*step);
    ++served;
  }
  EXPECT_LE(served, 16u);
  window.steps_done(20);
  EXPECT_EQ(window.take(any), 24u);
}

TEST(StepWindow, LearnsToAimCloserAgain) {
  StepWindow window({.last_step = 100000}, 0);
  window.weights_arrived(10);
  window.steps_done(30);
  window.finished(10);
  EXPECT_EQ(window.lag(), 20u);
  for (std::uint64_t step = 50; step < 50 + 16 * 5; ++step) window.finished(step);
  EXPECT_EQ(window.lag(), 15u);
}

TEST(StepWindow, AChangedRosterBeginsAnewAtTheGpuRanks) {
  StepWindow window({.last_step = 10, .staleness = 9, .wait = true}, 1);
  window.weights_arrived(0);
  for (std::uint64_t step = 0; step < 8; ++step) {
    ASSERT_EQ(window.take(any), step);
    window.finished(step);
  }
  window.steps_done(4);
  window.begin_anew();
  EXPECT_EQ(window.take(any), 4u);
}

TEST(StepWindow, ARosterThatChangesDuringAStepHasItServedAgain) {
  StepWindow window({.last_step = 10, .wait = true}, 0);
  window.weights_arrived(2);
  ASSERT_EQ(window.take(any), 2u);
  window.begin_anew();  // between the report of the step and the end of the work for it
  window.finished(2);
  EXPECT_EQ(window.take(any), 2u);
  EXPECT_FALSE(window.take(any).has_value());
}

TEST(Assignment, EveryFormatIsEvaluatedOnceWhateverTheNumbers) {
  for (std::size_t formats = 1; formats <= 5; ++formats) {
    for (std::size_t ranks = 1; ranks <= 7; ++ranks) {
      for (std::size_t format = 0; format < formats; ++format) {
        std::vector<int> parts(quant::parts_of_format(format, formats, ranks));
        for (std::size_t position = 0; position < ranks; ++position) {
          const auto part = quant::part_of_format(format, formats, position, ranks);
          if (!part) continue;
          ASSERT_EQ(part->count, parts.size());
          ++parts.at(part->index);
        }
        EXPECT_EQ(parts, std::vector<int>(parts.size(), 1))
            << format << " of " << formats << " on " << ranks;
        EXPECT_GE(parts.size(), 1u);
      }
    }
  }
}

}  // namespace
}  // namespace dovetail
