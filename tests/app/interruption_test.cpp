// How a job ends before its time: asked by a signal, stalled, or with a rank killed; and that the
// next one goes on from there.
#include <gmock/gmock.h>

#include <csignal>

#include "app/end_to_end.hpp"
#include "support/gzip.hpp"
#include "train/checkpoint.hpp"

namespace dovetail::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr int interrupted = 75;

class Interruption : public EndToEnd {
 protected:
  static Words long_run() {
    Words options = usual(4);
    options.insert(options.end(), {"--checkpoint-steps", "10"});
    return options;
  }
  /// A launcher that has `rank` do `action` to itself once `out`'s log tells of `event`.
  static Words once(const std::string& out, const std::string& event, int rank,
                    const std::string& action) {
    const std::string script = fmt::format(
        "[ \"$OMPI_COMM_WORLD_RANK\" != {} ] || (for i in $(seq 3000); do if grep -qs '\"{}\",' "
        "'{}'; then {}; exit; fi; sleep 0.02; done) & exec \"$@\"",
        rank, event, (folder() / out / "run.jsonl").string(), action);
    return {"sh", "-c", script, "sh"};
  }
  static Json summary_of(const std::string& out) {
    return Json::parse(read_file(folder() / out / "summary.json"));
  }
  static const FinishedRun& undisturbed() {
    static const FinishedRun run = train("undisturbed", long_run());
    return run;
  }
  static void goes_on(const std::string& out) {
    Words further = long_run();
    further.push_back("--resume");
    const FinishedRun resumed = train(out, further);
    ASSERT_EQ(resumed.outcome.exit_code, 0) << resumed.outcome.text();
    EXPECT_EQ(resumed.weights(), undisturbed().weights());
    EXPECT_EQ(resumed.summary.at("status"), "done");
    EXPECT_EQ(resumed.summary.at("train_loss"), undisturbed().summary.at("train_loss"));
    EXPECT_FALSE(fs::exists(folder() / out / ".ranks"));
  }
  static int last_rank() { return has_card() ? 2 : 1; }
};

TEST_F(Interruption, ASignalToAnyRankStopsAllWithACheckpointAndTheDocumentedCode) {
  for (const auto& [rank, signal] : {std::pair(0, "TERM"), {last_rank(), "USR1"}}) {
    const std::string out = fmt::format("signal-{}", rank);
    SCOPED_TRACE(out);
    const fs::path timeline = folder() / (out + ".json.gz");
    Words options = long_run();
    options.insert(options.end(), {"--timeline", timeline});
    const FinishedRun run =
        train(out, options, once(out, "epoch", rank, fmt::format("kill -{} $$", signal)));
    EXPECT_EQ(run.outcome.exit_code, interrupted) << run.outcome.text();
    EXPECT_FALSE(run.outcome.left_behind) << run.outcome.text();
    EXPECT_EQ(errors_beginning(run.outcome, "dovetail").size(), 0u) << run.outcome.text();
    EXPECT_THAT(run.outcome.out, HasSubstr("stopping after step"));
    const Json summary = summary_of(out);
    EXPECT_EQ(summary.at("status"), "interrupted");
    const Checkpoint checkpoint = load_checkpoint(folder() / out / "checkpoint.h5");
    EXPECT_EQ(summary.at("steps"), checkpoint.step);
    EXPECT_LT(checkpoint.step, 120u);
    const Json trace = Json::parse(read_unzipped(timeline));
    EXPECT_GT(trace.at("traceEvents").size(), 1000u);
    goes_on(out);
  }
}

