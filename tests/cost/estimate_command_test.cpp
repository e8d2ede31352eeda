// The tables and the JSON of `dovetail estimate`, and what it refuses.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <tuple>

#include "app/estimate.hpp"
#include "support/error.hpp"

namespace dovetail::app {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::ThrowsMessage;

EstimateOptions options_of(const char* model, const char* format, const char* card) {
  EstimateOptions options;
  options.model = model;
  options.format = format;
  options.card = card;
  return options;
}

TEST(EstimateCommand, PrintsBothArchitecturesAndKeepsFinnsFiguresApart) {
  const std::string text = estimate_text(make_estimates(options_of("sfc", "w1a1", "u280")));
  EXPECT_THAT(text, HasSubstr("everything modelled, nothing measured"));
  EXPECT_THAT(text, HasSubstr("engine: layers one after another"));
  EXPECT_THAT(text, HasSubstr("2 compute units of the convolution and of the dense layer"));
  EXPECT_THAT(text, HasSubstr("pipeline: a unit for each layer"));
  EXPECT_THAT(text, HasSubstr("modelled images/s"));
  EXPECT_THAT(text, HasSubstr("measured by others, images/s (FINN, ZC706)"));
  EXPECT_THAT(text, HasSubstr("12,300,000"));
  EXPECT_THAT(estimate_text(make_estimates(options_of("sfc", "w2a2", "u280"))),
              Not(HasSubstr("measured by others")));
  EXPECT_THAT(text, HasSubstr("the sources are written for 32x64 (--fold 32x64): "));
  // Other images or classes make another network than FINN's.
  EstimateOptions options = options_of("sfc", "w1a1", "u280");
  options.fold = "32x64";
  EXPECT_THAT(estimate_text(make_estimates(options)), Not(HasSubstr("sources are written")));
  options.fold = "auto";
  for (const auto& [input, classes, same] :
       {std::tuple{"1x28x28", 10, true}, {"3x32x32", 10, false}, {"", 100, false}}) {
    options.input = input;
    options.classes = classes;
    const EstimateReport report = make_estimates(options);
    EXPECT_EQ(estimate_text(report).find("measured by others") != std::string::npos, same) << input;
    EXPECT_EQ(estimate_json(report).contains("measured_by_others"), same) << input;
  }
}

TEST(EstimateCommand, WritesJsonWithEveryLayer) {
  const EstimateReport report = make_estimates(options_of("cnv", "w1a1", "u55c"));
  const Json json = estimate_json(report);
  ASSERT_EQ(json["estimates"].size(), 2u);
  EXPECT_EQ(json["estimates"][1]["architecture"], "pipeline");
  EXPECT_EQ(json["estimates"][1]["layers"].size(), 11u);  // 6 convolutions, 2 pools, 3 dense layers
  EXPECT_EQ(json["estimates"][1]["modelled"][1]["megahertz"], 300.0);
  EXPECT_EQ(json["measured_by_others"]["images_per_second"], 21'906.0);
  EXPECT_GT(json["estimates"][0]["layers"][1]["cycles_per_image"], 0);
  EXPECT_EQ(json["estimates"][0]["compute_units"], 2);
  EXPECT_EQ(json["estimates"][0]["layers"][0]["compute_units"], 1);
  EXPECT_EQ(json["estimates"][0]["layers"][1]["compute_units"], 2);
}

TEST(EstimateCommand, TakesAFoldingAndOneArchitecture) {
  EstimateOptions options = options_of("mlp", "int8", "u250");
  options.fold = "32x16";
  options.architecture = "engine";
  const EstimateReport report = make_estimates(options);
  ASSERT_EQ(report.estimates.size(), 1u);
  EXPECT_EQ(report.estimates[0].layers[1].folding, (cost::Folding{32, 16}));
}

TEST(EstimateCommand, SaysThatNoEngineIsBuiltForAFormat) {
  EstimateOptions options = options_of("mlp", "bfp12", "u280");
  const EstimateReport report = make_estimates(options);
  ASSERT_EQ(report.estimates.size(), 1u);
  EXPECT_EQ(report.estimates[0].architecture, cost::Architecture::pipeline);
  EXPECT_THAT(estimate_text(report), HasSubstr("engine: no kernel is built for bfp12; built are"));
  EXPECT_THAT(estimate_json(report)["engine_not_built"].get<std::string>(),
              HasSubstr("bfp2 ... bfp8"));
  EXPECT_FALSE(estimate_json(make_estimates(options_of("mlp", "bfp8", "u280")))
                   .contains("engine_not_built"));
  options.architecture = "engine";
  EXPECT_THAT([&] { make_estimates(options); },
              ThrowsMessage<UsageError>(HasSubstr("no kernel is built for bfp12; built are")));
}

TEST(EstimateCommand, ShowsTheIntervalOfBlockFloatingPoint) {
  EstimateOptions options = options_of("mlp", "bfp8", "u280");
  options.fold = "32x16";
  options.architecture = "engine";
  const Json layers = estimate_json(make_estimates(options))["estimates"][0]["layers"];
  EXPECT_EQ(layers[1]["initiation_interval"], 8);
  EXPECT_EQ(layers[1]["cycles_per_image"], 8 * 8 * 49);
}

void expect_refusal(const EstimateOptions& options, const char* text) {
  EXPECT_THAT([&] { make_estimates(options); }, ThrowsMessage<UsageError>(HasSubstr(text)));
}

TEST(EstimateCommand, RefusesWhatItDoesNotKnow) {
  expect_refusal(options_of("resnet", "w1a1", "u280"), "unknown model 'resnet'. Known models: mlp");
  expect_refusal(options_of("mlp", "w3a3", "u280"), "w3a3");
  expect_refusal(options_of("mlp", "float32", "u280"), "no units for float32. Estimate wXaY");
  expect_refusal(options_of("mlp", "w1a1", "u50"),
                 "unknown card 'u50'. Known cards: u280, u55c, u250");
  EstimateOptions options = options_of("mlp", "w1a1", "u280");
  options.architecture = "systolic";
  expect_refusal(options, "unknown architecture 'systolic'");
  options.architecture = "both";
  for (const char* fold : {"", "32", "x", "0x4", "4x4x4", "a2x2", "-2x4"}) {
    options.fold = fold;
    expect_refusal(options, "is no folding. Give auto");
  }
  options.fold = "auto";
  options.input = "28x28";
  expect_refusal(options, "is no image size");
  options.input = "";
  options.units = 0;
  expect_refusal(options, "0 compute units computes nothing. Give 1 or more; hls/engine has 2");
  options.batch = 0;
  expect_refusal(options, "must be at least 1");
}

}  // namespace
}  // namespace dovetail::app
