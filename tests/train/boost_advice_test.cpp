// When a boost is worth a warning, and that each says what to do.
#include "train/boost_advice.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "train/summary.hpp"

namespace dovetail {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

BoostSettings selecting(SelectKind kind = SelectKind::rank) {
  BoostSettings settings;
  settings.keep = 0.5;
  settings.select = kind;
  settings.select_format = "int8";
  return settings;
}

BoostSettings contributing() {
  BoostSettings settings;
  settings.share = 0.25;
  settings.gradient_format = "int4";
  settings.staleness = 20;
  return settings;
}

TEST(BoostAdvice, WarnsOfLateScoresWhereMoreThanHalfWere) {
  BoostCounters counters;
  EXPECT_THAT(boost_warnings(selecting(), counters, {}), IsEmpty()) << "nothing was asked for";
  counters.selected_steps = 10;
  counters.late_scores = 10;
  EXPECT_THAT(boost_warnings(selecting(), counters, {}), IsEmpty()) << "half is no more than half";
  counters.late_scores = 11;
  const auto warnings = boost_warnings(selecting(), counters, {});
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_EQ(warnings[0].kind, "late_scores");
  EXPECT_THAT(warnings[0].text, HasSubstr("too late for 11 of 21 steps (52 %)"));
  EXPECT_THAT(warnings[0].text, HasSubstr("--boost-wait"));
  EXPECT_THAT(boost_warnings(selecting(SelectKind::random), counters, {}), IsEmpty());
}

TEST(BoostAdvice, WarnsOfMissingGradientsWhereMoreThanHalfWere) {
  BoostCounters counters;
  EXPECT_THAT(boost_warnings(contributing(), counters, {}), IsEmpty());
  counters.boosted_samples = 100;
  counters.missing_samples = 100;
  EXPECT_THAT(boost_warnings(contributing(), counters, 0.99), IsEmpty());
  counters.missing_samples = 300;
  const auto warnings = boost_warnings(contributing(), counters, 0.99);
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_EQ(warnings[0].kind, "missing_gradients");
  EXPECT_THAT(warnings[0].text, HasSubstr("300 of 400 contributed samples (75 %)"));
  EXPECT_THAT(warnings[0].text, HasSubstr("lower --boost, give more FPGA ranks"));
  EXPECT_THAT(boost_warnings(selecting(), counters, {}), IsEmpty()) << "none were asked for";
}

TEST(BoostAdvice, WarnsOfALowCosineWithTheRemedyForItsFormat) {
  BoostCounters counters;
  counters.boosted_samples = 100;
  EXPECT_THAT(boost_warnings(contributing(), counters, 0.8), IsEmpty());
  EXPECT_THAT(boost_warnings(contributing(), counters, std::nullopt), IsEmpty());
  const auto warnings = boost_warnings(contributing(), counters, 0.71);
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_EQ(warnings[0].kind, "low_cosine");
  EXPECT_THAT(warnings[0].text, HasSubstr("mean cosine 0.71"));
  EXPECT_THAT(warnings[0].text, HasSubstr("Give --boost-staleness 0"));
  EXPECT_THAT(warnings[0].text, HasSubstr("of more bits than int4"));
}

TEST(BoostAdvice, StandsInTheSummaryAndOnItsPage) {
  TrainSettings settings;
  settings.fpga_formats = {"int8"};
  settings.out = "runs/x";
  settings.boost = selecting();
  TrainResult result;
  result.test_accuracy = 0.9;
  result.boost.late_scores = 3;
  result.boost.selected_steps = 1;
  Json summary = make_summary(settings, result, {}, "emulated", 75);
  ASSERT_EQ(summary["fpga"]["warnings"].size(), 1u);
  EXPECT_EQ(summary["fpga"]["warnings"][0]["kind"], "late_scores");
  EXPECT_THAT(summary_text(summary, "runs/x"), HasSubstr("  warning        scores came too late"));
  EXPECT_THAT(summary_text(summary, "runs/x"), HasSubstr("by rank (int8), 3 late"));
  settings.boost = selecting(SelectKind::random);
  result.boost.late_scores = 0;
  summary = make_summary(settings, result, {}, "emulated", 75);
  EXPECT_TRUE(summary["fpga"]["warnings"].empty());
  EXPECT_TRUE(summary["fpga"]["boost"]["select"]["format"].is_null()) << "nothing is scored";
  EXPECT_THAT(summary_text(summary, "runs/x"),
              HasSubstr("1 of 1 steps by random, which needs no scores"));
}

}  // namespace
}  // namespace dovetail
