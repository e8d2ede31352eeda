// Jobs that would wait for ever: a card's driver that does not return, a rank that is stopped or
// killed, from a job's start to its end. Each ends in one line that says which rank, where, in
// what, and what to do.
//
// What stalls does so for good, so the time limits only have to be longer than what does not.
#include "app/refusal.hpp"
#include "support/json.hpp"

namespace dovetail::testing {
namespace {

std::string seconds(double s) {
  return fmt::format("{}", s * patience);
}

class Stall : public Refusal {
 protected:
  void SetUp() override {
    if (std::string(DOVETAIL_EMULATED_CARD_FOLDER).empty())
      GTEST_SKIP() << "this build has no emulated card";
    Refusal::SetUp();
  }

  /// A launcher that puts a fault into one rank's card, and has that rank do `action` to itself
  /// ($$) once `file` exists and has `word` in it.
  static Words launcher(int rank, const std::string& fault, const fs::path& file = {},
                        const std::string& word = "", const std::string& action = "") {
    const std::string later = fmt::format(
        "(for i in $(seq 3000); do if grep -qs '{}' '{}'; then {}; exit; fi; "
        "sleep 0.02; done) &",
        word, file.string(), action);
    return {"sh", "-c",
            fmt::format("if [ \"$OMPI_COMM_WORLD_RANK\" = {} ]; then export "
                        "DOVETAIL_CARD_FAULT={}; {} fi; exec \"$@\"",
                        rank, fault, action.empty() ? "" : later),
            "sh"};
  }
  fs::path predictions() const { return run() / "predictions.h5"; }
  fs::path signs() const { return run() / ".predictions.h5.ranks"; }
  Words infer_on_cards(const Words& others) const {
    Words words{"--format", "int8", "--out", predictions()};
    words.insert(words.end(), others.begin(), others.end());
    return infer(words);
  }

