#!/usr/bin/env bash
# Runs two rows of jobs/boost-ablation.sh for a few steps and checks what it collects: boost_ablation_test.sh DOVETAIL HAS_CARD
set -euo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export DOVETAIL=$1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export DOVETAIL_FASHION_MNIST="$scratch/images"
if (($2)); then rows=(grad-int8 wrong-rank); else rows=(gpu-64 wrong-random); fi

# 600 and 200 images of bright bars, whose height tells the class, on noise.
mkdir "$DOVETAIL_FASHION_MNIST"
python3 - "$DOVETAIL_FASHION_MNIST" <<'END'
import pathlib, random, struct, sys
folder, draw = pathlib.Path(sys.argv[1]), random.Random(1)
for name, count in (("train", 600), ("t10k", 200)):
    labels = [draw.randrange(10) for _ in range(count)]
    pixels = b"".join(bytes(draw.randrange(100) + 100 * (i // 28 // 3 == label) for i in range(784)) for label in labels)
    (folder / f"{name}-images-idx3-ubyte").write_bytes(struct.pack(">IIII", 0x803, count, 28, 28) + pixels)
    (folder / f"{name}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, count) + bytes(labels))
END

# Both rows, one seed, five steps.
ablation() {
  "$repository/jobs/boost-ablation.sh" --rows "${rows[0]}" --rows "${rows[1]}" --seeds 1 --steps 5 --validate-every 2 \
    --parallel 1 --data "$scratch/data" --out "$scratch/runs" "$@"
}

# Rows that nobody waits in stand beside those in lock step.
for row in async-grad-int8 async-rank-int8 grad-int8; do
  [[ "$("$repository/jobs/boost-ablation.sh" --list --seeds 1 --rows "$row" --out "$scratch/listed")" == *" $row 1 clean 1 "* ]]
done

ablation
grep -q '"samples": 60,' "$scratch/data-wrong/manifest.json" # 10 % of the labels
before=$(cat "$scratch/runs/results.json")
python3 - "$scratch/runs/results.json" "$2" "${rows[@]}" <<'END'
import json, sys
results, has_card, names = json.load(open(sys.argv[1])), int(sys.argv[2]), sys.argv[3:]
assert [row["row"] for row in results["rows"]] == names, results
for row in results["rows"]:
    assert len(row["runs"]) == 1 and row["gpu_trained"] == 64, row
    run = row["runs"][0]
    assert (run["seed"], run["steps"]) == (1, 5) and 0 < run["accuracy"] <= 1, run
    assert [step for step, _ in run["curve"]] == [2, 4, 5], run
    if not has_card:
        continue
    boost = run["gradients" if row["row"] == "grad-int8" else "select"]
    # 600 samples are 4 steps with 64 contributed and one with 24; or 3 pools of 192, one of 24, and then the first again.
    assert boost["samples"] == 4 * 64 + 24, boost
    assert (boost["steps"], boost["late"], boost["staleness"]["max"]) == (5, 0, 0), boost
END
grep -q "| ${rows[0]} |" "$scratch/runs/table.md"
grep -q "${rows[1]}</text>" "$scratch/runs/plot.svg"

# What is done stays; what is lost is done again, and comes out the same.
[[ "$(ablation)" == *"; 0 runs to do"* ]]
rm "$scratch/runs/${rows[0]}/1/summary.json"
[[ "$(ablation)" == *"; 1 runs to do"* ]]
weights() { grep -o '"weights_sha256": "[0-9a-f]*"'; }
[[ "$(weights <"$scratch/runs/results.json")" == "$(weights <<<"$before")" ]]

# Earlier results stand for the runs themselves, and are kept.
[[ "$(ablation --out "$scratch/elsewhere" --add-to "$scratch/runs/results.json")" == *"; 0 runs to do"* ]]
cmp "$scratch/elsewhere/results.json" "$scratch/runs/results.json"
python3 - "$scratch/runs/results.json" "$scratch/part.json" <<'END'
import json, sys
results = json.load(open(sys.argv[1]))
del results["rows"][0]
json.dump(results, open(sys.argv[2], "w"))
END
rm -r "$scratch/elsewhere"
[[ "$(ablation --out "$scratch/elsewhere" --add-to "$scratch/part.json")" == *"; 1 runs to do"* ]]
[[ "$(weights <"$scratch/elsewhere/results.json")" == "$(weights <<<"$before")" ]]

# A run that fails is named, and what is done is collected all the same.
rm "$scratch/runs/results.json" "$scratch/runs/${rows[1]}/1/summary.json" "$scratch"/data-wrong/train-*.h5
code=0
output=$(ablation 2>&1) || code=$?
((code == 1))
grep -q '"row": "'"${rows[0]}" "$scratch/runs/results.json"
[[ "$output" == *"1 runs failed: ${rows[1]}/1"* && "$output" == *"${rows[1]}/1/log.txt"* ]]
