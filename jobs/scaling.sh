#!/usr/bin/env bash
# Trains for a few steps on growing numbers of ranks, and tabulates and draws speed-up, efficiency and where the time goes.
set -euo pipefail
caller=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  cat <<END
Usage: jobs/scaling.sh [options] [-- MORE_OPTIONS...]

Runs \`dovetail train\` with each number of GPU ranks, in turns, and ends with results.json, table.md and plot.svg in the
folder of the runs; beside each measured point stands what \`dovetail bench scaling\` simulates for it, from what the ranks
of one host measure of compute and of sums, and two hosts, where the last point has as many, of the network. On CPU devices give each rank one core: POCL_MAX_PTHREAD_COUNT=1. jobs/site.env, or the file that DOVETAIL_SITE names,
has the options of mpirun.
What is done already is not done again.

  --ranks LIST      GPU ranks, such as 1,2,4 (default: 1,2)
  --hosts LIST      hosts that they are spread over, a number for each of --ranks, or one for all (default: 1)
  --devices LIST    devices of a host that its ranks take in turn, numbers of \`dovetail devices\` joined by +, such as
                    0,0,0+1: for each of --ranks, or one for all (default: all GPUs of the host)
  --hostfile FILE   hosts, as Open MPI reads them, of which each point takes the first; needed for more than this one
  --scaling LIST    weak (each rank keeps its samples), strong (all share them), or both (default: weak,strong)
  --batch N         samples of a step: of a rank in weak scaling, of all in strong (default: 128)
  --model NAME      (default: cnn)
  --steps N         of a run (default: 300)
  --repeat N        runs of each point, whose median counts (default: 3)
  --simulate LIST   numbers of ranks to predict as well (default: none)
  --data DIR        (default: the site's)
  --out DIR         where the runs go (default: runs/scaling)
  MORE_OPTIONS      go to \`dovetail train\`, such as --format tf32; --format, --balance and --bucket-mb to the simulation, too

DOVETAIL=FILE       the program (default: the site's)
END
}

case "${1:-}" in --help | -h) usage; exit 0 ;; esac

# shellcheck source=jobs/launch.sh
source jobs/launch.sh
read_site # data and program, too

ranks=1,2 hosts=1 devices='' hostfile='' scaling=weak,strong batch=128 model=cnn steps=300 repeat=3 simulate='' out=runs/scaling
while (($# > 0)); do
  case "$1" in
    --help | -h) usage; exit 0 ;;
    --) shift; break ;;
    --ranks | --hosts | --devices | --hostfile | --scaling | --batch | --model | --steps | --repeat | --simulate | --data | --out) ;;
    *) usage >&2; exit 2 ;;
  esac
  if (($# < 2)); then usage >&2; exit 2; fi
  case "$1" in
    --ranks | --hosts | --simulate)
      [[ "$2" =~ ^[1-9][0-9]*(,[1-9][0-9]*)*$ ]] ||
        { echo "${0##*/}: $1 $2 is no list of numbers above 0" >&2; exit 2; } ;;
    --devices)
      [[ "$2" =~ ^[0-9]+([,+][0-9]+)*$ ]] ||
        { echo "${0##*/}: --devices $2 is no list of devices, such as 0,0+1" >&2; exit 2; } ;;
    --batch | --steps | --repeat)
      [[ "$2" =~ ^[1-9][0-9]*$ ]] || { echo "${0##*/}: $1 $2 is no whole number above 0" >&2; exit 2; } ;;
    --scaling)
      [[ "$2" =~ ^(weak|strong)(,(weak|strong))?$ ]] ||
        { echo "${0##*/}: --scaling $2; known are weak and strong" >&2; exit 2; } ;;
  esac
  value=$2
  case "$1" in --hostfile | --data | --out) [[ "$value" == /* ]] || value=$caller/$value ;; esac
  printf -v "${1#--}" %s "$value"
  shift 2
done
more=("$@")
if [[ -n "${DOVETAIL:-}" ]]; then
  program=("$(cd "$caller" && realpath "$DOVETAIL")")
  rank+=(--program "${program[0]}")
fi
prepare_node
command -v "${program[0]}" >/dev/null || die "no program at ${program[0]}. Build it (jobs/quickstart.sh), or set DOVETAIL"
[[ -r "$data/manifest.json" ]] || die "no data set in $data. Make one (jobs/quickstart.sh, dovetail shard), or give --data"
need_pgrep # what it says would go into a run's log
set_mpirun_options

# points_of OPTION VALUES: what each of the points has, in points_of_OPTION; one value is for all.
points_of() {
  local -n list=points_of_$1
  IFS=, read -ra list <<<"$2"
  if ((${#list[@]} <= 1)); then
    for i in "${!rank_counts[@]}"; do list[i]=${2%%,*}; done
  fi
  ((${#list[@]} == ${#rank_counts[@]})) || die "--$1 has ${#list[@]} entries, --ranks ${#rank_counts[@]}"
}
IFS=, read -ra rank_counts <<<"$ranks"
points_of_hosts=() points_of_devices=()
points_of hosts "$hosts"
points_of devices "$devices"
for i in "${!rank_counts[@]}"; do
  ((rank_counts[i] % points_of_hosts[i] == 0)) ||
    die "${rank_counts[i]} ranks cannot be spread evenly over ${points_of_hosts[i]} hosts"
  ((points_of_hosts[i] == 1)) || [[ -n "$hostfile" ]] || die "${points_of_hosts[i]} hosts: give a --hostfile"
done
[[ -z "$hostfile" || (-f "$hostfile" && -r "$hostfile") ]] || die "cannot read the host file $hostfile"

# launch RANKS HOSTS DEVICES COMMAND WORDS...: the program on so many ranks, spread evenly.
launch() {
  local count=$1 on=$2 using=$3 code=0
  shift 3
  local where=(--oversubscribe)
  if [[ -n "$using" ]]; then set -- "$@" --devices "${using//+/,}"; fi
  if [[ -n "$hostfile" ]]; then
    where+=(--hostfile "$hostfile" --map-by "ppr:$((count / on)):node")
    if has_ranks_of "$hostfile" "$count" $((count / on)); then ranks_here=true; else ranks_here=false; fi
  fi
  # Later options win: --map-by of the site's is for jobs over all of its nodes.
  run_job mpirun -n "$count" "${mpirun_options[@]}" "${where[@]}" "${rank[@]}" "$@" || code=$?
  trap - USR1 TERM INT # they were for that job
  if $stopped && ((code == 0)); then code=143; fi # and so are the runs behind it
  return "$code"
}

samples() { if [[ "$1" == weak ]]; then echo $((batch * $2)); else echo "$batch"; fi; }

# is_done FOLDER COMMAND: whether that command has run to its end there. What another one has measured is not its result, nor thrown away.
is_done() {
  grep -Eqs '^  "status": "done"' "$1/summary.json" || return 1
  [[ "$(cat "$1/command.txt" 2>/dev/null)" == "$2" ]] ||
    die "$1 holds a run of another command ($(cat "$1/command.txt" 2>/dev/null || echo unknown)). Give another --out"
}

mkdir -p "$out"
for ((turn = 1; turn <= repeat; ++turn)); do
  for kind in ${scaling//,/ }; do
    for i in "${!rank_counts[@]}"; do
      count=${rank_counts[i]} on=${points_of_hosts[i]} using=${points_of_devices[i]}
      folder=$out/$kind/$count-on-$on${using:+-with-$using}/$turn
      words=(train --data "$data" --model "$model" --batch "$(samples "$kind" "$count")" --steps "$steps"
        --gpu-ranks "$count" --fpga-ranks 0 --out "$folder" "${more[@]}")
      if is_done "$folder" "${words[*]@Q}"; then continue; fi
      rm -rf "$folder"
      mkdir -p "$folder"
      echo "${words[*]@Q}" >"$folder/command.txt"
      echo "$kind, $count ranks on $on hosts${using:+, devices $using}, run $turn"
      launch "$count" "$on" "$using" "${words[@]}" >"$folder/log.txt" 2>&1 || die "failed, see $folder/log.txt"
    done
  done
done

# to_simulate KIND: numbers of ranks; in strong scaling those that have a sample each.
to_simulate() {
  local number list=()
  for number in ${ranks//,/ } ${simulate//,/ }; do
    if [[ "$1" == weak ]] || ((number <= batch)); then list+=("$number"); fi
  done
  (IFS=,; echo "${list[*]}")
}

# simulation_options WORDS...: those of `dovetail train` that change how long a step takes, in shared_options.
simulation_options() {
  shared_options=()
  while (($# > 0)); do
    case "$1" in
      --format=* | --balance=* | --bucket-mb=*) shared_options+=("$1") ;;
      --format | --balance | --bucket-mb)
        shared_options+=("$1" "${2:-}")
        shift ;;
    esac
    shift
  done
}
simulation_options "${more[@]}"

# What the simulation makes of it, from what the ranks of one full host measure, or of two: then also of the network.
measuring_hosts=$((points_of_hosts[-1] > 1 ? 2 : 1))
measuring=$((rank_counts[-1] * measuring_hosts / points_of_hosts[-1]))
for kind in ${scaling//,/ }; do
  launch "$measuring" "$measuring_hosts" "${points_of_devices[-1]}" bench scaling --model "$model" \
    --batch "$(samples "$kind" "$measuring")" --scaling "$kind" \
    --simulate "$(to_simulate "$kind")" --seconds 5 "${shared_options[@]}" \
    --json "$out/simulated-$kind.json" >"$out/simulated-$kind.txt" 2>&1 ||
    die "the simulation failed, see $out/simulated-$kind.txt"
done

python3 jobs/scaling_report.py collect "$out" --json "$out/results.json"
python3 jobs/scaling_report.py draw "$out/results.json" --table "$out/table.md" --plot "$out/plot.svg"
cat "$out/table.md"
echo "Results: $out/results.json, table.md, plot.svg"
