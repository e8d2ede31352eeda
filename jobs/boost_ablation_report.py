#!/usr/bin/env python3
"""Makes one JSON file of the runs of jobs/boost-ablation.sh, and a table and a plot of that file.

    boost_ablation_report.py collect RUNS --json FILE [--steps N] [--add-to FILE]
    boost_ablation_report.py list FILE
    boost_ablation_report.py draw FILE [--table FILE.md] [--plot FILE.svg]

Needs Python's standard library alone. Intervals are 95 % confidence intervals of the mean (Student's t); a gain is the
mean of the differences between runs of the same seed.
"""
import argparse
import json
import math
import pathlib
import statistics
import sys

import svg

THRESHOLD = 0.90  # of the test accuracy, that steps are counted to
TITLES = {
    "gradients": "Contributed gradients: half of a batch of 128",
    "selection": "Selected samples: 64 of a pool of 192, scored with the present weights",
    "staleness": "Old weights: scores and gradients up to so many steps old",
    "both": "Both boosts together",
    "async": "Without lock step: what comes late is left out",
    "wrong": "10 % of the training labels wrong",
}
# Two-sided 95 % quantiles of Student's t for 1 to 30 degrees of freedom.
T95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
       2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042)


def interval(values):
    """Mean, and half the width of its confidence interval (None for fewer than two values)."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return mean, None
    return mean, T95[min(len(values) - 1, len(T95)) - 1] * statistics.stdev(values) / math.sqrt(len(values))


# ---- collect


def read_run(folder, seed):
    """The figures of one run, or None where it is not done."""
    try:
        summary = json.loads((folder / "summary.json").read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    if summary.get("status", "done") != "done":
        return None
    events = map(json.loads, (folder / "run.jsonl").read_text().splitlines())
    curve = [(event["step"], event["test_accuracy"]) for event in events if event["event"] in ("validation", "epoch")]
    reached = next((step for step, accuracy in curve if accuracy >= THRESHOLD), None)
    run = {"seed": seed, "steps": summary["steps"], "accuracy": summary["test_accuracy"],
           "cross_entropy": summary["test_cross_entropy"], "steps_to_threshold": reached,
           "wall_seconds": round(summary["wall_seconds"], 1), "weights_sha256": summary["weights_sha256"],
           "curve": curve}
    fpga = summary["fpga"]
    if fpga["retired"]:
        run["retired"] = len(fpga["retired"])
    for boost, figures in fpga["boost"].items():
        kept = ("steps", "samples", "missing", "late", "staleness", "cosine", "norm_ratio", "weight")
        run[boost] = {key: figures[key] for key in kept if figures.get(key) is not None}
    return run


def read_rows(runs_folder):
    lines = (runs_folder / "rows.txt").read_text().splitlines()
    for line in lines[1:]:
        group, row, against, _, data, fpga, gpu, options = line.split(maxsplit=7)
        trained, _, scored = gpu.partition("+")
        yield {"row": row, "group": group, "against": None if against == "-" else against, "data": data,
               "fpga_ranks": int(fpga), "gpu_trained": int(trained), "gpu_scored": int(scored or 0),
               "options": options}


def collect(runs_folder, steps):
    """The done runs of so many steps (None: of any number), row by row."""
    rows = []
    for row in read_rows(runs_folder):
        folders = [f for f in (runs_folder / row["row"]).glob("*") if f.name.isdigit()]
        found = (read_run(folder, int(folder.name)) for folder in sorted(folders, key=lambda f: int(f.name)))
        row["runs"] = [run for run in found if run and (steps is None or run["steps"] == steps)]
        if row["runs"]:
            rows.append(row)
    return {"threshold": THRESHOLD, "rows": rows}


def add(earlier, results, names):
    """All rows and seeds of both, in the order of names; where both have a run, the newer one. Of a row that is run with
    other options now, the earlier runs are left out."""
    rows = {row["row"]: row for row in earlier["rows"]}
    for row in results["rows"]:
        old = rows.get(row["row"])
        if old and old["options"] == row["options"]:
            runs = {run["seed"]: run for run in old["runs"] + row["runs"]}
            row["runs"] = [runs[seed] for seed in sorted(runs)]
        rows[row["row"]] = row
    return {"threshold": THRESHOLD, "rows": [rows[name] for name in names if name in rows]}


def compact(results):
    """JSON text with a line for each run."""
    text = f'{{"threshold": {results["threshold"]},\n "rows": [\n'
    rows = []
    for row in results["rows"]:
        head = json.dumps({key: value for key, value in row.items() if key != "runs"})[:-1]
        runs = ",\n    ".join(json.dumps(run) for run in row["runs"])
        rows.append(f'  {head}, "runs": [\n    {runs}]}}')
    return text + ",\n".join(rows) + "]}\n"


# ---- draw


def accuracies(row):
    return {run["seed"]: 100 * run["accuracy"] for run in row["runs"]}


def gain(row, other):
    """Mean and interval of the differences to another row, seed by seed; None without common seeds."""
    mine, its = accuracies(row), accuracies(other)
    common = sorted(mine.keys() & its.keys())
    return interval([mine[seed] - its[seed] for seed in common]) if common else None


def plus_minus(pair, digits=2, sign=False):
    mean, half = pair
    text = f"{mean:{'+' if sign else ''}.{digits}f}"
    return text if half is None else f"{text} ± {half:.{digits}f}"


def gain_text(row, rows):
    other = rows.get(row["against"])
    pair = gain(row, other) if other else None
    return "" if pair is None else f"{plus_minus(pair, sign=True)} over {other['row']}"


def recovered_text(row, rows):
    """Of the accuracy that dropping the FPGA ranks' share costs."""
    ceiling, dropped = rows.get("gpu-128"), rows.get("gpu-64")
    if row["group"] != "gradients" or row in (ceiling, dropped) or not (ceiling and dropped):
        return ""
    cost, back = gain(ceiling, dropped), gain(row, dropped)
    return f"{100 * back[0] / cost[0]:.0f} %" if cost and back and cost[0] > 0 else ""


