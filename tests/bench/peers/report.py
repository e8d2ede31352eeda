#!/usr/bin/env python3
"""One report of Dovetail beside its peers on this machine: table.md, results.json, and a roofline as SVG (and as PNG where
rsvg-convert is there).

  report.py --out DIR [--data DIR] [--rounds N] [--only gemm,conv] [--from results.json]

Runs compare.py for products, convolutions, training steps (mlp and cnn, where --data names a folder made by `dovetail shard`)
and inference; each in turns with its peers, so that all of a comparison's figures are of the same minutes. The load of the
machine when it began and ended stands beside the figures. --from draws and writes a table from earlier results.
"""
import argparse
import datetime
import html
import json
import math
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
sys.path.insert(0, str(ROOT / "jobs"))
import svg  # noqa: E402

MODELS = ("mlp", "cnn")
SECTIONS = {"gemm": "Matrix products, float32 (rows × in × out)",
            "conv": "3×3 convolutions, float32 (in × out × extent × batch)",
            "train": "Training steps", "infer": "Inference, float32"}
COLOURS = ("#1f5f99", "#d1701a", "#3a8a43", "#8c4aa8", "#7a7a7a", "#b03040")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--dovetail", type=pathlib.Path, default=ROOT / "build/release/dovetail")
    parser.add_argument("--data", type=pathlib.Path)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--ranks", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default=",".join(SECTIONS), help=f"some of {','.join(SECTIONS)}")
    parser.add_argument("--from", dest="earlier", type=pathlib.Path, help="results.json of an earlier run")
    options = parser.parse_args()
    unknown = set(options.only.split(",")) - set(SECTIONS)
    if unknown:
        parser.error(f"--only knows no {', '.join(sorted(unknown))}")
    if not options.earlier and not os.access(options.dovetail, os.X_OK):
        parser.error(f"no program {options.dovetail}: build it (./jobs/quickstart.sh), or name it by --dovetail")
    return options


def cpu_name():
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def load():
    return round(os.getloadavg()[0], 2)


def measure(options):
    results = {"date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="minutes"), "cpu": cpu_name(),
               "cores": len(os.sched_getaffinity(0)), "load_before": load(), "rounds": options.rounds, "sections": {}}
    commands = []
    for section in options.only.split(","):
        words = [section, "--rounds", str(options.rounds)]
        if section in ("gemm", "conv"):
            commands.append((section, words))
            continue
        words += ["--batch", str(options.batch)]
        if section == "train":
            words += ["--ranks", str(options.ranks), *(["--data", str(options.data)] if options.data else [])]
        commands += [(section, [*words, "--model", model]) for model in MODELS]
    for section, words in commands:
        print(f"-- compare.py {' '.join(words)}", flush=True)
        part = options.out / "part.json"
        done = subprocess.run([sys.executable, str(HERE / "compare.py"), *words, "--dovetail", str(options.dovetail),
                               "--json", str(part)], check=False)
        if done.returncode != 0:
            sys.exit(f"compare.py {' '.join(words)} failed (above); leave its part out by --only")
        results["sections"].setdefault(section, []).extend(json.loads(part.read_text()))
        part.unlink()
    results["load_after"] = load()
    return results


def ceilings_of(results):
    """Medians over all of the report's runs."""
    each = [row["ceilings"] for rows in results["sections"].values() for row in rows]
    return {name: statistics.median(ceilings[name] for ceilings in each) for name in each[0]}


def best_peer(row):
    """The fastest peer's name, and by how much its time is a multiple of ours; None without peers."""
    others = {name: seconds for name, seconds in row["seconds"].items() if name != "dovetail"}
    if not others:
        return None
    name = min(others, key=others.get)
    return name, others[name] / row["seconds"]["dovetail"]


def table(rows, flops):
    names = list(dict.fromkeys(name for row in rows for name in row["seconds"]))
    with_rates = "operations" in rows[0]
    heads = ["work", *(f"{name}, {'GFLOP/s' if with_rates else 'ms'}" for name in names),
             *(["dovetail of the multiply-add ceiling"] if with_rates else []), "as fast as the fastest peer"]
    lines = [f"| {' | '.join(heads)} |", f"| --- |{' ---: |' * (len(heads) - 1)}"]
    for row in rows:
        def cell(name):
            if name not in row["seconds"]:
                return "–"
            seconds = row["seconds"][name]
            return f"{row['operations'] / seconds / 1e9:.1f}" if with_rates else f"{seconds * 1e3:.3f}"
        cells = [row["work"], *map(cell, names)]
        if with_rates:
            cells.append(f"{100 * row['operations'] / row['seconds']['dovetail'] / flops:.0f} %")
        best = best_peer(row)
        cells.append(f"{best[1]:.2f} × ({best[0]})" if best else "–")
        lines.append(f"| {' | '.join(cells)} |")
    for name in names[1:]:
        ratios = [row["seconds"][name] / row["seconds"]["dovetail"] for row in rows if name in row["seconds"]]
        if len(ratios) > 1:
            lines.append(f"\nGeometric mean against {name}: {statistics.geometric_mean(ratios):.2f} ×")
    return "\n".join(lines)


