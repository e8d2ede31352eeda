#!/usr/bin/env python3
"""Trains one net in several compute formats with the same seeds, and holds the curves of the training loss against each other.

  loss_curves.py --data DIR --out DIR [--model cnn] [--formats float32,tf32,bf16,fp16] [--seeds 5] [--epochs 3] [--batch 128]

A seed gives all formats the same weights to begin with and the same batches, so that what differs is what the format does. Writes curves.json,
curves.md (by epoch: the first format's mean and its standard deviation over the seeds, the others' differences) and curves.svg (by steps: the
first format's mean and, shaded, that deviation; the others' means). Where the device has no tensor cores the formats are emulated: operands are
rounded as they would be.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "jobs"))
import svg  # noqa: E402

COLOURS = ("#1f5f99", "#d1701a", "#3a8a43", "#8c4aa8")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dovetail", type=pathlib.Path, default=ROOT / "build/release/dovetail")
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--model", default="cnn")
    parser.add_argument("--formats", default="float32,tf32,bf16,fp16", help="the first is what the others are held against")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch", type=int, default=128)
    options = parser.parse_args()
    if options.seeds < 2:
        parser.error("--seeds: of one there is no deviation")
    return options


def train(options, form, seed):
    """{"emulated": …, "steps": {step: loss of its batch}, "epochs": [mean loss]}"""
    with tempfile.TemporaryDirectory() as folder:
        words = [options.dovetail, "train", "--data", options.data, "--model", options.model, "--epochs", options.epochs, "--batch",
                 options.batch, "--format", form, "--seed", seed, "--fpga-ranks", 0, "--out", f"{folder}/run"]
        environment = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
        done = subprocess.run(list(map(str, words)), env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            sys.exit(f"{form}, seed {seed}:\n{done.stdout}")
        events = [json.loads(line) for line in pathlib.Path(folder, "run/run.jsonl").read_text().splitlines()]
        summary = json.loads(pathlib.Path(folder, "run/summary.json").read_text())
    return {"emulated": summary["format_emulated"],
            "steps": {str(event["step"]): event["loss"] for event in events if event["event"] == "step"},
            "epochs": [event["train_loss"] for event in events if event["event"] == "epoch"]}


def spread(curves, point):
    """Mean and standard deviation over the seeds of what `point` takes of a run."""
    values = [point(run) for run in curves]
    return statistics.mean(values), statistics.stdev(values)


def table(results):
    """By epoch, with the largest mean difference as a multiple of the deviation over the seeds."""
    first, *others = results["curves"]
    runs = results["curves"]
    lines = [f"| epoch | {first} | {' | '.join(f'{form}: difference (largest of a seed)' for form in others)} |",
             f"| --- |{' --- |' * (1 + len(others))}"]
    worst = dict.fromkeys(others, 0.0)
    for epoch in range(len(runs[first][0]["epochs"])):
        mean, deviation = spread(runs[first], lambda run, epoch=epoch: run["epochs"][epoch])
        cells = []
        for form in others:
            apart = [other["epochs"][epoch] - own["epochs"][epoch] for other, own in zip(runs[form], runs[first])]
            difference = statistics.mean(apart)
            worst[form] = max(worst[form], abs(difference) / deviation if deviation else float("inf"))
            cells.append(f"{difference:+.4f} ({max(apart, key=abs):+.4f})")
        lines.append(f"| {epoch + 1} | {mean:.4f} ± {deviation:.4f} | {' | '.join(cells)} |")
    lines += ["", *(f"{form}: the mean curve is at most {share:.2f} standard deviations of the seeds from {first}'s." for form, share in worst.items())]
    emulated = [form for form in runs if runs[form][0]["emulated"]]
    return "\n".join(lines + ([f"Emulated: {', '.join(emulated)}."] if emulated else []))


def drawing(results):
    width, height, left, right, top, bottom = 760, 400, 60, 20, 40, 50
    curves = results["curves"]
    steps = sorted(map(int, next(iter(curves.values()))[0]["steps"]))
    at = {form: [spread(runs, lambda run, step=step: run["steps"][str(step)]) for step in steps] for form, runs in curves.items()}
    highest = max(mean + deviation for points in at.values() for mean, deviation in points)

    def x_of(step):
        return left + (width - left - right) * step / steps[-1]

    def y_of(loss):
        return height - bottom - (height - top - bottom) * max(loss, 0) / highest

    def points(pairs):
        return " ".join(f"{x_of(step):.1f},{y_of(loss):.1f}" for step, loss in pairs)

    parts = []
    for tenth in range(0, 11, 2):
        loss = highest * tenth / 10
        parts += [svg.line(left, y_of(loss), width - right, y_of(loss), 'stroke="#e4e4e4"'),
                  svg.text(left - 6, y_of(loss) + 4, f"{loss:.2f}", 'text-anchor="end"')]
    for quarter in range(5):
        step = round(steps[-1] * quarter / 4)
        parts.append(svg.text(x_of(step), height - bottom + 16, str(step), 'text-anchor="middle"'))
    colours = dict(zip(curves, COLOURS))
    band = at[next(iter(curves))]
    above = [(step, mean + deviation) for step, (mean, deviation) in zip(steps, band)]
    below = [(step, mean - deviation) for step, (mean, deviation) in zip(steps, band)]
    parts.append(f'<polygon points="{points(above + below[::-1])}" fill="{COLOURS[0]}" fill-opacity="0.15"/>')
    for form, colour in colours.items():
        line = points((step, mean) for step, (mean, _) in zip(steps, at[form]))
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.3"><title>{form}</title></polyline>')
    parts += svg.legend(left, 14, colours)
    parts.append(svg.text((left + width - right) / 2, height - 12, "step", 'text-anchor="middle"'))
    parts.append(svg.text(16, height / 2, "training loss", f'text-anchor="middle" transform="rotate(-90 16 {height / 2:.0f})"'))
    return svg.document(width, height, parts)


def main():
    options = arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    curves = {form: [] for form in options.formats.split(",")}
    for seed in range(1, options.seeds + 1):
        for form, runs in curves.items():
            runs.append(train(options, form, seed))
            print(f"seed {seed}, {form}: {', '.join(f'{loss:.4f}' for loss in runs[-1]['epochs'])}", flush=True)
    results = {"model": options.model, "batch": options.batch, "epochs": options.epochs, "seeds": options.seeds, "curves": curves}
    (options.out / "curves.json").write_text(json.dumps(results, indent=1) + "\n")
    (options.out / "curves.md").write_text(table(results) + "\n")
    (options.out / "curves.svg").write_text(drawing(results))
    print(f"\n{table(results)}\nwritten: curves.json, curves.md and curves.svg in {options.out}")


if __name__ == "__main__":
    main()
