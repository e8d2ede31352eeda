#!/usr/bin/env bash
# Trains over four hosts with jobs/mpirun/train.sh and TCP, cuts one off in the middle, and scales over two: hosts_test.sh PROGRAM NUMBERS...
# Number 1 is the host where mpirun and rank 0 are.
set -euo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
program=$(realpath "$1")
shift
# shellcheck source=tests/jobs/four_hosts.sh
source "$repository/tests/jobs/four_hosts.sh"
# shellcheck source=tests/app/noise_shards.sh
source "$repository/tests/app/noise_shards.sh"
reason=$(why_no_hosts)
if [[ -n "$reason" ]]; then
  echo "skipped: $reason"
  exit 77
fi

scratch=$(mktemp -d)
end() {
  local code=$?
  stop_hosts
  rm -rf "$scratch"
  exit "$code"
}
trap end EXIT
fail() {
  printf 'FAILED: %s\n' "$*" >&2
  tail -n 40 "$scratch/output" >&2 || true
  exit 1
}

cd "$repository"
noise_shards "$program" "$scratch/data" 600 200
start_hosts "$scratch"
printf 'host%s slots=1\n' 1 2 3 4 >"$scratch/hosts"
export DOVETAIL_SITE=$scratch/site.env
cat >"$DOVETAIL_SITE" <<END
source jobs/site.env
program='$program' data='$scratch/data' gpu_nodes=4 gpus_per_node=1 network_interface=eth0 sigkill_timeout_s=1 start_timeout_s=30
mpi_options+=(--mca btl tcp,self --mca plm_rsh_agent '$scratch/on_host' --mca plm_rsh_no_tree_spawn 1)
mpi_options+=(--mca ras ^slurm --mca plm rsh)
modules=(any)
module() { touch "$scratch/set-up-\$(uname -n)"; }
END

# train RUN OPTIONS...
train() {
  "$scratch/on_host" host1 jobs/mpirun/train.sh "$scratch/hosts" --model mlp --batch 40 --epochs 8 \
    --lr-schedule constant --checkpoint-steps 5 --out "$scratch/$1" "${@:2}" >"$scratch/output" 2>&1
}
weights_of() { sed -n 's/.*"weights_sha256": "\(.*\)".*/\1/p' "$scratch/$1/summary.json"; }
has_epoch() { grep -qs '"epoch",' "$scratch/$1/run.jsonl"; }

# Open MPI's daemon on a host that is cut off ends when TCP gives up, a quarter of an hour later.
ranks_on() { processes_of "$1" | xargs -r ps -o comm= -p | grep -x "$(basename "$program")" || true; }

train undisturbed --stall-timeout 60 || fail "the undisturbed run ended with $?"
[[ $(grep -o '"host": "host[1-4]"' "$scratch/undisturbed/summary.json" | sort -u | wc -l) == 4 ]] || fail "not on four hosts"
expected=$(weights_of undisturbed)

for number; do
  train "cut-$number" --stall-timeout 8 &  # more than a busy machine keeps a rank waiting
  job=$!
  until has_epoch "cut-$number"; do
    kill -0 "$job" 2>/dev/null || fail "the job ended before its time"
    sleep 0.05
  done
  cut_off "$number"
  SECONDS=0
  code=0
  wait "$job" || code=$?
  echo "host$number cut off: the job ended after $SECONDS s with exit code $code"
  ((code != 0)) || fail "the job ended well although host$number was cut off"
  lines=$(grep '^dovetail' "$scratch/output") || fail "no line says why"
  echo "$lines"
  [[ $(wc -l <<<"$lines") == 1 && "$lines" == *"rank $((number - 1)) on host$number "* ]] || fail "not one line that names host$number"
  for other in 1 2 3 4; do
    for _ in {1..300}; do
      [[ -n $(ranks_on "$other") ]] || break
      sleep 0.1
    done
    [[ -z $(ranks_on "$other") ]] || fail "host$other still runs a rank"
  done
  # The host comes back while the next job starts: after 3 s without an answer the kernel calls the other host unreachable,
  # which Open MPI's daemon must survive (oob_tcp_retry_delay in jobs/site.env).
  (sleep 5 && connect "$number") &
  train "cut-$number" --resume --stall-timeout 60 || fail "the resumed run ended with $?"
  [[ $(weights_of "cut-$number") == "$expected" ]] || fail "the resumed run ended with other weights"
done

# Over one and two hosts, neither of them this one: each point takes the first of the file, and the network is measured.
rm "$scratch"/set-up-host*
printf 'host%s slots=1\n' 3 2 >"$scratch/others"
"$scratch/on_host" host1 jobs/scaling.sh --ranks 1,2 --hosts 1,2 --hostfile "$scratch/others" --scaling weak --model mlp \
  --batch 20 --steps 10 --repeat 1 --simulate 4 --out "$scratch/scaling" >"$scratch/output" 2>&1 || fail "jobs/scaling.sh ended with $?"
python3 - "$scratch/scaling" <<'END'
import json, pathlib, sys
runs = pathlib.Path(sys.argv[1])
for point, hosts in (("1-on-1", ["host3"]), ("2-on-2", ["host3", "host2"])):
    ranks = json.loads((runs / "weak" / point / "1/summary.json").read_text())["ranks"]
    assert [rank["host"] for rank in ranks] == hosts, ranks
simulated = json.loads((runs / "results.json").read_text())["weak"]["simulated"]
assert (simulated["ranks"], simulated["ranks_per_host"], simulated["network"]["source"]) == (2, 1, "measured"), simulated
END
[[ -e "$scratch/set-up-host2" && -e "$scratch/set-up-host3" ]] || fail "jobs/scaling.sh has not set its hosts up"
grep -q "Simulated, with a network (measured) of" "$scratch/scaling/table.md" || fail "the table does not say where the network is from"

# A host whose daemon ends before it reports: mpirun alone would wait for ever.
cat >"$scratch/absent" <<END
#!/usr/bin/env bash
[[ \$1 == host4 ]] || exec "$scratch/on_host" "\$@"
END
chmod +x "$scratch/absent"
sed -i "s:plm_rsh_agent '[^']*':plm_rsh_agent '$scratch/absent':" "$DOVETAIL_SITE"
sed -i 's:start_timeout_s=30:start_timeout_s=5:' "$DOVETAIL_SITE"
SECONDS=0
if train absent --stall-timeout 60; then fail "the job ended well without host4"; fi
grep "mpirun has started no rank in 5 s" "$scratch/output" || fail "no line says that a daemon does not report"
echo "host4 absent: the job ended after $SECONDS s"
