#!/bin/bash
# Equal shares of the batch against --balance auto on unequal devices, made of the cores of one machine, in turns:
#   tests/bench/unequal_devices.sh [PROGRAM] [DATA] [RUNS] [EPOCHS] [MODEL]
# slow: two ranks on a core each, of which the second computes all of its gradients three times.
# core: three ranks of one thread, of which two share a core. The lines that follow a table are the shares as they came.
set -eu
program=${1:-build/release/dovetail} data=${2:-data/fashion-mnist} runs=${3:-3} epochs=${4:-3} model=${5:-cnn}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 POCL_MAX_PTHREAD_COUNT=1

job() { # job SETUP BALANCE RUN
  local folder="$out/$1-$2-$3" ranks=() cores=(0 1)
  [ "$1" = core ] && cores=(0 0 1)
  for core in "${cores[@]}"; do
    ranks+=(: -n 1 taskset -c "$core" "$program" train --data "$data" --model "$model" --epochs "$epochs" --batch 128
      --fpga-ranks 0 --balance "$2" --out "$folder")
  done
  [ "$1" = core ] || export DOVETAIL_SLOW_RANK=1:3
  mpirun --oversubscribe --bind-to none "${ranks[@]:1}" >"$folder.log" 2>&1 || { cat "$folder.log"; exit 1; }
  unset DOVETAIL_SLOW_RANK
}

echo "load: $(cut -d' ' -f1-3 /proc/loadavg)"
for ((run = 0; run < runs; ++run)); do
  for setup in slow core; do
    for balance in equal auto; do job "$setup" "$balance" "$run"; done
  done
done
echo "load: $(cut -d' ' -f1-3 /proc/loadavg)"

python3 - "$out" "$runs" <<'END'
import json, statistics, sys
out, runs = sys.argv[1], int(sys.argv[2])
for setup in ("slow", "core"):
    rates = {}
    for balance in ("equal", "auto"):
        summaries = [json.load(open(f"{out}/{setup}-{balance}-{run}/summary.json")) for run in range(runs)]
        rates[balance] = statistics.median(s["samples_per_second"] for s in summaries)
        print(f"{setup} {balance:5}", " ".join(f"{s['samples_per_second']:.0f}" for s in summaries), "samples a second; imbalance",
              " ".join(f"{s['balance']['imbalance']:.2f}" for s in summaries), "; test accuracy",
              " ".join(f"{100 * s['test_accuracy']:.2f}" for s in summaries))
    print(f"{setup} auto / equal: {rates['auto'] / rates['equal']:.2f}")
    for run in range(runs):
        events = [json.loads(line) for line in open(f"{out}/{setup}-auto-{run}/run.jsonl")]
        print(f"{setup} auto, run {run}:", ", ".join(
            f"step {e['step']} {':'.join(map(str, e['shares']))} (imbalance {e['imbalance']:.2f})"
            for e in events if e["event"] == "balance"))
END
