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
        assert abs(sum(point["parts"].values()) - 1) < 0.2 and min(point["parts"].values()) >= 0, point
    assert points[0]["efficiency"] == 1 and points[1]["efficiency"] == points[1]["speedup"] / 2, points
    # 64 ranks have no sample each of a batch of 16.
    simulated = [point["ranks"] for point in result["simulated"]["simulated"]]
    assert simulated == ([1, 2, 4, 64] if kind == "weak" else [1, 2, 4]), simulated
    assert all(point["step_s"] > 0 for point in result["simulated"]["simulated"]), result
END
grep -q '| 64 |' "$scratch/runs/table.md"
grep -q 'strong scaling: efficiency</text>' "$scratch/runs/plot.svg"

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
