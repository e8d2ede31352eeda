#!/usr/bin/env bash
# Runs libFuzzer targets, from real files on: tests/fuzz/fuzz.sh FOLDER_OF_PROGRAMS BOUND TARGETS...
set -euo pipefail

usage() {
  cat <<'END'
Usage: tests/fuzz/fuzz.sh FOLDER BOUND [TARGETS...]

Build first: cmake --preset fuzz && cmake --build --preset fuzz

  FOLDER     where the programs are: build/fuzz/tests
  BOUND      inputs a target, such as 1000000, or seconds, such as 5s
  TARGETS    manifest shard idx npy cifar cache checkpoint configuration weight_pack xclbin (default: all that are built)

What fails stays in FOLDER/fuzz/TARGET as crash-…, leak-… or timeout-…; FOLDER/fuzz_TARGET FILE shows it again.
END
}
case "${1:-}" in --help | -h) usage; exit 0 ;; esac
if (($# < 2)); then usage >&2; exit 2; fi
programs=$(realpath "$1") bound=$2
shift 2
if (($# == 0)); then
  mapfile -t found < <(find "$programs" -maxdepth 1 -name 'fuzz_*' -type f -executable | sort)
  set -- "${found[@]##*/fuzz_}"
fi
limit=(-runs="$bound")
if [[ "$bound" == *s ]]; then limit=(-max_total_time="${bound%s}"); fi
suppressions=$(dirname "$(realpath "${BASH_SOURCE[0]}")")/leak_suppressions.txt
export LSAN_OPTIONS=suppressions=$suppressions:print_suppressions=0

for target; do
  work=$programs/fuzz/$target
  mkdir -p "$work/corpus"
  "$programs/fuzz_$target" --seeds="$work/corpus"
  cd "$work"
  echo "== $target"
  "$programs/fuzz_$target" corpus "${limit[@]}" -timeout=10 -rss_limit_mb=4096 -max_len=300000 -print_final_stats=1 \
    >log 2>&1 || { tail -n 60 log; exit 1; }
  grep -E '^stat::(number_of_executed_units|average_exec_per_sec|peak_rss_mb)' log
done