def markdown(results):
    ceilings = ceilings_of(results)
    lines = ["# Dovetail beside its peers", "",
             f"{results['cpu']}, {results['cores']} cores, {results['date']}; medians of {results['rounds']} rounds in turns. "
             f"Load of the machine: {results['load_before']} when it began, {results['load_after']} when it ended.", ""]
    if results["load_before"] > results["cores"] / 2:
        lines += ["**The machine was busy with other work: the figures say little.**", ""]
    lines += [f"Measured ceilings: {ceilings['float32_flops'] / 1e9:.1f} GFLOP/s of float32 multiply-adds, "
              f"{ceilings['copy_bytes_per_s'] / 1e9:.1f} GB/s of copies.", ""]
    for section, rows in results["sections"].items():
        lines += [f"## {SECTIONS[section]}", "", table(rows, ceilings["float32_flops"]), ""]
    if any(section in results["sections"] for section in ("gemm", "conv")):
        lines += ["![roofline](roofline.svg)", ""]
    return "\n".join(lines)


def marker(kind, x, y, colour, title):
    if kind == "conv":
        shape = f'<rect x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8"'
    else:
        shape = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4"'
    return f'{shape} fill="{colour}" fill-opacity="0.8"><title>{html.escape(title)}</title></{"rect" if kind == "conv" else "circle"}>'


def roofline(results):
    """Circles are products, squares convolutions; over operations a byte, each input read once, each output written once."""
    rows = [(section, row) for section in ("gemm", "conv") for row in results["sections"].get(section, [])]
    ceilings = ceilings_of(results)
    flops, bandwidth = ceilings["float32_flops"], ceilings["copy_bytes_per_s"]
    points = [(section, name, row["operations"] / row["bytes"], row["operations"] / seconds, row["work"])
              for section, row in rows for name, seconds in row["seconds"].items()]
    width, height, left, right, top, bottom = 760, 460, 70, 20, 40, 50
    x_low, x_high = math.floor(math.log2(min(p[2] for p in points)) - 1), math.ceil(math.log2(max(p[2] for p in points)) + 1)
    x_low = min(x_low, math.floor(math.log2(flops / bandwidth)) - 1)
    y_low = math.floor(math.log10(min(p[3] for p in points)))
    y_high = math.ceil(math.log10(max(flops, max(p[3] for p in points)) * 1.2))

    def x_of(intensity):
        return left + (math.log2(intensity) - x_low) / (x_high - x_low) * (width - left - right)

    def y_of(rate):
        return height - bottom - (math.log10(rate) - y_low) / (y_high - y_low) * (height - top - bottom)

    parts = []
    for power in range(x_low, x_high + 1):
        x = x_of(2.0**power)
        parts.append(svg.line(x, top, x, height - bottom, 'stroke="#e4e4e4"'))
        parts.append(svg.text(x, height - bottom + 16, f"{2.0**power:g}", 'text-anchor="middle"'))
    for power in range(y_low, y_high + 1):
        for step in range(1, 10):
            if power == y_high and step > 1:
                break
            y = y_of(step * 10.0**power)
            parts.append(svg.line(left, y, width - right, y, f'stroke="{"#d0d0d0" if step == 1 else "#f0f0f0"}"'))
        parts.append(svg.text(left - 6, y_of(10.0**power) + 4, f"{10.0**power / 1e9:g}", 'text-anchor="end"'))
    knee, style = flops / bandwidth, 'stroke="black" stroke-width="1.5"'
    start = max(2.0**x_low, 10.0**y_low / bandwidth)
    parts.append(svg.line(x_of(start), y_of(start * bandwidth), x_of(knee), y_of(flops), style))
    parts.append(svg.line(x_of(knee), y_of(flops), width - right, y_of(flops), style))
    parts.append(svg.text(width - right - 4, y_of(flops) - 6, f"{flops / 1e9:.0f} GFLOP/s multiply-add",
                          'text-anchor="end"'))
    parts.append(svg.text(x_of(start) + 10, y_of(start * bandwidth) + 18, f"{bandwidth / 1e9:.1f} GB/s copy"))
    names = list(dict.fromkeys(p[1] for p in points))
    colours = dict(zip(names, COLOURS))
    for section, name, intensity, rate, work in points:
        parts.append(marker(section, x_of(intensity), y_of(rate), colours[name], f"{name}, {work}: {rate / 1e9:.1f} GFLOP/s"))
    parts += svg.legend(left, 14, colours)
    parts.append(svg.text(width - right, 22, "● products  ■ convolutions", 'text-anchor="end"'))
    parts.append(svg.text((left + width - right) / 2, height - 12, "operations a byte", 'text-anchor="middle"'))
    parts.append(svg.text(16, height / 2, "GFLOP/s", f'text-anchor="middle" transform="rotate(-90 16 {height / 2:.0f})"'))
    return svg.document(width, height, parts)


def write(results, out):
    (out / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    (out / "table.md").write_text(markdown(results))
    written = ["table.md", "results.json"]
    if any(section in results["sections"] for section in ("gemm", "conv")):
        (out / "roofline.svg").write_text(roofline(results))
        written.append("roofline.svg")
        if shutil.which("rsvg-convert"):
            subprocess.run(["rsvg-convert", "--zoom", "2", "-o", str(out / "roofline.png"), str(out / "roofline.svg")],
                           check=True)
            written.append("roofline.png")
    print("written:", ", ".join(str(out / name) for name in written))


def main():
    options = arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    results = json.loads(options.earlier.read_text()) if options.earlier else measure(options)
    write(results, options.out)


if __name__ == "__main__":
    main()
