#!/usr/bin/env bash
# Runs jobs/scaling.sh for a few steps and checks what it collects: scaling_test.sh DOVETAIL
set -euo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export DOVETAIL=$1 POCL_MAX_PTHREAD_COUNT=1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# 400 and 100 images of noise.
python3 - "$scratch" <<'END'
import pathlib, random, struct, sys
folder, draw = pathlib.Path(sys.argv[1]), random.Random(1)
for name, count in (("train", 400), ("test", 100)):
    (folder / f"{name}-images").write_bytes(struct.pack(">IIII", 0x803, count, 28, 28) + draw.randbytes(784 * count))
    (folder / f"{name}-labels").write_bytes(struct.pack(">II", 0x801, count) + bytes(draw.randrange(10) for _ in range(count)))
END
for split in train test; do
  "$DOVETAIL" shard --format idx --images "$scratch/$split-images" --labels "$scratch/$split-labels" --split $split \
    --out "$scratch/data" >/dev/null
done

scaling() {
  "$repository/jobs/scaling.sh" --ranks 1,2 --model mlp --batch 16 --steps 8 --repeat 2 --data "$scratch/data" \
    --out "$scratch/runs" "$@"
}

scaling --simulate 4,64 -- --no-cache
python3 - "$scratch/runs/results.json" <<'END'
import json, sys
results = json.load(open(sys.argv[1]))
assert list(results) == ["weak", "strong"], list(results)
for kind, result in results.items():
    points = result["measured"]
    assert [point["ranks"] for point in points] == [1, 2], points
    assert [point["batch"] for point in points] == ([16, 32] if kind == "weak" else [16, 16]), points
    for point in points:
        assert len(point["runs"]) == 2 and min(point["runs"]) <= point["samples_per_second"] <= max(point["runs"]), point
        assert sum(point["parts"].values()) > 0.99 and min(point["parts"].values()) >= 0, point
    assert points[0]["efficiency"] == 1 and points[1]["efficiency"] == points[1]["speedup"] / 2, points
    # 64 ranks have no sample each of a batch of 16.
    simulated = [point["ranks"] for point in result["simulated"]["simulated"]]
    assert simulated == ([1, 2, 4, 64] if kind == "weak" else [1, 2, 4]), simulated
    assert all(point["step_s"] > 0 for point in result["simulated"]["simulated"]), result
END
grep -q '| 64 |' "$scratch/runs/table.md"
grep -q 'strong scaling: efficiency</text>' "$scratch/runs/plot.svg"

# What is there is of these options alone: not run again for them, and no result of others.
touch "$scratch/now"
scaling --simulate 4,64 -- --no-cache
[[ -z "$(find "$scratch/runs" -name run.jsonl -newer "$scratch/now")" ]]
if scaling -- --no-cache --lr 0.01 >"$scratch/other" 2>&1; then
  echo "FAILED: runs of other options were taken"
  exit 1
fi
grep -q "holds a run of another command" "$scratch/other"

# Two CPU devices: ranks that share one, and ranks with one each; the first rank does three quarters of the work.
export POCL_DEVICES="pthread pthread"
"$repository/jobs/scaling.sh" --ranks 2,2 --devices 1,0+1 --scaling weak --model mlp --batch 16 --steps 8 --repeat 1 \
  --simulate 4 --data "$scratch/data" --out "$scratch/devices" -- --no-cache --balance 3:1 --bucket-mb=0.25
unset POCL_DEVICES
python3 - "$scratch/devices" <<'END'
import json, pathlib, sys
runs = pathlib.Path(sys.argv[1])
for place, devices in (("2-on-1-with-1", [1, 1]), ("2-on-1-with-0+1", [0, 1])):
    events = map(json.loads, (runs / "weak" / place / "1/run.jsonl").read_text().splitlines())
    start = next(event for event in events if event["event"] == "start")
    assert [rank["index"] for rank in start["placement"]] == devices, start
result = json.loads((runs / "results.json").read_text())["weak"]
assert [point["devices"] for point in result["measured"]] == ["1", "0+1"], result
simulated = result["simulated"]
assert (simulated["devices"], simulated["balance"], simulated["shares"]) == ("0,1", "3:1", [24, 8]), simulated
assert max(simulated["profile"]["bucket_bytes"]) < 2**19, simulated
sizes = [time["samples"] for time in simulated["profile"]["compute"][0]]
assert sizes == [8, 16, 24] and len(simulated["profile"]["compute"]) == 2, simulated
rows = [line.split("|") for line in (runs / "table.md").read_text().splitlines() if line.startswith("| 2 |")]
# The simulation is of ranks with a device each.
assert [(row[3].strip(), bool(row[8].strip())) for row in rows] == [("1", False), ("0+1", True)], rows
END
grep -q '>2 on 0+1</text>' "$scratch/devices/plot.svg"

# What is done stays.
before=$(cat "$scratch/runs/weak/2-on-1/1/summary.json")
[[ "$(scaling --scaling weak)" != *"run 1"* ]]
[[ "$(cat "$scratch/runs/weak/2-on-1/1/summary.json")" == "$before" ]]

# A run that fails is named.
rm -r "$scratch/runs/weak/1-on-1/1" "$scratch"/data/train-*.h5
code=0
output=$(scaling 2>&1) || code=$?
((code == 1))
[[ "$output" == *"failed, see $scratch/runs/weak/1-on-1/1/log.txt"* ]]
