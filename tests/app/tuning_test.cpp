// Choices of kernels and compute formats as a person meets them: measured once, remembered, and
// recorded; training in every format.
#include <gmock/gmock.h>

#include <fstream>
#include <set>

#include "app/end_to_end.hpp"
#include "train/checkpoint.hpp"

namespace dovetail::testing {
namespace {

using ::testing::HasSubstr;

class Tuning : public EndToEnd {
 protected:
  /// A user's cache folder that nothing else writes to. PoCL's own cache stays where it is warm.
  static Command with_cache(Command command, const std::string& name) {
    if (const char* home = std::getenv("HOME"))
      command.with("POCL_CACHE_DIR", fs::path(home) / ".cache" / "pocl" / "kcache");
    return command.with("XDG_CACHE_HOME", folder() / name);
  }
  static Json tune(const std::string& cache, const Words& more = {}) {
    Words words{"bench", "tune", "--model", "mlp", "--batch", "24", "--json", "-"};
    words.insert(words.end(), more.begin(), more.end());
    const Outcome outcome = with_cache(dovetail(words), cache).run(job_limit_s);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.text();
    return Json::parse(outcome.out, nullptr, false);
  }
  static std::set<std::string> origins(const Json& tuned) {
    std::set<std::string> found;
    for (const Json& choice : tuned.at("choices")) found.insert(choice.at("from"));
    return found;
  }
  static Json kernels(const Json& tuned) {
    Json found = Json::object();
    for (const Json& choice : tuned.at("choices"))
      found[choice.at("problem")] = choice.at("kernels");
    return found;
  }
};

TEST_F(Tuning, TheSecondStartNeitherMeasuresNorCompiles) {
  const Json first = tune("twice"), second = tune("twice");
  EXPECT_EQ(first.at("choices").size(), 8u);  // three layers, but for one input gradient
  EXPECT_TRUE(origins(first).count("measured"));
  EXPECT_FALSE(origins(first).count("remembered"));
  EXPECT_GT(first.at("programs_compiled"), 5);
  EXPECT_FALSE(origins(second).count("measured"));
  EXPECT_TRUE(origins(second).count("remembered"));
  EXPECT_EQ(second.at("programs_compiled"), 0);
  EXPECT_EQ(kernels(second), kernels(first));
}

TEST_F(Tuning, WithoutACacheNothingIsKept) {
  EXPECT_FALSE(origins(tune("none", {"--no-cache"})).count("remembered"));
  EXPECT_FALSE(fs::exists(folder() / "none" / "dovetail"));
}

TEST_F(Tuning, TuneMeasuresAnewWithAndWithoutABenchmark) {
  const auto bench = [&](Words words) {
    words.insert(words.begin(), "bench");
    words.insert(words.end(), {"--model", "mlp", "--batch", "24", "--json", "-"});
    const Outcome outcome = with_cache(dovetail(words), "renewed").run(job_limit_s);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.text();
    return Json::parse(outcome.out, nullptr, false);
  };
  const Json first = bench({"--tune"});
  EXPECT_EQ(first.at("benchmark"), "tune");
  EXPECT_TRUE(origins(first).count("measured"));
  const Json train = bench({"train", "--seconds", "0.01"});
  EXPECT_EQ(train.at("kernels"), kernels(first));
  EXPECT_FALSE(origins(train).count("measured"));
  for (const Words& words : {Words{"--tune"}, Words{"train", "--tune", "--seconds", "0.01"},
                             Words{"gemm", "--tune", "--shape", "24x784x256"}}) {
    const Json again = bench(words);
    EXPECT_TRUE(origins(again).count("measured")) << words.front();
    EXPECT_FALSE(origins(again).count("remembered")) << words.front();
  }
  EXPECT_FALSE(origins(tune("renewed")).count("measured"));
}

TEST_F(Tuning, TuneIsRefusedWhereThereIsNothingToChoose) {
  for (const Words& words :
       {Words{"bench", "link", "--tune"}, Words{"bench", "train", "--tune", "--variant", "cpu"}}) {
    const Outcome outcome = dovetail(words).run(job_limit_s);
    EXPECT_EQ(outcome.exit_code, 2) << outcome.text();
    EXPECT_EQ(errors_beginning(outcome, "dovetail bench: ").size(), 1u) << outcome.text();
  }
}

TEST_F(Tuning, ADamagedCacheIsMadeAnew) {
  tune("damaged");
  std::size_t damaged = 0;
  for (const auto& entry : fs::directory_iterator(folder() / "damaged" / "dovetail")) {
    std::ofstream(entry.path()) << "garbage";
    ++damaged;
  }
  EXPECT_GT(damaged, 8u);
  const Json again = tune("damaged");
  EXPECT_TRUE(origins(again).count("measured"));
  EXPECT_FALSE(origins(tune("damaged")).count("measured"));
}

TEST_F(Tuning, ACacheThatCannotBeWrittenCostsNoMoreThanALine) {
  std::ofstream(folder() / "a file");  // in the place of the folder that holds the cache
  const Outcome outcome =
      with_cache(dovetail({"bench", "tune", "--model", "mlp", "--batch", "24", "--json", "-"}),
                 "a file")
          .run(job_limit_s);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.text();
  EXPECT_EQ(errors_beginning(outcome, "warning: cannot write to the cache").size(), 1u)
      << outcome.text();
  EXPECT_EQ(Json::parse(outcome.out, nullptr, false).at("choices").size(), 8u);
}

// Four at once: one measures and builds, and the others find what it left.
TEST_F(Tuning, RanksThatStartAtOnceShareOneMeasurement) {
  const Outcome outcome =
      with_cache(
          dovetail_job(4, {"bench", "tune", "--model", "mlp", "--batch", "24", "--json", "-"}),
          "ranks")
          .run(job_limit_s);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.text();
  EXPECT_EQ(outcome.err.find("damaged"), std::string::npos) << outcome.err;
  const Json by_rank = Json::parse(outcome.out, nullptr, false).at("by_rank");
  for (const char* what : {"measured", "programs_compiled"}) {
    const auto counts = by_rank.at(what).get<std::vector<int>>();
    ASSERT_EQ(counts.size(), 4u);
    EXPECT_GT(counts[0], 0) << what;
    for (std::size_t rank = 1; rank < counts.size(); ++rank)
      EXPECT_EQ(counts[rank], 0) << what << " by rank " << rank;
  }
  const Words alone{"bench", "tune", "--model", "mlp", "--batch", "6", "--json", "-"};
  const Outcome later = with_cache(dovetail(alone), "ranks").run(job_limit_s);
  const Json json = Json::parse(later.out, nullptr, false);
  EXPECT_EQ(kernels(json).size(), 8u);
}

TEST_F(Tuning, ARunRecordsItsKernelsAndFormat) {
  const Json& start = reference_.events.front();
  EXPECT_EQ(start.at("format"), "float32");
  EXPECT_EQ(start.at("kernels").size(), 8u);
  EXPECT_EQ(start.at("kernels"), reference_.summary.at("kernels"));
  EXPECT_EQ(reference_.summary.at("format_emulated"), false);
}

TEST_F(Tuning, TrainsInEveryFormat) {
  const double exact = reference_.summary.at("test_accuracy").get<double>();
  std::set<std::string> weights{reference_.weights()};
  for (const std::string format : {"tf32", "bf16", "fp16"}) {
    Words options = usual();
    options.insert(options.end(), {"--format", format});
    const FinishedRun run = train(format, options);
    ASSERT_EQ(run.outcome.exit_code, 0) << run.outcome.text();
    EXPECT_TRUE(weights.insert(run.weights()).second) << format << " changed nothing";
    EXPECT_NEAR(run.summary.at("test_accuracy").get<double>(), exact, 0.08) << format;
    EXPECT_EQ(run.summary.at("format"), format);
    EXPECT_EQ(run.summary.at("format_emulated").get<bool>(),
              run.outcome.out.find("is emulated") != std::string::npos);
    EXPECT_THAT(run.outcome.out, HasSubstr("% (" + format + ")"));
    EXPECT_LT(run.summary.at("skipped_steps").get<int>(), format == "fp16" ? 12 : 1);
    EXPECT_EQ(load_checkpoint(run.folder / "checkpoint.h5").loss_scale.has_value(),
              format == "fp16");
  }
}

TEST_F(Tuning, ResumingInFp16GoesOnWithTheLossScale) {
  Words options = usual(2);
  options.insert(options.end(), {"--format", "fp16", "--lr-schedule", "constant"});
  const FinishedRun at_once = train("fp16-at-once", options);
  options[5] = "1";
  ASSERT_EQ(train("fp16-one-by-one", options).outcome.exit_code, 0);
  options[5] = "2";
  options.push_back("--resume");
  const FinishedRun resumed = train("fp16-one-by-one", options);
  ASSERT_EQ(resumed.outcome.exit_code, 0) << resumed.outcome.text();
  EXPECT_EQ(resumed.weights(), at_once.weights());
}

TEST_F(Tuning, RefusesFormatsThatCannotBe) {
  for (const Words& more : {Words{"--format", "fp8"}, Words{"--format", "bf16", "--qat", "w1a1"}}) {
    Words words{"train", "--data", data(), "--out", folder() / "refused", "--model", "mlp"};
    words.insert(words.end(), more.begin(), more.end());
    const Outcome outcome = dovetail(words).run(job_limit_s);
    EXPECT_EQ(outcome.exit_code, 2) << outcome.text();
    EXPECT_EQ(errors_beginning(outcome, "dovetail train: ").size(), 1u) << outcome.text();
  }
}

}  // namespace
}  // namespace dovetail::testing
