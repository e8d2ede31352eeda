// Options of `dovetail train` about its run folder: checkpoints, stops and stalls.
#pragma once

#include <cstdint>

#include "app/command_line.hpp"
#include "app/job_watch.hpp"
#include "train/run_folder.hpp"
#include "train/trainer.hpp"

namespace dovetail::app {

struct RunOptions {
  bool resume = false;
  bool overwrite = false;
  bool requeue = false;
  bool resume_restarted = false;
  StallOptions stalls;
  std::uint64_t checkpoint_steps = 0;
  double checkpoint_minutes = 0;
  std::uint64_t keep_checkpoints = TrainSettings{}.keep_checkpoints;

  void add_to(CommandLine& line);
  /// Throws UsageError for what cannot work; fills in what the trainer needs to know. A job that
  /// Slurm has started again (SLURM_RESTART_COUNT) resumes, with --requeue or --resume-restarted,
  /// where there is a checkpoint.
  void apply(TrainSettings& settings);
  RunFolder::Use use() const { return {.resume = resume, .overwrite = overwrite}; }
};

}  // namespace dovetail::app
