#!/usr/bin/env bash
# Submits the scripts in jobs/slurm to a real Slurm of two nodes on this machine: slurm_test.sh PROGRAM HAS_CARD
set -euo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
program=$(realpath "$1") has_card=$2
# shellcheck source=tests/jobs/slurm_cluster.sh
source "$repository/tests/jobs/slurm_cluster.sh"
# shellcheck source=tests/app/noise_shards.sh
source "$repository/tests/app/noise_shards.sh"
reason=$(why_no_cluster)
if [[ -n "$reason" ]]; then
  echo "skipped: $reason"
  exit 77
fi

scratch=$(mktemp -d)
end() {
  local code=$?
  stop_cluster || true
  rm -rf "$scratch"
  exit "$code"
}
trap end EXIT
job=none
fail() {
  printf 'FAILED: %s\n' "$*" >&2
  tail -n 40 "dovetail-$job.log" >&2 || true
  show_cluster "$job" >&2 || true
  exit 1
}

# A copy of jobs/ to submit from, whose site is this cluster.
mkdir "$scratch/checkout"
cd "$scratch/checkout"
cp -r "$repository/jobs" jobs
noise_shards "$program" data 600 200
export DOVETAIL_SITE=$scratch/site.env
# site LINES...: what the next jobs find there.
site() {
  {
    echo "source jobs/site.env; program='$program'; data=data; network_interface=lo; gpus_per_node=1; cards_per_node=1; sigkill_timeout_s=1"
    printf '%s\n' "$@"
  } >"$DOVETAIL_SITE"
}