def reached_texts(row):
    """Steps and samples (trained on by the GPU rank) to the threshold."""
    steps = [run["steps_to_threshold"] for run in row["runs"] if run["steps_to_threshold"] is not None]
    if not steps:
        return "never", "never"
    some = "" if len(steps) == len(row["runs"]) else f" ({len(steps)} of {len(row['runs'])} runs)"
    return tuple(plus_minus(interval([factor * step for step in steps]), 0) + some for factor in
                 (1, row["gpu_trained"]))


def percent_text(parts, wholes, what):
    """Mean and interval of the shares, run by run."""
    shares = [100 * part / whole for part, whole in zip(parts, wholes)]
    return f"{plus_minus(interval(shares), 0)} % of {what}"


def lateness_texts(boost, figures):
    """What came late or not at all, and how old the weights were, of runs that nobody waited in."""
    late = [f.get("late", 0) for f in figures]
    if boost == "select":
        texts = ["late " + percent_text(late, [f["steps"] + f.get("late", 0) for f in figures], "steps")]
    else:
        missing = [f.get("missing", 0) for f in figures]
        texts = [f"late {sum(late)}",
                 "missing " + percent_text(missing, [f["samples"] + f.get("missing", 0) for f in figures], "samples")]
    ages = [f["staleness"] for f in figures if f["steps"]]
    if ages:
        texts.append(f"weights {statistics.fmean(age['mean'] for age in ages):.1f} steps old, "
                     f"{max(age['max'] for age in ages)} at most")
    return texts


def boost_text(row):
    parts = []
    for boost in ("gradients", "select"):
        figures = [run[boost] for run in row["runs"] if boost in run]
        cosines = [f["cosine"] for f in figures if "cosine" in f]
        if cosines:
            parts.append(f"cosine {statistics.fmean(cosines):.3f}")
        if figures and row["group"] == "async":
            parts += lateness_texts(boost, figures)
        elif any(f.get("late") for f in figures):
            parts.append(f"late {sum(f['late'] for f in figures)}")
    return ", ".join(parts)


def work_text(row):
    return str(row["gpu_trained"]) + (f" + {row['gpu_scored']} scored" if row["gpu_scored"] else "")


