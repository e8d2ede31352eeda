#!/usr/bin/env bash
# Trains the same network with and without the boosts of FPGA ranks, over several seeds, and tabulates what they bring.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

usage() {
  cat <<END
Usage: jobs/boost-ablation.sh [options]

Trains \`cnn\` on Fashion-MNIST, one job a row and seed: one GPU rank and, where the row needs it, one FPGA rank (emulated
where there is no card), in lock step (--boost-wait), so that each run repeats itself bit for bit; the rows async-* run as
a job does without it: what comes late is left out, so their figures are those of the machine. What is done already is not
done again. Ends with results.json, table.md and plot.svg in the folder of the runs.

  --rows PATTERN      only rows whose name matches this pattern of the shell, such as 'rank-*' (may be repeated)
  --seeds N           seeds 1 to N (default: 5)
  --steps N           optimiser steps of a run (default: 1407, three passes at a batch of 128)
  --validate-every N  steps between two test accuracies, which the steps to 0.90 are read from (default: 50)
  --parallel N        runs at once, each on one core or two (default: half of the cores)
  --gpus N            spread the runs over N NVIDIA GPUs (default: each run takes the first device)
  --stop-after S      start no run later than this many seconds after the beginning; the same command goes on later
  --data DIR          the data set; made where it is missing (default: data/fashion-mnist)
  --wrong-data DIR    the same with 10 % of the training labels wrong; made where it is missing (default: DATA-wrong)
  --out DIR           where the runs go (default: runs/boost-ablation)
  --add-to FILE       skip the runs that this results.json of an earlier call holds, and keep them in the new one
  --list              print the rows that would run, and do nothing

DOVETAIL=FILE                   the program (default: build/release/dovetail)
DOVETAIL_FASHION_MNIST=FOLDER   where the four IDX files are, plain or .gz (default: Debian's dataset-fashion-mnist)
END
}

# group      what is compared with what: a section of the table
# row        its name, and that of its folder
# against    the row that its gain is over
# weight     how long a run takes, roughly; the longest go first
# data       clean, or wrong: 10 % of the training labels are
# fpga       FPGA ranks
# gpu        samples that a step trains on the GPU rank, and after a + those that it only scores
# options    of `dovetail train`
table() {
  cat <<'END'
group      row                against      weight data  fpga gpu    options
gradients  gpu-128            gpu-64            6 clean    0 128    --batch 128
gradients  gpu-64             -                 4 clean    0 64     --batch 64
gradients  grad-int8          gpu-64           13 clean    1 64     --batch 128 --boost 1/2 --boost-format int8 --boost-staleness 0
gradients  grad-int6          gpu-64           13 clean    1 64     --batch 128 --boost 1/2 --boost-format int6 --boost-staleness 0
gradients  grad-bfp8          gpu-64           25 clean    1 64     --batch 128 --boost 1/2 --boost-format bfp8 --boost-staleness 0
gradients  grad-bfp5          gpu-64           27 clean    1 64     --batch 128 --boost 1/2 --boost-format bfp5 --boost-staleness 0
gradients  grad-int4          gpu-64           16 clean    1 64     --batch 128 --boost 1/2 --boost-format int4 --boost-staleness 0
gradients  grad-int4-auto     gpu-64           16 clean    1 64     --batch 128 --boost 1/2 --boost-format int4 --boost-staleness 0 --boost-weight auto
selection  random             gpu-64            4 clean    0 64     --batch 64 --boost-select 1/3 --select random
selection  rank-float32       random            6 clean    0 64+192 --batch 64 --boost-select 1/3 --select rank --select-format float32
selection  rank-int8          random           16 clean    1 64     --batch 64 --boost-select 1/3 --select rank --select-format int8 --boost-staleness 0
selection  rank-int4          random           31 clean    1 64     --batch 64 --boost-select 1/3 --select rank --select-format int4 --boost-staleness 0
selection  rank-w1a8          random           24 clean    1 64     --batch 64 --boost-select 1/3 --select rank --select-format w1a8 --boost-staleness 0
selection  hard-float32       random            6 clean    0 64+192 --batch 64 --boost-select 1/3 --select hard --select-format float32
selection  hard-int8          random           16 clean    1 64     --batch 64 --boost-select 1/3 --select hard --select-format int8 --boost-staleness 0
selection  hard-int4          random           31 clean    1 64     --batch 64 --boost-select 1/3 --select hard --select-format int4 --boost-staleness 0
selection  hard-w1a8          random           24 clean    1 64     --batch 64 --boost-select 1/3 --select hard --select-format w1a8 --boost-staleness 0
selection  importance-float32 random            6 clean    0 64+192 --batch 64 --boost-select 1/3 --select importance --select-format float32
selection  importance-int8    random           16 clean    1 64     --batch 64 --boost-select 1/3 --select importance --select-format int8 --boost-staleness 0
selection  importance-int4    random           31 clean    1 64     --batch 64 --boost-select 1/3 --select importance --select-format int4 --boost-staleness 0
selection  importance-w1a8    random           24 clean    1 64     --batch 64 --boost-select 1/3 --select importance --select-format w1a8 --boost-staleness 0
staleness  rank-int8-20       random           10 clean    1 64     --batch 64 --boost-select 1/3 --select rank --select-format int8 --boost-staleness 20
staleness  rank-int8-100      random           10 clean    1 64     --batch 64 --boost-select 1/3 --select rank --select-format int8 --boost-staleness 100
staleness  rank-int8-312      random           10 clean    1 64     --batch 64 --boost-select 1/3 --select rank --select-format int8 --boost-staleness 312
staleness  rank-int8-20-d0    random           10 clean    1 64     --batch 64 --boost-select 1/3 --select rank --select-format int8 --boost-staleness 20 --select-discount 0
staleness  rank-int8-20-d16   random           10 clean    1 64     --batch 64 --boost-select 1/3 --select rank --select-format int8 --boost-staleness 20 --select-discount 16
staleness  rank-int8-100-d0   random           10 clean    1 64     --batch 64 --boost-select 1/3 --select rank --select-format int8 --boost-staleness 100 --select-discount 0
staleness  rank-int8-100-d16  random           10 clean    1 64     --batch 64 --boost-select 1/3 --select rank --select-format int8 --boost-staleness 100 --select-discount 16
staleness  hard-int8-20       random           10 clean    1 64     --batch 64 --boost-select 1/3 --select hard --select-format int8 --boost-staleness 20 --select-insist
staleness  hard-int8-100      random           10 clean    1 64     --batch 64 --boost-select 1/3 --select hard --select-format int8 --boost-staleness 100 --select-insist
staleness  hard-int8-312      random           10 clean    1 64     --batch 64 --boost-select 1/3 --select hard --select-format int8 --boost-staleness 312 --select-insist
staleness  grad-int8-20       gpu-64           12 clean    1 64     --batch 128 --boost 1/2 --boost-format int8 --boost-staleness 20
both       both-int8          random           36 clean    1 64     --batch 128 --boost 1/2 --boost-format int8 --boost-select 1/3 --select rank --select-format int8 --boost-staleness 0
both       both-int8-20       random           26 clean    1 64     --batch 128 --boost 1/2 --boost-format int8 --boost-select 1/3 --select rank --select-format int8 --boost-staleness 20
async      async-grad-int8    gpu-64           13 clean    1 64     --batch 128 --boost 1/2 --boost-format int8
async      async-rank-int8    random           16 clean    1 64     --batch 64 --boost-select 1/3 --select rank --select-format int8
wrong      wrong-gpu-128      wrong-random      6 wrong    0 128    --batch 128
wrong      wrong-random       -                 4 wrong    0 64     --batch 64 --boost-select 1/3 --select random
wrong      wrong-rank         wrong-random     16 wrong    1 64     --batch 64 --boost-select 1/3 --select rank --select-format int8 --boost-staleness 0
wrong      wrong-hard         wrong-random     16 wrong    1 64     --batch 64 --boost-select 1/3 --select hard --select-format int8 --boost-staleness 0
wrong      wrong-importance   wrong-random     16 wrong    1 64     --batch 64 --boost-select 1/3 --select importance --select-format int8 --boost-staleness 0
END
}

patterns=()
seeds=5 steps=1407 validate_every=50 gpus=0 stop_after=0 list=false
parallel=$((($(nproc) + 1) / 2))
shards=data/fashion-mnist wrong_shards='' out=runs/boost-ablation earlier=''
while (($# > 0)); do
  case "$1" in
    --help | -h) usage; exit 0 ;;
    --list) list=true; shift; continue ;;
    --rows | --seeds | --steps | --validate-every | --parallel | --gpus | --stop-after | --data | --wrong-data | --out | --add-to) ;;
    *) usage >&2; exit 2 ;;
  esac
  if (($# < 2)); then usage >&2; exit 2; fi
  case "$1" in
    --seeds | --steps | --validate-every | --parallel | --gpus | --stop-after)
      [[ "$2" =~ ^[1-9][0-9]*$ ]] || { echo "${0##*/}: $1 $2 is no whole number above 0" >&2; exit 2; } ;;
    --rows) patterns+=("$2") ;;
    # Relative to where the caller stands.
    --data) shards=$(realpath -m "$2") ;;
    --wrong-data) wrong_shards=$(realpath -m "$2") ;;
    --out) out=$(realpath -m "$2") ;;
    --add-to) earlier=$(realpath -m "$2") ;;
  esac
  case "$1" in
    --seeds) seeds=$2 ;;
    --steps) steps=$2 ;;
    --validate-every) validate_every=$2 ;;
    --parallel) parallel=$2 ;;
    --gpus) gpus=$2 ;;
    --stop-after) stop_after=$2 ;;
  esac
  shift 2
done
if [[ -n "${DOVETAIL:-}" ]]; then dovetail=$(realpath -m "$DOVETAIL"); else dovetail=build/release/dovetail; fi
wrong_shards=${wrong_shards:-$shards-wrong}

cd "$root"
# shellcheck source=jobs/steps.sh
source jobs/steps.sh
images=${DOVETAIL_FASHION_MNIST:-/usr/share/datasets/fashion-mnist}
report=jobs/boost_ablation_report.py

# matches NAME: whether the row was asked for.
matches() {
  local pattern
  if ((${#patterns[@]} == 0)); then return 0; fi
  for pattern in "${patterns[@]}"; do
    # shellcheck disable=SC2053  # a pattern it is
    if [[ "$1" == $pattern ]]; then return 0; fi
  done
  return 1
}

chosen_rows() {
  local group row rest
  table | tail -n +2 | while read -r group row rest; do
    if matches "$row"; then echo "$group $row $rest"; fi
  done
}

# is_done ROW SEED: a run of this many steps ended, here or in the earlier results.
is_done() {
  local summary="$out/$1/$2/summary.json"
  if [[ "$known" == *"<$1 $2>"* ]]; then return 0; fi
  grep -Eqs "^  \"steps\": $steps,?\$" "$summary" || return 1
  ! grep -Eq '^  "status":' "$summary" || grep -Eq '^  "status": "done"' "$summary"
}

# "WEIGHT ROW SEED DATA FPGA OPTIONS..." of each run that is not done, the longest first.
open_runs() {
  local row weight data fpga options seed
  while read -r _ row _ weight data fpga _ options; do
    for ((seed = 1; seed <= seeds; ++seed)); do
      if ! is_done "$row" "$seed"; then echo "$weight $row $seed $data $fpga $options"; fi
    done
  done <<<"$rows" | sort -k1,1nr -s
}

# make_shards FOLDER TRAIN_OPTIONS...: the data set, aside and then renamed.
make_shards() {
  local folder=$1
  shift
  if [[ -d "$folder" ]]; then return; fi
  check_images
  rm -rf "$folder.part"
  make_split train train "$folder.part" "$@"
  make_split test t10k "$folder.part"
  mv "$folder.part" "$folder"
}

# start SLOT ROW SEED DATA FPGA OPTIONS...: one run, in the background; its number in $!.
start() {
  local slot=$1 row=$2 seed=$3 data=$4 fpga=$5 folder="$out/$2/$3"
  shift 5
  if [[ "$data" == wrong ]]; then data=$wrong_shards; else data=$shards; fi
  local words=(-n $((1 + fpga)) --oversubscribe --bind-to none "$dovetail" train --data "$data" --model cnn
    --optimizer sgd --momentum 0.9 --lr 0.05 --lr-schedule cosine --steps "$steps" --validate-every "$validate_every"
    --seed "$seed" --gpu-ranks 1 --fpga-ranks "$fpga" --out "$folder" "$@")
  if [[ " $* " == *" --boost"* && "$row" != async-* ]]; then words+=(--boost-wait); fi
  rm -rf "$folder"
  mkdir -p "$folder"
  printf '%s\n' "$*" >"$folder/options.txt"
  if ((gpus > 0)); then local -x CUDA_VISIBLE_DEVICES=$((slot % gpus)); fi
  mpirun "${words[@]}" >"$folder/log.txt" 2>&1 </dev/null &
}

declare -A slot_of=() run_of=()
failed=()

# Waits until a run has ended, and frees its slot.
await_one() {
  local pid=0 code=0
  wait -n -p pid "${!slot_of[@]}" || code=$?
  done_runs=$((done_runs + 1))
  if ((code == 0)) && is_done "${run_of[$pid]%/*}" "${run_of[$pid]#*/}"; then
    say "$done_runs/$open ${run_of[$pid]}, after $SECONDS s"
  else
    say "$done_runs/$open ${run_of[$pid]} FAILED, see $out/${run_of[$pid]}/log.txt"
    failed+=("${run_of[$pid]}")
  fi
  unset "slot_of[$pid]" "run_of[$pid]"
}

free_slot() {
  local slot used=" ${slot_of[*]} "
  for ((slot = 0; ; ++slot)); do
    if [[ "$used" != *" $slot "* ]]; then echo "$slot"; return; fi
  done
}

end_runs() {
  trap - INT TERM
  if ((${#slot_of[@]} > 0)); then kill -TERM "${!slot_of[@]}" 2>/dev/null || true; fi
  wait
  die "stopped; the same command goes on with the runs that are not done"
}

run_all() {
  local row seed data fpga options
  trap end_runs INT TERM
  while read -r _ row seed data fpga options; do
    if ((${#slot_of[@]} >= parallel)); then await_one; fi
    if ((stop_after > 0 && SECONDS >= stop_after)); then
      say "Starting no more runs after $SECONDS s"
      break
    fi
    local slot
    slot=$(free_slot)
    # shellcheck disable=SC2086  # options are words
    start "$slot" "$row" "$seed" "$data" "$fpga" $options
    slot_of[$!]=$slot
    run_of[$!]=$row/$seed
  done < <(printf '%s' "${runs:+$runs$'\n'}")
  while ((${#slot_of[@]} > 0)); do await_one; done
  trap - INT TERM
}

main() {
  rows=$(chosen_rows)
  [[ -n "$rows" ]] || { say "${0##*/}: no row matches ${patterns[*]}" >&2; exit 2; }
  known=''
  if [[ -n "$earlier" ]]; then known=$(python3 "$report" list "$earlier" | sed 's/.*/<&>/') || die "cannot read $earlier"; fi
  runs=$(open_runs)
  open=$(grep -c . <<<"$runs" || true)
  done_runs=0
  say "$(wc -l <<<"$rows") rows, $seeds seeds; $open runs to do, $parallel at once"
  if $list; then
    say "$runs"
    return
  fi
  [[ -x "$dovetail" ]] || die "no program at $dovetail. Build it (jobs/quickstart.sh), or set DOVETAIL."
  need mpirun "Install or load an MPI, such as Open MPI."
  need python3 "Install Python 3."
  make_shards "$shards"
  if grep -q ' wrong ' <<<"$rows"; then make_shards "$wrong_shards" --wrong-labels 0.1 --seed 1; fi
  allow_mpi_as_root
  mkdir -p "$out"
  table >"$out/rows.txt"

  run_all
  python3 "$report" collect "$out" --steps "$steps" --json "$out/results.json" ${earlier:+--add-to "$earlier"}
  python3 "$report" draw "$out/results.json" --table "$out/table.md" --plot "$out/plot.svg"
  say "$(cat "$out/table.md")"
  say "Results: $out/results.json, table.md, plot.svg"
  ((${#failed[@]} == 0)) || die "${#failed[@]} runs failed: ${failed[*]}"
}

main
