// summary.json has the keys that scripts rely on.
#include "train/summary.hpp"

#include <gtest/gtest.h>

namespace dovetail {
namespace {

Json example() {
  TrainSettings settings;
  settings.out = "runs/x";
  TrainResult result;
  result.test_accuracy = 0.91;
  result.epochs = 3;
  result.steps = 1407;
  result.training_s = 60;
  result.trained_samples = 180000;
  result.weights_sha256 = "ab";
  result.evaluations = {{.version = 469, .samples = 100, .correct = 80},
                        {.version = 1407, .samples = 100, .correct = 90}};
  const RankReports ranks = {{{"rank", 0},
                              {"role", "gpu"},
                              {"device", "d0"},
                              {"host", "h"},
                              {"samples", 90000},
                              {"peak_memory_bytes", 1048576},
                              {"seconds", {{"compute", 30.0}, {"reduce", 10.0}, {"poll", 0.01}}}},
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

TEST(Summary, TextSaysWhatAPersonWantsToKnow) {
  const std::string text = summary_text(example(), "runs/x");
  for (const char* part :
       {"trained for 3 epochs, 1407 steps of 128 samples", "91.00 %  float32",
        "90.00 %  int8 on the FPGA ranks (emulated card) (-1.00 points)",
        "3000    samples a second", "compute 75 %, reduce 25 %", "runs/x/checkpoint.h5"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
  }
  EXPECT_EQ(text.find("poll"), std::string::npos) << "what is under half a percent is left out";
}

}  // namespace
}  // namespace dovetail