  static void expect_line(const Outcome& outcome, const Words& words) {
    EXPECT_NE(outcome.exit_code, 0) << outcome.text();
    EXPECT_FALSE(outcome.timed_out || outcome.left_behind) << outcome.text();
    const std::vector<std::string> lines = errors_beginning(outcome, "dovetail");
    ASSERT_EQ(lines.size(), 1u) << outcome.text();
    for (const std::string& word : words) EXPECT_THAT(lines.front(), HasSubstr(word));
  }
  void expect_nothing_of_infer() const {
    EXPECT_FALSE(fs::exists(predictions()));
    EXPECT_FALSE(fs::exists(signs()));
  }
};

struct StuckCall {
  const char* name;
  const char* fault;
  Words limit;
  const char* line;
};
class InferringCardThatHangs : public Stall, public ::testing::WithParamInterface<StuckCall> {};
TEST_P(InferringCardThatHangs, IsNamedAndEndsTheJob) {
  const StuckCall& stuck = GetParam();
  const Outcome alone = dovetail(infer_on_cards(stuck.limit))
                            .with("DOVETAIL_CARD_FAULT", stuck.fault)
                            .run(patiently_s);
  EXPECT_EQ(alone.exit_code, failure);
  expect_line(alone, {"dovetail infer: rank 0 on ", "(dovetail_emulated_card): ", stuck.line,
                      "has not returned for ", " s. Look at that device and host"});
  expect_nothing_of_infer();
}
INSTANTIATE_TEST_SUITE_P(
    In, InferringCardThatHangs,
    ::testing::Values(
        StuckCall{"ALoad", "load:1", {"--start-timeout", seconds(3)}, "card (loading an xclbin)"},
        StuckCall{
            "AWrite", "write:1", {"--start-timeout", seconds(3)}, "load (writing to the card)"},
        StuckCall{
            "ARead", "read:1", {"--stall-timeout", seconds(2)}, "infer (reading from the card)"}),
    [](const auto& tested) { return std::string(tested.param.name); });

TEST_F(Stall, OneOfSeveralInferringRanksIsNamedByItself) {
  const Words words = infer_on_cards({"--stall-timeout", seconds(2)});
  expect_line(
      dovetail_job(2, words, launcher(1, "read:1")).run(patiently_s),
      {"dovetail infer: rank 1 on ", "infer (reading from the card) has not returned for "});
  expect_nothing_of_infer();
}

/// Rank 1, held up at its start, which may take long, is stopped; rank 0 waits for it in the end.
TEST_F(Stall, AStoppedRankIsNamedByTheOneThatWaitsForItsPredictions) {
  const Words words = infer_on_cards({"--stall-timeout", seconds(1.5)});
  const Words stopped = launcher(1, "load:1", signs() / "rank-1", "card", "kill -STOP $$");
  expect_line(dovetail_job(2, words, stopped).run(patiently_s),
              {"dovetail infer: rank 1 on ", "gives no sign of life for ", "; rank 0 on ",
               "waits in gather for "});
  expect_nothing_of_infer();
}

TEST_F(Stall, AKilledInferringRankIsNamed) {
  const Words killed = launcher(1, "load:1", signs() / "rank-1", "card", "kill -KILL $$");
  expect_line(dovetail_job(2, infer_on_cards({}), killed).run(patiently_s),
              {"dovetail infer: rank 1 on ", "is gone: its process ", "was killed, last in card"});
  expect_nothing_of_infer();
}

TEST_F(Stall, PredictionsAreWrittenByOneJobAtATime) {
  Words second{DOVETAIL_PROGRAM};
  for (const std::string& word : infer_on_cards({})) second.push_back(word);
  const fs::path said = run() / "said";
  // Without the first job's environment, in which the second would be one of its ranks.
  const std::string action = fmt::format("env -i PATH=\"$PATH\" {} >'{}' 2>&1; kill -KILL $$",
                                         fmt::join(second, " "), said.string());
  const Words first = launcher(0, "read:1", signs() / "rank-0", "infer", action);
  const Outcome killed = dovetail_job(1, infer_on_cards({}), first).run(patiently_s);
  EXPECT_NE(killed.exit_code, 0) << killed.text();
  const std::vector<unsigned char> text = read_file(said);
  EXPECT_THAT(std::string(text.begin(), text.end()),
              HasSubstr("predictions.h5 is being written by another job: process "));
  // What a killed job has left is in nobody's way.
  EXPECT_TRUE(fs::exists(signs()));
  const Outcome next = dovetail(infer_on_cards({})).run(patiently_s);
  EXPECT_EQ(next.exit_code, 0) << next.text();
  EXPECT_TRUE(fs::exists(predictions()));
  EXPECT_FALSE(fs::exists(signs()));
}

TEST_F(Stall, ACardThatHangsAtTheStartOfTrainingIsNamed) {
  const fs::path fresh = run() / "new" / "run";
  const Words words = train({"--out", fresh, "--fpga-ranks", "1", "--start-timeout", seconds(4)});
  expect_line(
      dovetail_job(2, words, launcher(1, "load:1")).run(patiently_s),
      {"dovetail train: rank 1 on ", "(dovetail_emulated_card): card (loading an xclbin) has",
       "There is no checkpoint yet: start it anew"});
  EXPECT_FALSE(fs::exists(run() / "new")) << "nothing was trained";
  EXPECT_TRUE(fs::exists(run()));
}

TEST_F(Stall, ARankThatIsStoppedBeforeTrainingBeginsIsNamed) {
  const Words words = train({"--fpga-ranks", "1", "--start-timeout", seconds(4)});
  const Words stopped = launcher(1, "load:1", run() / ".ranks" / "rank-1", "", "kill -STOP $$");
  expect_line(
      dovetail_job(2, words, stopped).run(patiently_s),
      {"dovetail train: rank 1 on ", "gives no sign of life for ", "; rank 0 on ", "waits in "});
  expect_checkpoint_as_it_was();
  EXPECT_FALSE(fs::exists(run() / "summary.json"));
  EXPECT_FALSE(fs::exists(run() / ".ranks"));
}

TEST_F(Stall, ACardThatHangsInATransferEndsTheTraining) {
  const Words words = train({"--fpga-ranks", "1", "--stall-timeout", seconds(3)});
  expect_line(dovetail_job(2, words, launcher(1, "read:1")).run(patiently_s),
              {"dovetail train: rank 1 on ", "(dovetail_emulated_card): evaluate of step ",
               "(reading from the card) has not returned for ", "Go on from ", "--resume"});
  const Json summary = Json::parse(read_file(run() / "summary.json"));
  EXPECT_EQ(summary.at("status"), "failed");
  EXPECT_THAT(summary.at("error").get<std::string>(), HasSubstr("(reading from the card)"));
}

/// The last thing that a rank may wait for: Slurm's scontrol, once all is written.
TEST_F(Stall, WhoeverHangsAtTheEndOfTrainingIsNamed) {
  const fs::path bin = run() / "bin";
  fs::create_directories(bin);
  // As long as its rank lives.
  replace_file_text(bin / "scontrol", "#!/bin/sh\nwhile kill -0 $PPID; do sleep 0.1; done\n");
  fs::permissions(bin / "scontrol", fs::perms::owner_all);
  const Words words = train({"--requeue", "--epochs", "100000", "--fpga-ranks", "1",
                             "--lr-schedule", "constant", "--stall-timeout", seconds(3)});
  Words in_rank{"env", "PATH=" + bin.string() + ":" + std::getenv("PATH")};
  for (const std::string& word :
       launcher(0, "", run() / "run.jsonl", "\"epoch\",", "kill -USR1 $$"))
    in_rank.push_back(word);
  const Outcome outcome = dovetail_job(2, words, in_rank)
                              .with("SLURM_JOB_ID", "4711")
                              .with("OMPI_MCA_ras", "^slurm")
                              .with("OMPI_MCA_plm", "^slurm")
                              .run(patiently_s);
  expect_line(outcome, {"dovetail train: rank 0 on ", "requeue has not returned for ", "--resume"});
  EXPECT_EQ(Json::parse(read_file(run() / "summary.json")).at("status"), "interrupted");
}

}  // namespace
}  // namespace dovetail::testing