def table(results):
    rows = {row["row"]: row for row in results["rows"]}
    lines = []
    for group in dict.fromkeys(row["group"] for row in results["rows"]):
        lines += [f"**{TITLES[group]}**", "",
                  "| row | GPU samples a step | seeds | final accuracy, % | gain, points | recovered | "
                  f"steps to {results['threshold']:.2f} | samples to {results['threshold']:.2f} | boost |",
                  "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"]
        for row in (row for row in results["rows"] if row["group"] == group):
            cells = [row["row"], work_text(row), str(len(row["runs"])),
                     plus_minus(interval(list(accuracies(row).values()))), gain_text(row, rows),
                     recovered_text(row, rows), *reached_texts(row), boost_text(row)]
            lines.append("| " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


LEFT, WIDTH, LINE, TOP = 170, 560, 18, 24  # pixels: labels, axis, a row, above
POINTS = 5  # that the axis shows below the best mean; what is less is written at its left end


class Plot:
    """An SVG drawing: a dot and an interval for each row, small ticks for its runs."""

    def __init__(self, results):
        self.rows = {row["row"]: row for row in results["rows"]}
        means = {name: interval(list(accuracies(row).values()))[0] for name, row in self.rows.items()}
        values = [value for row in results["rows"] for value in accuracies(row).values()]
        self.means, self.high = means, math.ceil(2 * max(values) + 0.2) / 2
        self.low = max(math.floor(2 * min(values)) / 2, math.floor(max(means.values())) - POINTS)
        self.parts, self.y = [], TOP

    def x(self, value):
        return LEFT + WIDTH * (value - self.low) / (self.high - self.low)

    def line(self, x1, y1, x2, y2, style):
        self.parts.append(svg.line(x1, y1, x2, y2, style))

    def text(self, x, y, text, style=""):
        self.parts.append(svg.text(x, y, text, style))

    def row(self, row):
        middle = self.y + LINE / 2
        mean, half = interval(list(accuracies(row).values()))
        self.text(LEFT - 8, middle + 4, row["row"], 'text-anchor="end"')
        if mean < self.low:
            self.text(LEFT + 2, middle + 4, f"◂ {mean:.1f} %", 'fill="#b02020"')
        else:
            for value in (v for v in accuracies(row).values() if v >= self.low):
                self.line(self.x(value), middle - 4, self.x(value), middle + 4, 'stroke="#9ab"')
            ends = [min(max(mean + side * (half or 0), self.low), self.high) for side in (-1, 1)]
            self.line(self.x(ends[0]), middle, self.x(ends[1]), middle, 'stroke="#246" stroke-width="2"')
            self.parts.append(f'<circle cx="{self.x(mean):.1f}" cy="{middle:.1f}" r="3.5" fill="#246"/>')
        self.y += LINE

    def group(self, name, rows):
        self.text(LEFT, self.y + LINE - 4, TITLES[name], 'font-weight="bold"')
        self.y += LINE
        begin = self.y
        for row in rows:
            self.row(row)
        references = dict.fromkeys(row["against"] for row in rows if row["against"] in self.means)
        for reference in references:
            at = self.means[reference]
            if at >= self.low:
                self.line(self.x(at), begin, self.x(at), self.y, 'stroke="#c60" stroke-dasharray="4 3"')
        self.y += LINE / 2

    def svg(self):
        for name in dict.fromkeys(row["group"] for row in self.rows.values()):
            self.group(name, [row for row in self.rows.values() if row["group"] == name])
        bottom = self.y
        for half in range(math.ceil(2 * self.low), math.floor(2 * self.high) + 1):
            self.line(self.x(half / 2), TOP, self.x(half / 2), bottom, 'stroke="#ddd" stroke-width="0.6"')
            if half % 2 == 0:
                self.text(self.x(half / 2), bottom + 14, str(half // 2), 'text-anchor="middle"')
        self.text(LEFT + WIDTH / 2, bottom + 30, "test accuracy, %: mean and 95 % interval, ticks: the runs, dashed: "
                  "what gains are over", 'text-anchor="middle"')
        return svg.document(LEFT + WIDTH + 20, bottom + 40, self.parts)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    collecting = commands.add_parser("collect", help="makes one JSON file of the runs' folder")
    collecting.add_argument("runs", type=pathlib.Path)
    collecting.add_argument("--json", type=pathlib.Path, required=True)
    collecting.add_argument("--steps", type=int, help="only runs of so many steps")
    collecting.add_argument("--add-to", type=pathlib.Path, help="keep the runs of this file of earlier results, too")
    listing = commands.add_parser("list", help="prints ROW SEED of each run in that file")
    listing.add_argument("json", type=pathlib.Path)
    drawing = commands.add_parser("draw", help="makes a table and a plot of that file")
    drawing.add_argument("json", type=pathlib.Path)
    drawing.add_argument("--table", type=pathlib.Path)
    drawing.add_argument("--plot", type=pathlib.Path)
    arguments = parser.parse_args()
    if arguments.command == "collect":
        results = collect(arguments.runs, arguments.steps)
        if arguments.add_to:
            names = [row["row"] for row in read_rows(arguments.runs)]
            results = add(json.loads(arguments.add_to.read_text()), results, names)
        if not results["rows"]:
            sys.exit(f"{arguments.runs}: no run is done" + (f" that has {arguments.steps} steps" if arguments.steps else ""))
        arguments.json.write_text(compact(results))
        return
    results = json.loads(arguments.json.read_text())
    if arguments.command == "list":
        for row in results["rows"]:
            for run in row["runs"]:
                print(row["row"], run["seed"])
        return
    if arguments.table:
        arguments.table.write_text(table(results))
    if arguments.plot:
        arguments.plot.write_text(Plot(results).svg())


if __name__ == "__main__":
    main()