TEST_F(Interruption, AStopAtTheVeryLastStepLeavesTheEvaluationToTheNextStart) {
  // One step, which is on when the signal comes, if it comes in time.
  const Words options{"--model", "cnn", "--batch", "600", "--epochs", "1"};
  for (int attempt = 0; attempt < 10; ++attempt) {
    const std::string out = fmt::format("last-step-{}", attempt);
    const FinishedRun stopped = train(out, options, once(out, "start", 0, "kill -TERM $$"));
    if (stopped.outcome.exit_code == 0) continue;
    ASSERT_EQ(stopped.outcome.exit_code, interrupted) << stopped.outcome.text();
    const Json before = summary_of(out);
    EXPECT_EQ(before.at("epochs"), 0);
    EXPECT_TRUE(before.at("test_accuracy").is_null()) << before.dump();
    Words further = options;
    further.push_back("--resume");
    const FinishedRun resumed = train(out, further);
    ASSERT_EQ(resumed.outcome.exit_code, 0) << resumed.outcome.text();
    EXPECT_EQ(resumed.summary.at("status"), "done");
    EXPECT_EQ(resumed.summary.at("epochs"), 1);
    EXPECT_TRUE(resumed.summary.at("test_accuracy").is_number());
    EXPECT_EQ(resumed.weights(), before.at("weights_sha256"));
    return;
  }
  FAIL() << "no signal came in the last step";
}

TEST_F(Interruption, AnInterruptedSlurmJobIsQueuedAgainAndThenResumes) {
  // A script in the place of Slurm's own writes down what it was asked.
  const fs::path bin = folder() / "bin", asked = folder() / "asked";
  fs::create_directories(bin);
  replace_file_text(bin / "scontrol",
                    fmt::format("#!/bin/sh\necho \"$@\" >>'{}'\n", asked.string()));
  fs::permissions(bin / "scontrol", fs::perms::owner_all);
  Words words{"train", "--data", data(), "--out", folder() / "slurm", "--requeue"};
  for (const Words& more : {long_run(), ranks()})
    words.insert(words.end(), more.begin(), more.end());
  const auto job = [&](const Words& launcher) {
    // Set for the rank itself: mpirun puts its own folder first, where a real scontrol may lie.
    Words in_rank{"env", "PATH=" + bin.string() + ":" + std::getenv("PATH")};
    in_rank.insert(in_rank.end(), launcher.begin(), launcher.end());
    return dovetail_job(has_card() ? 3 : 2, words, in_rank)
        .with("SLURM_JOB_ID", "4711")
        .with("OMPI_MCA_ras", "^slurm")
        .with("OMPI_MCA_plm", "^slurm");
  };
  // Somebody's scancel: cancelled is cancelled.
  const Outcome cancelled = job(once("slurm", "epoch", 1, "kill -TERM $$")).run(job_limit_s);
  EXPECT_EQ(cancelled.exit_code, interrupted) << cancelled.text();
  EXPECT_FALSE(fs::exists(asked));
  fs::remove_all(folder() / "slurm");
  const Outcome first = job(once("slurm", "epoch", 1, "kill -USR1 $$")).run(job_limit_s);
  EXPECT_EQ(first.exit_code, interrupted) << first.text();
  const std::vector<unsigned char> text = read_file(asked);
  EXPECT_EQ(std::string(text.begin(), text.end()), "requeue 4711\n");
  const Outcome second = job({}).with("SLURM_RESTART_COUNT", "1").run(job_limit_s);
  EXPECT_EQ(second.exit_code, 0) << second.text();
  EXPECT_THAT(second.out, HasSubstr("resuming after epoch"));
  EXPECT_EQ(summary_of("slurm").at("weights_sha256"), undisturbed().weights());

  // Another job was to overwrite that run, and was started again before it had a checkpoint.
  words.push_back("--overwrite");
  fs::remove(folder() / "slurm/run.jsonl");  // in which the next one's first epoch is awaited
  const auto other = [&](const Words& launcher) {
    return job(launcher).with("SLURM_JOB_ID", "4712").with("SLURM_RESTART_COUNT", "1");
  };
  const Outcome third = other(once("slurm", "epoch", 1, "kill -USR1 $$")).run(job_limit_s);
  EXPECT_EQ(third.exit_code, interrupted) << third.text();
  EXPECT_THAT(third.out, Not(HasSubstr("resuming after")));
  const Outcome fourth = other({}).run(job_limit_s);
  EXPECT_EQ(fourth.exit_code, 0) << fourth.text();
  EXPECT_THAT(fourth.out, HasSubstr("resuming after epoch"));
  EXPECT_EQ(summary_of("slurm").at("weights_sha256"), undisturbed().weights());
}

