// Declares and checks the options about the run folder.
#include "app/run_options.hpp"

#include <cstdlib>

#include "app/expect.hpp"
#include "support/text.hpp"
#include "train/checkpoint_keeper.hpp"
#include "train/run_folder.hpp"

namespace dovetail::app {
namespace {

/// Whether Slurm has started this job before.
bool is_restarted() {
  const char* count = std::getenv("SLURM_RESTART_COUNT");
  return count != nullptr && std::atoi(count) > 0;
}

}  // namespace

void RunOptions::add_to(CommandLine& line) {
  line.add_flag("resume", resume, "go on from the run folder's newest checkpoint");
  line.add_flag(
      "overwrite", overwrite,
      "begin anew in a run folder that holds checkpoints; the first new one replaces them");
  line.add("checkpoint-steps", checkpoint_steps,
           "a checkpoint each N steps, beside that at each epoch's end; 0: none");
  line.add("checkpoint-minutes", checkpoint_minutes, "a checkpoint each so many minutes; 0: none");
  line.add("keep-checkpoints", keep_checkpoints,
           "the newest ones that are kept in checkpoints/; the best is kept beside them");
  stalls.add_to(line);
  line.add_flag(
      "requeue", requeue,
      "under Slurm: when interrupted by SIGUSR1 (#SBATCH --signal=USR1@120), have the job "
      "queued again; started again, it resumes");
  line.add_flag("resume-restarted", resume_restarted,
                "under Slurm: a job that was queued again resumes, where there is a checkpoint");
}

void RunOptions::apply(TrainSettings& settings) {
  expect(!resume || !overwrite, "--resume and --overwrite exclude each other", "Give one of them");
  expect(checkpoint_minutes >= 0,
         fmt::format("--checkpoint-minutes {} is negative", checkpoint_minutes), "Give 0 or more");
  expect(keep_checkpoints >= 1, "--keep-checkpoints 0 keeps nothing to go on from",
         "Give 1 or more");
  stalls.check();
  if ((requeue || resume_restarted) && is_restarted()) {
    // With --overwrite what is there may still be the run that this one was to replace.
    const char* job = std::getenv("SLURM_JOB_ID");
    resume = CheckpointKeeper::any_in(settings.out) &&
             (!overwrite || is_checkpoint_of(settings.out, job ? job : ""));
    overwrite = overwrite && !resume;
  }
  settings.resume = resume;
  settings.checkpoint_steps = checkpoint_steps;
  settings.checkpoint_minutes = checkpoint_minutes;
  settings.keep_checkpoints = keep_checkpoints;
}

}  // namespace dovetail::app
