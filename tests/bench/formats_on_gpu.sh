#!/bin/bash
# Compute formats and tuned kernels on a GPU, from a tree that is built already, in at most 100 s:
#   tests/bench/formats_on_gpu.sh [BUILD_FOLDER] [RESULT_FOLDER]
# Tests of the new paths, a cold and a warm choice of kernels, and training steps of mlp in each format in turns.
# Every part has a limit of its own; the exit code is the number of parts that failed.
set -u
build=${1:-build/release}
out=${2:-${OUT:-formats-on-gpu}}
mkdir -p "$out"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
XDG_CACHE_HOME=$(mktemp -d)
export XDG_CACHE_HOME
trap 'rm -rf "$XDG_CACHE_HOME"' EXIT
failures=0
started=$SECONDS

part() { # part NAME LIMIT_S COMMAND...
  local name=$1 limit=$2
  shift 2
  local begun=$SECONDS verdict
  timeout "$limit" "$@" >"$out/$name.txt" 2>&1
  local code=$?
  verdict=ok
  if [ $code -ne 0 ]; then
    verdict="FAILED ($code)"
    failures=$((failures + 1))
  fi
  printf '%-24s %-12s %d s\n' "$name" "$verdict" $((SECONDS - begun))
}

part devices 15 "$build/dovetail" devices
# Not the kernels for CPUs, which a GPU's compiler takes long for.
part test-matmul 30 "$build/tests/matmul_test" --gtest_filter='*/mma_*:*/wgmma_*:*/async*:MatmulFormats.*'
part test-rounding 10 "$build/tests/round_operand_test"
part test-plan 20 "$build/tests/plan_test" --gtest_filter='PlanFormats.*:TunerTest.*-*TwinsCheck*'
part test-programs 8 "$build/tests/device_opencl_test" --gtest_filter='ProgramCache.*'
part tune-cold 15 "$build/dovetail" bench tune --model mlp --batch 1024 --json "$out/tune-cold.json"
part tune-warm 15 "$build/dovetail" bench tune --model mlp --batch 1024 --json "$out/tune-warm.json"
# `plain`: float32 by the generic kernels, unmeasured, as training was before there was a choice.
for batch in 1024 4096; do
  for format in plain float32 tf32 bf16 fp16; do
    if [ $((SECONDS - started)) -gt 90 ]; then
      echo "no time left for batch $batch in $format"
      continue
    fi
    if [ "$format" = plain ]; then set -- --variant gpu; else set -- --format "$format"; fi
    part "train-$batch-$format" 12 "$build/dovetail" bench train --model mlp --batch "$batch" --seconds 0.7 \
      --json "$out/train-$batch-$format.json" "$@"
    grep -h 'step ' "$out/train-$batch-$format.txt"
  done
done
cat "$out/tune-cold.txt"
grep -h 'out for\|FAILED\|PASSED\|SKIPPED' "$out"/*.txt | sort | uniq -c | sort -rn | head -30
exit "$failures"