TEST_F(Interruption, AKilledRankEndsTheJobWithOneLineThatNamesIt) {
  for (const int rank : {0, 1}) {
    const std::string out = fmt::format("killed-{}", rank);
    SCOPED_TRACE(out);
    const FinishedRun run = train(out, long_run(), once(out, "checkpoint", rank, "kill -KILL $$"));
    EXPECT_NE(run.outcome.exit_code, 0) << run.outcome.text();
    EXPECT_LT(run.outcome.seconds, 20 * patience);
    const std::vector<std::string> lines = errors_beginning(run.outcome, "dovetail");
    ASSERT_EQ(lines.size(), 1u) << run.outcome.text();
    EXPECT_THAT(lines.front(), HasSubstr(fmt::format("rank {} on ", rank)));
    EXPECT_THAT(lines.front(), HasSubstr("is gone"));
    EXPECT_THAT(lines.front(), HasSubstr("--resume"));
    EXPECT_EQ(summary_of(out).at("status"), "failed");
    goes_on(out);
  }
}

TEST_F(Interruption, AStoppedRankIsNamedByThoseThatWaitForIt) {
  const std::string out = "stalled";
  Words options = long_run();
  options.insert(options.end(), {"--stall-timeout", "5"});
  const FinishedRun run = train(out, options, once(out, "checkpoint", 1, "kill -STOP $$"));
  EXPECT_EQ(run.outcome.exit_code, 1) << run.outcome.text();
  const std::vector<std::string> lines = errors_beginning(run.outcome, "dovetail");
  ASSERT_EQ(lines.size(), 1u) << run.outcome.text();
  EXPECT_THAT(lines.front(), HasSubstr("rank 1 on "));
  EXPECT_THAT(lines.front(), HasSubstr("gives no sign of life"));
  EXPECT_THAT(lines.front(), HasSubstr("waits in "));
  EXPECT_THAT(lines.front(), HasSubstr((folder() / out / "checkpoint.h5").string()));
  EXPECT_EQ(summary_of(out).at("status"), "failed");
  goes_on(out);
}

TEST_F(Interruption, AUsedRunFolderIsNotTrainedOverUnasked) {
  const FinishedRun first = train("used", usual(1));
  ASSERT_EQ(first.outcome.exit_code, 0) << first.outcome.text();
  const FinishedRun refused = train("used", usual(1));
  EXPECT_EQ(refused.outcome.exit_code, 2) << refused.outcome.text();
  const auto lines = errors_beginning(refused.outcome, "dovetail train: the run folder ");
  ASSERT_EQ(lines.size(), 1u) << refused.outcome.text();
  EXPECT_THAT(lines.front(), HasSubstr("--resume to go on"));
  EXPECT_EQ(summary_of("used").at("status"), "done") << "the refusal has changed it";
  Words over = usual(1);
  over.push_back("--overwrite");
  EXPECT_EQ(train("used", over).weights(), first.weights());
}

TEST_F(Interruption, ARunFolderBelongsToOneJobAtATime) {
  // The second job starts from within the first, which is stopped meanwhile.
  Words second = {DOVETAIL_PROGRAM,    "train",   "--data", data(), "--out",
                  folder() / "shared", "--resume"};
  for (const std::string& word : usual(1)) second.push_back(word);
  const std::string refusal = (folder() / "refusal").string();
  const FinishedRun first =
      train("shared", usual(300),
            once("shared", "epoch", 1,
                 // Without the first job's environment, in which it would be one of its ranks.
                 fmt::format("env -i PATH=\"$PATH\" {} >'{}' 2>&1; kill -USR1 $$",
                             fmt::join(second, " "), refusal)));
  EXPECT_EQ(first.outcome.exit_code, interrupted) << first.outcome.text();
  const std::vector<unsigned char> said = read_file(refusal);
  const std::string text(said.begin(), said.end());
  EXPECT_THAT(text, HasSubstr("is in use by another job: process "));
}

}  // namespace
}  // namespace dovetail::testing
