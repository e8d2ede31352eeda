#!/usr/bin/env bash
# Watches the memory of a long run's ranks, which must not grow: memory_flat.sh PROGRAM STEPS [TRAIN_OPTIONS...]
set -euo pipefail

program=${1:?which program?} steps=${2:?how many steps?}
shift 2
read -ra launcher <<<"${MPIEXEC:-mpirun --oversubscribe --bind-to none}"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
gpu_ranks=${GPU_RANKS:-1} fpga_ranks=${FPGA_RANKS:-0}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# shellcheck source=tests/app/noise_shards.sh
source "$(dirname "${BASH_SOURCE[0]}")/noise_shards.sh"
noise_shards "$program" "$scratch/data" 2000 100

"${launcher[@]}" -n $((gpu_ranks + fpga_ranks)) "$program" train --data "$scratch/data" --model mlp --batch 20 \
  --steps "$steps" --lr-schedule constant --gpu-ranks "$gpu_ranks" --fpga-ranks "$fpga_ranks" --out "$scratch/run" \
  "$@" >"$scratch/output" 2>&1 &
job=$!
# "STEP KIB" of all ranks together, twice a second.
while kill -0 "$job" 2>/dev/null; do
  step=$(grep -s '"step' "$scratch/run/run.jsonl" | tail -n 1 | sed -n 's/.*"step": *\([0-9]*\).*/\1/p' || true)
  kib=$(pgrep --parent "$job" | xargs -r -I{} sed -n 's/^VmRSS:[[:space:]]*\([0-9]*\) kB/\1/p' /proc/{}/status 2>/dev/null |
    awk '{ sum += $1 } END { print sum }' || true)
  [[ -z "$step" || -z "$kib" ]] || echo "$step $kib" >>"$scratch/memory"
  sleep 0.5
done
wait "$job" || { tail -n 20 "$scratch/output"; exit 1; }

# The first tenth warms up; afterwards the largest of the second half against the largest of the first.
awk -v steps="$steps" '
  $1 > steps / 10 && $1 <= steps / 2 && $2 > early { early = $2 }
  $1 > steps / 2 && $2 > late { late = $2 }
  END {
    printf "steps %d to %d: %.1f MiB; to %d: %.1f MiB\n", steps / 10, steps / 2, early / 1024, steps, late / 1024
    exit early == 0 || late == 0 || late > early * 1.02 + 1024
  }' "$scratch/memory" || { echo "FAILED: the memory grows"; tail -n 5 "$scratch/memory"; exit 1; }