# submit KIND: queues a job of about two seconds, whose number is then in `job`.
submit() {
  local answer
  answer=$(jobs/slurm/submit.sh "$1" -- --model mlp --batch 20 --epochs 8 --lr-schedule constant)
  job=${answer##* }
}
state() { squeue --noheader --states=all --jobs="$job" --format=%T | head -n 1; }
# within SECONDS COMMAND...: whether it succeeds by then.
within() {
  local tries=$(($1 * 10))
  shift
  until "$@"; do
    ((--tries > 0)) || return 1
    sleep 0.1
  done
}
until_true() { within "$@" || fail "waited in vain for '${*:2}'; job $job is $(state)"; }
is_over() { [[ $(state) =~ ^(COMPLETED|FAILED|CANCELLED|TIMEOUT|NODE_FAIL)$ ]]; }
has_epoch() { grep -qs '"epoch",' "runs/slurm-$job/run.jsonl"; }
# srun_hangs: whether the job has done all and its ranks are gone, and srun waits nevertheless. Slurm 22.05's has been seen to,
# once, in a heterogeneous job.
srun_hangs() {
  grep -qs '"status": "done"' "runs/slurm-$job/summary.json" && pgrep -x srun >/dev/null &&
    ! pgrep -a -x dovetail | grep -q "slurm-$job"
}
hung=0
# finished: waits for the job and leaves its weights' checksum in `weights`.
finished() {
  if ! within 60 is_over && srun_hangs && ((++hung == 1)); then
    echo "srun hangs in its own end, with no rank left: job $job is cancelled"
    scancel "$job"
    until_true 30 is_over
  else
    [[ $(state) == COMPLETED ]] || fail "waited for job $job, which is $(state)"
  fi
  grep -q '"status": "done"' "runs/slurm-$job/summary.json" || fail "the summary of job $job"
  weights=$(sed -n 's/.*"weights_sha256": "\(.*\)".*/\1/p' "runs/slurm-$job/summary.json")
}
# interrupt: what `--signal=B:USR1@120` does two minutes before the time is up.
interrupt() {
  until_true 30 has_epoch
  scancel --batch --signal=USR1 "$job"
}
queued_again() { [[ $(scontrol show job "$job") == *Restarts=1* ]]; }
# started: whether the job has; if not, Slurm is given a reason to look at it.
started() {
  [[ $(state) =~ ^(RUNNING|COMPLETED|FAILED)$ ]] && return
  scontrol reconfigure
  sleep 1
  return 1
}
requeued() {
  grep -q "SIGUSR1: the ranks" "dovetail-$job.log" || fail "the notice has not come"
  grep -q "stopping after step" "dovetail-$job.log" || fail "no rank has stopped for the notice"
  grep -q "job $job is queued again" "dovetail-$job.log" || fail "the job is not queued again"
  grep -q "resuming after" "dovetail-$job.log" || fail "the job has begun anew"
}
cancelled() {
  until_true 30 has_epoch
  scancel "$job"
  until_true 30 is_over
  sleep 1
  [[ $(state) == CANCELLED ]] || fail "the cancelled job is $(state)"
  grep -q "queued again" "dovetail-$job.log" && fail "the cancelled job was queued again"
  return 0
}
hosts_of() { grep -o '"host": "[^"]*"' "runs/slurm-$job/summary.json" | sort -u | cut -d '"' -f 4 | xargs; }

start_cluster "$scratch/cluster"

echo "One partition, a GPU rank on each of two nodes"
site gpu_nodes=2 gpu_feature=
submit train
finished
[[ $(hosts_of) == "fpga1 gpu1" ]] || fail "the ranks ran on $(hosts_of)"
expected=$weights

echo "The same, interrupted and queued again"
submit train
interrupt
finished
requeued
[[ $weights == "$expected" ]] || fail "the interrupted job ended with other weights"

echo "The same, cancelled: it is not queued again"
submit train
cancelled

echo "The same with srun in place of mpirun, interrupted and queued again"
site gpu_nodes=2 gpu_feature= launcher=srun
submit train
interrupt
finished
requeued
[[ $(hosts_of) == "fpga1 gpu1" ]] || fail "the ranks ran on $(hosts_of)"
[[ $weights == "$expected" ]] || fail "the job under srun ended with other weights"

submit_own() {
  answer=$(sbatch --nodes=2 --requeue --open-mode=append --output=dovetail-%j.log --wrap "export OMPI_MCA_btl_tcp_if_include=lo
  srun --mpi=pmix --ntasks=2 --overcommit '$program' train --data data --model mlp --batch 20 --epochs 8 --lr-schedule constant \\
    --gpu-ranks 2 --fpga-ranks 0 --requeue --out runs/slurm-\$SLURM_JOB_ID")
  job=${answer##* }
}
echo "A batch script of one's own, whose ranks have the job queued again (--requeue)"
submit_own
until_true 30 has_epoch
scancel --signal=USR1 "$job" # the ranks, not the script
until_true 30 queued_again
finished
grep -q "job $job is queued again" "dovetail-$job.log" || fail "the lead does not say that the job is queued again"
grep -q "resuming after" "dovetail-$job.log" || fail "the job has begun anew"
[[ $(hosts_of) == "fpga1 gpu1" ]] || fail "the ranks ran on $(hosts_of)"
[[ $weights == "$expected" ]] || fail "the job with --requeue ended with other weights"

echo "The same, cancelled: it is not queued again"
submit_own
cancelled

((has_card)) || exit 0
echo "One partition, nodes told apart by feature"
site gpu_nodes=1 fpga_nodes=1
submit train
finished
grep -A2 '"role": "fpga"' "runs/slurm-$job/summary.json" >/dev/null || fail "no FPGA rank"
[[ $(hosts_of) == "fpga1 gpu1" ]] || fail "the ranks ran on $(hosts_of)"
expected=$weights

echo "A heterogeneous job of two partitions, interrupted and queued again"
submit hetjob
interrupt
# Slurm's backfill scheduler, which alone starts heterogeneous jobs, looks at them again when something has changed; on
# this quiet cluster nothing does once the job may start again.
until_true 30 queued_again
until_true 6 started
finished
requeued
[[ $(hosts_of) == "fpga1 gpu1" ]] || fail "the ranks ran on $(hosts_of)"
[[ $weights == "$expected" ]] || fail "the heterogeneous job ended with other weights"

echo "A heterogeneous job with srun"
site gpu_nodes=1 fpga_nodes=1 launcher=srun
submit hetjob
finished
[[ $(hosts_of) == "fpga1 gpu1" ]] || fail "the ranks ran on $(hosts_of)"
[[ $weights == "$expected" ]] || fail "the heterogeneous job under srun ended with other weights"
