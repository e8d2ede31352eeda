// summary.json has the keys that scripts rely on.
#include "train/summary.hpp"

#include <gtest/gtest.h>

namespace dovetail {
namespace {

Json example(const std::vector<std::string>& formats = {"int8"}) {
  TrainSettings settings;
  settings.fpga_formats = formats;
  settings.out = "runs/x";
  TrainResult result;
  result.test_accuracy = 0.91;
  result.epochs = 3;
  result.steps = 1407;
  result.training_s = 60;
  result.trained_samples = 180000;
  result.weights_sha256 = "ab";
  result.evaluations = {{.version = 469, .samples = 100, .correct = 80},
                        {.version = 1407, .samples = 100, .correct = 90},
                        {.version = 1407, .format = 1, .samples = 100, .correct = 89},
                        {.version = 1407, .format = 2, .samples = 100, .correct = 60}};
  result.pack_bytes = {400000, 200000, 50000};
  if (formats.size() == 1) result.evaluations.resize(2);
  const RankReports ranks = {
      {{"rank", 0},
       {"role", "gpu"},
       {"device", "d0"},
       {"host", "h"},
       {"samples", 90000},
       {"peak_memory_bytes", 1048576},
       {"seconds", {{"compute", 30.0}, {"reduce", 10.0}, {"poll", 0.01}}},
       {"communication", {{"seconds", 40.0}, {"exposed_seconds", 10.0}, {"sent_bytes", 0}}}},
      {{"rank", 1},
       {"role", "fpga"},
       {"device", "d1"},
       {"host", "h"},
       {"samples", 200},
       {"peak_memory_bytes", 1048576},
       {"seconds", {{"idle", 5.0}}}}};
  return make_summary(settings, result, ranks, "emulated", 75);
}

TEST(Summary, HasTheContractsKeys) {
  const Json summary = example();
  for (const char* key : {"test_accuracy", "train_loss", "epochs", "steps", "samples_per_second",
                          "weights_sha256", "ranks", "fpga"}) {
    EXPECT_TRUE(summary.contains(key)) << key;
  }
  for (const char* key : {"format", "accuracy", "evaluations", "boosted_steps", "boosted_samples",
                          "selected_samples", "late", "backend"}) {
    EXPECT_TRUE(summary["fpga"].contains(key)) << key;
  }
  EXPECT_DOUBLE_EQ(summary["samples_per_second"].get<double>(), 3000);
  EXPECT_DOUBLE_EQ(summary["fpga"]["accuracy"].get<double>(), 0.9);
}

TEST(Summary, SaysHowMuchOfTheCommunicationWasHidden) {
  const Json summary = example();
  const Json& communication = summary.at("communication");
  EXPECT_EQ(communication.at("seconds"), 40);
  EXPECT_EQ(communication.at("exposed_seconds"), 10);
  EXPECT_DOUBLE_EQ(communication.at("hidden").get<double>(), 0.75);
  EXPECT_EQ(communication.at("compression"), "none");
  EXPECT_EQ(communication.at("chunks"), 0);
  EXPECT_NE(
      summary_text(summary, "runs/x")
          .find("sums over the ranks took 40.0 s, 75 % of it hidden behind the backward pass"),
      std::string::npos);
}

TEST(Summary, SaysHowTheBatchWasShared) {
  TrainSettings settings;
  settings.out = "runs/x";
  settings.fpga_formats = {"int8"};
  settings.balance.kind = BalanceKind::automatic;
  TrainResult result;
  result.test_accuracy = 0.9;
  result.shares = {96, 32};
  result.rebalanced = 2;
  const auto rank = [](int number, const char* role, double compute_s) {
    return Json{{"rank", number},
                {"role", role},
                {"device", "d"},
                {"host", "h"},
                {"samples", 10},
                {"peak_memory_bytes", 1},
                {"seconds", {{"compute", compute_s}}}};
  };
  const RankReports ranks = {rank(0, "gpu", 30), rank(1, "gpu", 10), rank(2, "fpga", 500)};
  Json summary = make_summary(settings, result, ranks, "emulated", 75);
  EXPECT_EQ(summary.at("balance"),
            (Json{{"mode", "auto"}, {"shares", {96, 32}}, {"changes", 2}, {"imbalance", 0.5}}));
  EXPECT_NE(summary_text(summary, "runs/x").find("shares         96:32 of 128 samples (auto)"),
            std::string::npos);
  settings.balance = {};
  summary = make_summary(settings, result, ranks, "emulated", 75);
  EXPECT_NE(summary_text(summary, "runs/x")
                .find("equal, but the slowest rank computed 50 % longer than the mean"),
            std::string::npos);
  settings.chunks = 4;
  result.shares.clear();
  summary = make_summary(settings, result, ranks, "emulated", 75);
  EXPECT_TRUE(summary.at("balance").at("shares").is_null());
  EXPECT_EQ(summary_text(summary, "runs/x").find("shares"), std::string::npos);
}

TEST(Summary, AListOfFormatsEndsInATableAndTheSmallestWithinReach) {
  const Json summary = example({"int8", "int4", "w1a8"});
  const Json& fpga = summary["fpga"];
  ASSERT_EQ(fpga["formats"].size(), 3u);
  EXPECT_EQ(fpga["format"], "int8");
  EXPECT_EQ(fpga["formats"][0]["evaluations"].size(), 2u);
  EXPECT_EQ(fpga["formats"][1]["accuracy"], 0.89);
  EXPECT_EQ(fpga["formats"][2]["bytes"], 50000);
  // The float32 accuracy is 0.91: w1a8 has lost 31 points, int4 two, int8 one.
  EXPECT_EQ(fpga["smallest_within"], "int8");
  const std::string text = summary_text(summary, "runs/x");
  for (const char* part : {"int4", "89.00 %", "-2.00 points"})
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
  EXPECT_TRUE(text.ends_with("smallest format within 1 points: int8\n")) << text;
}

TEST(Summary, TextSaysWhatAPersonWantsToKnow) {
  const std::string text = summary_text(example(), "runs/x");
  for (const char* part :
       {"trained for 3 epochs, 1407 steps of 128 samples", "91.00 %  float32",
        "90.00 %  int8 on the FPGA ranks (emulated card) (-1.00 points)",
        "3000    samples a second", "compute 75 %, reduce 25 %", "runs/x/checkpoint.h5"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
  }
  Json aware = example();
  EXPECT_TRUE(aware["qat"].is_null());
  aware["qat"] = describe(Quantisation{.format = "w1a1"});
  EXPECT_NE(summary_text(aware, "runs/x").find("91.00 %  rounded to w1a1, learned steps, on the"),
            std::string::npos);
  EXPECT_EQ(text.find("poll"), std::string::npos) << "what is under half a percent is left out";
}

}  // namespace
}  // namespace dovetail
