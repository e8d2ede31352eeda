// Has Slurm queue this job again.
#pragma once

namespace dovetail::app {

/// Calls `scontrol requeue` for the job of SLURM_JOB_ID. Slurm then ends the job, this process
/// included. Warns where there is no such job or Slurm refuses.
void requeue_job();

}  // namespace dovetail::app
