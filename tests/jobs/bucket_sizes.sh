#!/usr/bin/env bash
# Trains between hosts of one rank each with several bucket sizes in turn: bucket_sizes.sh PROGRAM DATA ROUNDS RATES...
# By hand, as root. The hosts are name spaces of this machine (four_hosts.sh), a core each while there are enough, whose
# cables have tc's RATE ("10gbit"; "none": as fast as they are). Prints the median of each row's samples a second, least and
# most, and the share of the communication that was hidden. NICE=-15 puts the ranks before what else the machine does.
set -euo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
program=$(realpath "$1") data=$(realpath "$2") rounds=$3
shift 3
read -ra sizes <<<"${SIZES:-0.25 1 4 16 0}"
# shellcheck source=tests/jobs/four_hosts.sh
source "$repository/tests/jobs/four_hosts.sh"
scratch=$(mktemp -d)
trap 'stop_hosts; rm -rf "$scratch"' EXIT
start_hosts "$scratch"
cat >"$scratch/agent" <<END
#!/usr/bin/env bash
exec taskset -c "\$(((\${1#host} - 1) % $(nproc)))" "$scratch/on_host" "\$@"
END
# Where sessions are scheduled as groups (autogroup), a process's own niceness counts in its session alone.
cat >"$scratch/first" <<END
#!/usr/bin/env bash
[[ ! -w /proc/self/autogroup ]] || echo ${NICE:-0} >/proc/self/autogroup
exec nice -n ${NICE:-0} "\$@"
END
chmod +x "$scratch/agent" "$scratch/first"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

# limit RATE: of all cables, both ways.
limit() {
  local number
  [[ "$1" != none ]] || return 0
  for number in 1 2 3 4; do
    ip netns exec "$spaces-host$number" tc qdisc replace dev eth0 root tbf rate "$1" burst 256kb latency 100ms
    ip netns exec "$spaces-switch" tc qdisc replace dev "port$number" root tbf rate "$1" burst 256kb latency 100ms
  done
}

# on_hosts COUNT ARGUMENTS...: the program on the first COUNT hosts.
on_hosts() {
  local count=$1
  shift
  "$scratch/agent" host1 mpirun -n "$count" --host "$(seq -s, -f 'host%g:1' "$count")" --bind-to none \
    --mca btl tcp,self --mca btl_tcp_if_include eth0 --mca oob_tcp_if_include eth0 --mca plm rsh --mca ras ^slurm \
    --mca plm_rsh_agent "$scratch/agent" --mca plm_rsh_no_tree_spawn 1 --mca mpi_yield_when_idle 1 \
    "$scratch/first" "$program" "$@" </dev/null
}

# train_once HOSTS MODEL BATCH STEPS SIZE: "samples-a-second hidden buckets".
train_once() {
  on_hosts "$1" train --data "$data" --model "$2" --batch "$3" --steps "$4" --fpga-ranks 0 --bucket-mb "$5" --overwrite \
    --lr-schedule constant --out "$scratch/run" >"$scratch/output" 2>&1 || {
    tail -n 20 "$scratch/output" >&2
    exit 1
  }
  python3 - "$scratch/run/summary.json" <<'END'
import json, sys
summary = json.load(open(sys.argv[1]))
print(summary["samples_per_second"], summary["communication"]["hidden"], summary["communication"]["buckets"])
END
}

for rate; do
  limit "$rate"
  on_hosts 2 bench link | sed "s/^/$rate: /"
  for hosts in 2 4; do
    while read -r model batch steps; do
      rm -f "$scratch"/size-*
      for ((round = 0; round < rounds; round++)); do
        for ((i = 0; i < ${#sizes[@]}; i++)); do
          size=${sizes[(i + round) % ${#sizes[@]}]}
          train_once "$hosts" "$model" "$batch" "$steps" "$size" >>"$scratch/size-$size"
        done
      done
      for size in "${sizes[@]}"; do
        printf '%s, %s hosts, %s %s, --bucket-mb %s: ' "$rate" "$hosts" "$model" "$batch" "$size"
        sort -n "$scratch/size-$size" | awk '{ s[NR] = $1; h[NR] = $2; b = $3 } END {
          printf "%.0f (%.0f to %.0f), hidden %.0f %%, %d buckets\n", s[int((NR + 1) / 2)], s[1], s[NR], 100 * h[int((NR + 1) / 2)], b }'
      done
    done <<<"${MODELS:-cnn 128 100
mlp 128 400}"
  done
done
