#!/usr/bin/env python3
"""Makes one JSON file of the runs of jobs/scaling.sh, and a table and a plot of that file.

    scaling_report.py collect RUNS --json FILE
    scaling_report.py draw FILE [--table FILE.md] [--plot FILE.svg]

Needs Python's standard library alone. A point is the median of its runs by samples a second; its parts are means over the
GPU ranks, of the seconds in which steps were made: compute; exposed communication (the wait for the sums of the gradients,
less what the slowest rank's compute explains); imbalance (the slowest rank's compute less the mean); input; other.
"""
import argparse
import json
import pathlib
import statistics

import svg

PARTS = ("compute", "exposed", "imbalance", "input", "other")
COLOURS = {"compute": "#2a6f97", "exposed": "#c8553d", "imbalance": "#e9c46a", "input": "#8ab17d", "other": "#b8b8b8"}


# ---- collect


def read_run(folder):
    """Samples a second and the parts of the time of one run, as shares; None where it is not done."""
    try:
        summary = json.loads((folder / "summary.json").read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    if summary.get("status") != "done":
        return None
    ranks = [rank["seconds"] for rank in summary["ranks"] if rank["role"] == "gpu"]
    whole = summary["training_seconds"]
    compute = [seconds.get("compute", 0) for seconds in ranks]
    mean = statistics.fmean(compute)
    imbalance = max(compute) - mean
    waited = statistics.fmean(seconds.get("reduce", 0) for seconds in ranks)
    parts = {"compute": mean, "imbalance": min(imbalance, waited), "exposed": max(0.0, waited - imbalance),
             "input": statistics.fmean(seconds.get("input", 0) for seconds in ranks)}
    parts["other"] = max(0.0, whole - sum(parts.values()))
    return {"samples_per_second": summary["samples_per_second"], "batch": summary["batch"],
            "parts": {name: parts[name] / whole for name in PARTS},
            "hidden": summary.get("communication", {}).get("hidden")}


def read_points(folder):
    """The measured points of one kind of scaling, by ranks."""
    points = []
    for place in folder.glob("*-on-*"):
        count, devices = (place.name.split("-with-") + [""])[:2]
        ranks, hosts = (int(word) for word in count.split("-on-"))
        runs = [run for run in (read_run(run) for run in sorted(place.glob("[0-9]*"))) if run]
        if not runs:
            continue
        runs.sort(key=lambda run: run["samples_per_second"])
        rates = [run["samples_per_second"] for run in runs]
        points.append({"ranks": ranks, "hosts": hosts, "devices": devices, **runs[(len(runs) - 1) // 2], "runs": rates})
    points.sort(key=lambda point: (point["ranks"], point["hosts"], len(point["devices"]), point["devices"]))
    for point in points:
        point["speedup"] = point["samples_per_second"] / points[0]["samples_per_second"] * points[0]["ranks"]
        point["efficiency"] = point["speedup"] / point["ranks"]
    return points


def collect(runs):
    results = {}
    for kind in ("weak", "strong"):
        points = read_points(runs / kind)
        if not points:
            continue
        results[kind] = {"measured": points}
        simulated = runs / f"simulated-{kind}.json"
        if simulated.exists():
            results[kind]["simulated"] = json.loads(simulated.read_text())
    if not results:
        raise SystemExit(f"{runs}: no run is done")
    return results


# ---- draw


def simulated_points(result):
    """Speed-ups as simulated, over the first measured point like the measured ones."""
    return {point["ranks"]: point for point in result.get("simulated", {}).get("simulated", [])}


def is_simulated(point, result):
    """Whether the simulated ranks share devices as the measured ones of this point do."""
    simulated = result.get("simulated", {})
    if not point["devices"] or not simulated.get("devices"):
        return True
    ranks_here, devices_here = point["ranks"] / point["hosts"], len(point["devices"].split("+"))
    return ranks_here / devices_here == simulated["ranks"] / len(simulated["devices"].split(","))


def name_of(point):
    return f"{point['ranks']} on {point['devices']}" if point["devices"] else str(point["ranks"])


def percent(value):
    return "" if value is None else f"{100 * value:.1f} %"


def table(results):
    lines = []
    for kind, result in results.items():
        lines += [f"**{kind.capitalize()} scaling**", "",
                  "| ranks | hosts | devices a host | samples a step | samples/s (least to most) | speed-up | efficiency | simulated, samples/s | error | "
                  + " | ".join(PARTS) + " | hidden |", "| --- " * (10 + len(PARTS)) + "|"]
        simulated = simulated_points(result)
        for point in result["measured"]:
            guess = simulated.get(point["ranks"], {}).get("samples_per_second") if is_simulated(point, result) else None
            error = None if guess is None else guess / point["samples_per_second"] - 1
            runs = f"{point['samples_per_second']:.0f} ({min(point['runs']):.0f} to {max(point['runs']):.0f})"
            cells = [point["ranks"], point["hosts"], point["devices"] or "all", point["batch"], runs, f"{point['speedup']:.2f}",
                     percent(point["efficiency"]), "" if guess is None else f"{guess:.0f}",
                     "" if error is None else f"{100 * error:+.1f} %",
                     *(percent(point["parts"][name]) for name in PARTS), percent(point["hidden"])]
            lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
        measured = {point["ranks"] for point in result["measured"]}
        beyond = [point for ranks, point in sorted(simulated.items()) if ranks not in measured]
        if beyond:
            network = result["simulated"]["network"]
            lines += ["", f"Simulated, with a network ({network['source']}) of {1e6 * network['latency_s']:.2f} µs and "
                      f"{network['bytes_per_s'] / 1e9:.2f} GB/s:", "",
                      "| ranks | samples/s | speed-up | efficiency | bound by |", "| --- " * 5 + "|"]
            for point in beyond:
                lines.append(f"| {point['ranks']} | {point['samples_per_second']:.0f} | {point['speedup']:.1f} | "
                             f"{percent(point['efficiency'])} | {point['bound']} |")
        lines.append("")
    return "\n".join(lines)


WIDTH, HEIGHT, MARGIN = 330, 220, 50  # pixels of a panel, and around it


class Panel:
    """Efficiency over ranks (measured: dots; simulated: line), and bars of the measured parts beneath."""

    def __init__(self, kind, result, left):
        self.kind, self.result, self.left, self.parts = kind, result, left, []
        points = result["measured"]
        guesses = simulated_points(result)
        measured = {point["ranks"] for point in points}
        # A column a point, and one for each number of ranks that is simulated alone.
        self.columns = sorted([(point["ranks"], name_of(point)) for point in points]
                              + [(ranks, str(ranks)) for ranks in guesses if ranks not in measured])
        self.draw(points, guesses)

    def x(self, ranks, name):
        return self.left + MARGIN + (self.columns.index((ranks, name)) + 0.5) * WIDTH / len(self.columns)

    @staticmethod
    def y(share, top=30):
        return top + HEIGHT * (1 - min(share, 1.2) / 1.2)

    def text(self, x, y, text, style='text-anchor="middle"'):
        self.parts.append(svg.text(x, y, text, style))

    def draw(self, points, guesses):
        self.text(self.left + MARGIN + WIDTH / 2, 18, f"{self.kind} scaling: efficiency", 'text-anchor="middle" font-weight="bold"')
        for share in (0, 0.25, 0.5, 0.75, 1):
            y = self.y(share)
            self.parts.append(svg.line(self.left + MARGIN, y, self.left + MARGIN + WIDTH, y, 'stroke="#ddd"'))
            self.text(self.left + MARGIN - 6, self.y(share) + 4, f"{100 * share:.0f} %", 'text-anchor="end"')
        for column in self.columns:
            self.text(self.x(*column), 30 + HEIGHT + 16, column[1])
        unlike = {name_of(point) for point in points if not is_simulated(point, self.result)}
        line = " ".join(f"{self.x(ranks, name):.1f},{self.y(guesses[ranks]['efficiency']):.1f}"
                        for ranks, name in self.columns if ranks in guesses and name not in unlike)
        if line:
            self.parts.append(f'<polyline points="{line}" fill="none" stroke="#c60" stroke-dasharray="5 3"/>')
        for point in points:
            self.parts.append(f'<circle cx="{self.x(point["ranks"], name_of(point)):.1f}" cy="{self.y(point["efficiency"]):.1f}" r="4" fill="#246"/>')
        bars = 30 + HEIGHT + 40
        for point in points:
            top = bars
            for name in PARTS:
                height = 120 * point["parts"][name]
                self.parts.append(svg.box(self.x(point["ranks"], name_of(point)) - 12, top, 24, height, COLOURS[name]))
                top += height
            self.text(self.x(point["ranks"], name_of(point)), bars + 136, name_of(point))


def plot(results):
    panels = [Panel(kind, result, i * (WIDTH + MARGIN + 20)) for i, (kind, result) in enumerate(results.items())]
    width = len(panels) * (WIDTH + MARGIN + 20) + 20
    parts = [part for panel in panels for part in panel.parts]
    parts += svg.legend(MARGIN, HEIGHT + 216, COLOURS)
    parts.append(svg.text(MARGIN, HEIGHT + 245, "dots: measured; dashed: simulated; bars: where the time of a step goes"))
    return svg.document(width, HEIGHT + 260, parts)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    collecting = commands.add_parser("collect", help="makes one JSON file of the runs' folder")
    collecting.add_argument("runs", type=pathlib.Path)
    collecting.add_argument("--json", type=pathlib.Path, required=True)
    drawing = commands.add_parser("draw", help="makes a table and a plot of that file")
    drawing.add_argument("json", type=pathlib.Path)
    drawing.add_argument("--table", type=pathlib.Path)
    drawing.add_argument("--plot", type=pathlib.Path)
    arguments = parser.parse_args()
    if arguments.command == "collect":
        arguments.json.write_text(json.dumps(collect(arguments.runs), indent=1) + "\n")
        return
    results = json.loads(arguments.json.read_text())
    if arguments.table:
        arguments.table.write_text(table(results))
    if arguments.plot:
        arguments.plot.write_text(plot(results))


if __name__ == "__main__":
    main()
