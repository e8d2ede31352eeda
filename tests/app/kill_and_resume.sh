#!/usr/bin/env bash
# Kills a random rank at random moments, checkpoint writes included, resumes, and sees that the weights end as those of
# the undisturbed run: kill_and_resume.sh PROGRAM KILLS [TRAIN_OPTIONS...]; SEED=N repeats the moments.
set -euo pipefail

program=${1:?which program?} kills=${2:?how many kills?}
shift 2
read -ra launcher <<<"${MPIEXEC:-mpirun --oversubscribe --bind-to none}"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
gpu_ranks=${GPU_RANKS:-2} fpga_ranks=${FPGA_RANKS:-0}
seed=${SEED:-$RANDOM}
RANDOM=$seed
scratch=$(mktemp -d) job=
# The job, where one runs, with its ranks.
stop_job() {
  [[ -n $job ]] || return 0
  pkill -KILL -P "$job" || true
  kill -KILL "$job" 2>/dev/null || true
}
trap 'stop_job; rm -rf "$scratch"' EXIT

fail() {
  printf 'FAILED (SEED=%s): %s\n' "$seed" "$*" >&2
  [[ ! -e $scratch/output ]] || tail -n 20 "$scratch/output" >&2
  exit 1
}

# shellcheck source=tests/app/noise_shards.sh
source "$(dirname "${BASH_SOURCE[0]}")/noise_shards.sh"
noise_shards "$program" "$scratch/data" 600 200

# train FOLDER OPTIONS...: as a shell's child of its own, so that it can be killed.
train() {
  exec "${launcher[@]}" -n $((gpu_ranks + fpga_ranks)) "$program" train --data "$scratch/data" --model mlp --batch 20 \
    --epochs 6 --lr-schedule constant --gpu-ranks "$gpu_ranks" --fpga-ranks "$fpga_ranks" --checkpoint-steps 3 --out "$@"
}

sha_of() {
  sed -n 's/.*"weights_sha256": "\(.*\)".*/\1/p' "$1/summary.json"
}

started=$(date +%s%N)
(train "$scratch/undisturbed" "$@") >"$scratch/output" 2>&1 || fail "the undisturbed run ended with $?"
milliseconds=$((($(date +%s%N) - started) / 1000000))
expected=$(sha_of "$scratch/undisturbed")
printf 'undisturbed: %s ms, weights %s\n' "$milliseconds" "$expected"

run=$scratch/run done_kills=0 in_writes=0 resumed=0 finished=0 launcher_hung=0
# Ends a run that was left or has come to its end, and compares.
compare() {
  [[ $(sha_of "$run") == "$expected" ]] || fail "after $done_kills kills the weights are $(sha_of "$run")"
  finished=$((finished + 1))
  rm -rf "$run"
}
# Whether the job ends within so many seconds.
ends_within() {
  local left
  for ((left = $1 * 10; left > 0; --left)); do
    kill -0 "$job" 2>/dev/null || return 0
    sleep 0.1
  done
  return 1
}
resume_option() {
  if [[ -e $run/checkpoint.h5 ]]; then echo --resume; else echo --overwrite; fi
}

while ((done_kills < kills)); do
  option=$(resume_option)
  [[ $option == --overwrite ]] || resumed=$((resumed + 1))
  (train "$run" "$option" "$@") >"$scratch/output" 2>&1 &
  job=$!
  sleep "$(printf '%d.%03d' $((milliseconds / 1000)) $((milliseconds % 1000)) |
    awk -v part="$RANDOM" '{ print $1 * part / 32768 }')"
  mapfile -t ranks < <(pgrep -P "$job" || true)
  if ((${#ranks[@]} > 0)) && kill -KILL "${ranks[RANDOM % ${#ranks[@]}]}" 2>/dev/null; then
    done_kills=$((done_kills + 1))
    code=0
    if ! ends_within 10; then
      mapfile -t ranks < <(pgrep -P "$job" --runstates R,S,D || true)
      ((${#ranks[@]} == 0)) || fail "the job lived on for more than 10 s: rank processes ${ranks[*]}"
      # PMIx 4.2 in mpirun: a rank that dies while it connects may leave a lock behind that its end waits for.
      launcher_hung=$((launcher_hung + 1))
      ((launcher_hung <= 1 + kills / 10)) || fail "mpirun hung after $launcher_hung kills"
      stop_job
    fi
    wait "$job" || code=$?
    job=
    if [[ -n $(find "$run" -name '*.part' 2>/dev/null) ]]; then in_writes=$((in_writes + 1)); fi
    if ((code == 0)); then compare; fi # the rank was done already
  else
    ends_within $((60 + milliseconds / 100)) || fail "a job that nobody killed does not end"
    wait "$job" || fail "a job that nobody killed ended with $?"
    job=
    compare
  fi
done
option=$(resume_option)
(train "$run" "$option" "$@") >"$scratch/output" 2>&1 || fail "the last run ended with $?"
compare
printf '%s kills (%s while a checkpoint was written), %s resumes, %s runs to the end, all with these weights\n' \
  "$done_kills" "$in_writes" "$resumed" "$finished"
((launcher_hung == 0)) || printf 'After %s kills the launcher itself hung, its ranks gone.\n' "$launcher_hung"
