// What a person is told about a job: before it starts, while it is set up, and where it had nothing
// to do.
#include <fstream>

#include "app/refusal.hpp"
#include "support/json.hpp"

namespace dovetail::testing {
namespace {

using ::testing::Not;

class Usage : public Refusal {
 protected:
  static Outcome succeed(const Words& arguments) {
    const Outcome outcome = dovetail(arguments).run(patiently_s);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.text();
    return outcome;
  }
  Json summary() const { return Json::parse(read_file(run() / "summary.json")); }
};

TEST_F(Usage, HelpOfInferenceSpeaksOfInference) {
  const std::string text = succeed({"infer", "--help"}).out;
  EXPECT_THAT(text, HasSubstr("ranks that infer in float32"));
  EXPECT_THAT(text, Not(HasSubstr("ranks that train")));
  EXPECT_THAT(succeed({"train", "--help"}).out, HasSubstr("ranks that train"));
}

TEST_F(Usage, ARefusedJobLeavesNoRunFolder) {
  const fs::path fresh = run() / "fresh";
  refused(2, train({"--model", "vggg", "--out", fresh}), unusable_arguments, {"'vggg'"});
  EXPECT_FALSE(fs::exists(fresh));
  fs::remove(data() / "train-00001.h5");
  refused(2, train({"--out", fresh}), failure, {data() / "train-00001.h5"});
  EXPECT_FALSE(fs::exists(fresh));
}

TEST_F(Usage, InstructionsThatAreNoneAreRefused) {
  for (const std::string words : {"mmma", "", "none,mma", "mma,", "all"}) {
    refused(dovetail_job(1, train()).with("DOVETAIL_INSTRUCTIONS", words), unusable_arguments,
            {"DOVETAIL_INSTRUCTIONS=" + words + ": there is no \"", "async_copy, mma and wgmma"});
  }
}

TEST_F(Usage, TimeLimitsThatAreNoneAreRefused) {
  for (const char* name : {"--stall-timeout", "--start-timeout"}) {
    for (const char* time : {"0", "-1", "inf"}) {
      refused(dovetail(train({name, time})), unusable_arguments, {name});
      refused(dovetail(infer({name, time})), unusable_arguments, {name});
    }
  }
}

TEST_F(Usage, OptionsWithoutEffectAreRefused) {
  refused(dovetail(train({"--nesterov"})), unusable_arguments, {"--nesterov", "--optimizer adam"});
  refused(dovetail(train({"--momentum", "0.5"})), unusable_arguments,
          {"--momentum", "--optimizer adam"});
  refused(dovetail(train({"--step-epochs", "2"})), unusable_arguments,
          {"--step-epochs", "--lr-schedule cosine"});
  refused(dovetail(train({"--step-factor", "0.5"})), unusable_arguments,
          {"--step-factor", "--lr-schedule cosine"});
}

TEST_F(Usage, OptionsOfBoostsThatAreNotGivenAreRefused) {
  const std::vector<std::pair<Words, std::string>> alone{
      {{"--boost-format", "bfp8"}, "without --boost SHARE"},
      {{"--boost-weight", "auto"}, "without --boost SHARE"},
      {{"--boost-feedback"}, "without --boost SHARE"},
      {{"--boost-measure", "9", "--boost-select", "1/3"}, "without --boost SHARE"},
      {{"--select", "importance"}, "without --boost-select KEEP"},
      {{"--select-format", "int4"}, "without --boost-select KEEP"},
      {{"--boost-wait"}, "without --boost SHARE or --boost-select KEEP"},
      {{"--boost-staleness", "3"}, "without --boost SHARE or --boost-select KEEP"},
  };
  for (const auto& [options, text] : alone)
    refused(dovetail(train(options)), unusable_arguments, {options[0] + " has no effect", text});
}

TEST_F(Usage, OptionsThatTheKindOfSelectionHasNoUseForAreRefused) {
  const std::vector<Words> idle{
      {"--select-discount", "2", "--boost-select", "1/3", "--select", "importance"},
      {"--select-insist", "--boost-select", "1/3"},
      {"--select-format", "int4", "--boost-select", "1/3", "--select", "random"},
      {"--qat-scale", "fixed"},
  };
  for (const Words& options : idle)
    refused(dovetail(train(options)), unusable_arguments, {options[0], " has no effect with"});
}

TEST_F(Usage, ContributedGradientsAreThoseOfTheSameLossAndNetwork) {
  refused(dovetail(train({"--boost", "1/4", "--loss", "mse"})), unusable_arguments,
          {"--boost with --loss mse", "cross-entropy"});
  refused(dovetail(train({"--boost", "1/4", "--qat", "w4a4"})), unusable_arguments,
          {"--boost with --qat"});
}

TEST_F(Usage, SumsOverTheRanksThatCannotBe) {
  refused(dovetail(train({"--chunks", "8"})), unusable_arguments, {"--chunks", "--deterministic"});
  refused(dovetail(train({"--deterministic", "--chunks", "3"})), unusable_arguments,
          {"--chunks 3", "power of two"});
  refused(dovetail(train({"--deterministic", "--compress", "int8"})), unusable_arguments,
          {"--deterministic with --compress int8"});
  refused(dovetail(train({"--deterministic", "--boost-select", "1/3"})), unusable_arguments,
          {"--deterministic with --boost"});
  refused(dovetail(train({"--compress", "int4"})), unusable_arguments, {"--compress 'int4'"});
  refused(dovetail(train({"--reduce", "ring"})), unusable_arguments, {"--reduce 'ring'"});
  refused(dovetail(train({"--balance", "fast"})), unusable_arguments, {"--balance 'fast'"});
  refused(dovetail(train({"--balance", "1:0"})), unusable_arguments,
          {"--balance 1:0", "without samples"});
  refused(dovetail(train({"--balance", "1:2:3"})), unusable_arguments,
          {"--balance 1:2:3 is of 3 GPU ranks, but there are"});
  for (const char* balance : {"auto", "3:1"}) {
    refused(dovetail(train({"--deterministic", "--balance", balance})), unusable_arguments,
            {"with --deterministic, whose chunks"});
  }
  for (const char* size : {"-1", "1e+30", "nan"}) {
    refused(dovetail(train({"--bucket-mb", size})), unusable_arguments,
            {fmt::format("--bucket-mb {}", size)});
  }
}

TEST_F(Usage, TimelinesThatCannotBe) {
  const fs::path file = run() / "trace.json";
  for (const char* steps : {"5:2", "0:9", "7", ":", "1:x", "-1:4", "1:2:3"}) {
    refused(dovetail(train({"--timeline", file, "--timeline-steps", steps})), unusable_arguments,
            {fmt::format("--timeline-steps {} ", steps), "1:50"});
  }
  refused(dovetail(train({"--timeline-steps", "1:9"})), unusable_arguments,
          {"--timeline-steps has no effect without --timeline"});
  refused(dovetail(train({"--timeline", run()})), unusable_arguments, {"is a folder"});
  refused(2, train({"--timeline", "/proc/none/trace.json"}), failure, {"/proc"});
  EXPECT_FALSE(fs::exists(file));
}

TEST_F(Usage, StepsTakeThePlaceOfEpochs) {
  refused(dovetail(train({"--steps", "5"})), unusable_arguments,
          {"--epochs and --steps", "one of them"});
  const auto with = [&](const char* steps) {
    return dovetail({"train", "--data", data(), "--model", "mlp", "--batch", "40", "--out", run(),
                     "--overwrite", "--steps", steps});
  };
  refused(with("0"), unusable_arguments, {"--steps 0 trains nothing"});
  const Outcome outcome = with("2").run(patiently_s);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.text();
  EXPECT_THAT(outcome.out, HasSubstr("trained for 1 epoch, 2 steps of"));
  EXPECT_EQ(summary().at("steps"), 2);
}

TEST_F(Usage, AWarmUpBeyondTheRunIsSaid) {
  const Outcome outcome = succeed(train({"--epochs", "1", "--warmup-epochs", "2"}));
  EXPECT_THAT(outcome.err, HasSubstr("warm-up of 2 epochs is longer than this run of 1 epoch:"));
  EXPECT_EQ(lines_of(outcome.err).size(), 1u) << outcome.err;
}

TEST_F(Usage, ABatchBeyondTheDataSetIsTheDataSet) {
  const Outcome outcome = succeed(train({"--epochs", "1", "--batch", "5000"}));
  EXPECT_THAT(outcome.out, HasSubstr("--batch 5000 is more than the training set"));
  EXPECT_THAT(outcome.out, HasSubstr("trained for 1 epoch, 1 step of 120 samples"));
  EXPECT_EQ(summary().at("batch"), 120);
}

TEST_F(Usage, ResumingAFinishedRunKeepsItsSummary) {
  succeed(train());
  const std::vector<unsigned char> before = read_file(run() / "summary.json");
  const Outcome again = succeed(train({"--resume"}));
  EXPECT_THAT(again.out, HasSubstr("nothing was left to train"));
  EXPECT_TRUE(read_file(run() / "summary.json") == before)
      << read_file(run() / "summary.json").size();
}

TEST_F(Usage, ASummaryOfOtherWeightsIsNotKept) {
  succeed(train());
  replace_file_text(run() / "summary.json", R"({"weights_sha256": "of another run"})");
  succeed(train({"--resume"}));
  EXPECT_EQ(summary().at("weights_sha256").get<std::string>().size(), 64u);
  replace_file_text(run() / "summary.json", "{\"weights");
  succeed(train({"--resume"}));
  EXPECT_EQ(summary().at("weights_sha256").get<std::string>().size(), 64u);
}

TEST_F(Usage, AnotherRecipeOnResumeIsSaid) {
  const Words constant = {"--lr-schedule", "constant", "--optimizer", "sgd", "--epochs"};
  const auto with = [&](const Words& more) {
    Words words = constant;
    words.insert(words.end(), more.begin(), more.end());
    return train(words);
  };
  succeed(with({"1"}));
  EXPECT_EQ(succeed(with({"2", "--resume"})).err, "");
  const Outcome changed = succeed(with({"3", "--resume", "--lr", "0.01", "--momentum", "0.5"}));
  EXPECT_EQ(lines_of(changed.err).size(), 1u) << changed.err;
  EXPECT_THAT(changed.err, HasSubstr("resuming with learning rate 0.01"));
  EXPECT_THAT(changed.err, HasSubstr("trained with learning rate 0.05"));
}

}  // namespace
}  // namespace dovetail::testing
