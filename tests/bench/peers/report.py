#!/usr/bin/env python3
"""Dovetail beside its peers on this machine: table.md, results.json, and a roofline as SVG and, where rsvg-convert is there, as PNG.

  report.py --out DIR [--device auto|cpu|gpu|N] [--data DIR] [--rounds N] [--only gemm,steps] [--minutes M]
  report.py --out DIR --draw-only RESULTS.json [--draw-only MORE.json]      table and roofline of earlier results, here or elsewhere

Runs compare.py, each piece of work in turns with its peers, so that all of a comparison's figures are of the same minutes.
On a CPU: products (OpenBLAS, CLBlast, PyTorch), convolutions, training steps (where --data names a folder made by `dovetail shard`) and
inference (PyTorch in its fastest setting). On a GPU: training steps of mlp, cnn and vgg-small (PyTorch with CUDA graphs), products
(cuBLAS, CLBlast), convolutions, and with --data the time to an accuracy. results.json is written after every piece of work, so what ends a run
early loses nothing. The load of the machine when it began and ended stands beside the figures.
"""
import argparse
import contextlib
import datetime
import importlib.metadata
import json
import os
import pathlib
import platform
import shutil
import signal
import subprocess
import sys
import time

import ours
import peers
import table
from roofline import roofline

HERE = pathlib.Path(__file__).resolve().parent
SECTIONS = {"cpu": ["gemm", "conv", "train", "infer"], "gpu": ["steps", "gemm", "conv", "accuracy"]}
MODELS = ["mlp", "cnn", "vgg-small"]
GRACE_S = 30  # beyond --minutes, for a round that has begun


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("report"), help="folder of the results (default: report)")
    ours.add_options(parser)
    parser.add_argument("--only", help=f"some of {', '.join(table.SECTIONS)}; by default those of the device's kind")
    parser.add_argument("--tune-seconds", type=float, default=60, help="for which CLBlast is tuned, about; 0: it is not")
    parser.add_argument("--accuracy", type=float, default=0.91)
    parser.add_argument("--epochs", type=int, default=3, help="accuracy: of each training")
    parser.add_argument("--minutes", type=float, help="begin nothing more after so long")
    parser.add_argument("--draw-only", type=pathlib.Path, action="append", help="results.json of an earlier run; may be repeated")
    options = parser.parse_args()
    unknown = set((options.only or "").split(",")) - set(table.SECTIONS) - {""}
    if unknown:
        parser.error(f"--only knows no {', '.join(sorted(unknown))}")
    if not options.draw_only and not options.dry_run and not os.access(options.dovetail, os.X_OK):
        parser.error(f"no program {options.dovetail}: build it (./jobs/quickstart.sh), or name it by --dovetail")
    return options


def cpu_name():
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def cpu_flags():
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        return set(next(line.split(":", 1)[1].split() for line in lines if line.startswith("flags")))
    except (OSError, StopIteration):
        return set()


def versions():
    """Of the peers that this Python has."""
    found = {}
    for name, package in (("PyTorch", "torch"), ("NumPy", "numpy")):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(package)
    return found


def load():
    return round(os.getloadavg()[0], 2)


def commands(options, kind):
    """(section, words of compare.py). A model's steps are a process of their own, which gives the GPU's memory back."""
    sections = options.only.split(",") if options.only else SECTIONS[kind]
    words = ["--dovetail", str(options.dovetail), "--device", options.device, "--rounds", str(options.rounds), "--threads",
             str(options.threads), "--ranks", str(options.ranks), "--tune-seconds", str(options.tune_seconds), "--accuracy",
             str(options.accuracy), "--epochs", str(options.epochs)]
    words += ["--seconds", str(options.seconds)] if options.seconds else []
    words += ["--data", str(options.data)] if options.data else []
    words += [word for way in options.way or [] for word in ("--way", way)]
    words += [word for batch in options.batch or [] for word in ("--batch", str(batch))]
    words += ["--dry-run"] * options.dry_run
    forms = [word for form in options.format or [] for word in ("--format", form)]
    models = {"steps": options.model or MODELS, "train": options.model or MODELS[:2], "infer": options.model or MODELS[:2],
              "accuracy": options.model or ["cnn"]}
    return [(section, [section, *words, *(forms if section in ("gemm", "conv") else []), *(["--model", model] if model else [])])
            for section in sections for model in models.get(section, [None])]


def fair_openblas():
    """The CPU whose kernels OpenBLAS takes in what follows (PyTorch of Debian takes its products from it, too)."""
    if "OPENBLAS_CORETYPE" not in os.environ:
        better = peers.better_openblas_core(peers.openblas_core(), cpu_flags())
        if better:
            os.environ["OPENBLAS_CORETYPE"] = better
    return peers.openblas_core()


def measure(options, device, save):
    results = {"date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="minutes"), "cpu": cpu_name(),
               "device": {"kind": device.kind, "name": device.name, "driver": device.driver},
               "cores": len(os.sched_getaffinity(0)), "load_before": load(), "rounds": options.rounds, "versions": versions(),
               "sections": {}}
    if device.kind == "cpu" and table.is_busy(results) and "OMP_WAIT_POLICY" not in os.environ:
        # Threads that spin for one that other work keeps from its core wait whole time slices: that would be no measure of PyTorch.
        os.environ["OMP_WAIT_POLICY"] = "passive"
    results["omp_wait_policy"] = os.environ.get("OMP_WAIT_POLICY")
    if device.kind == "cpu":
        results["openblas_core"] = fair_openblas()
    until = time.time() + 60 * options.minutes if options.minutes else None
    for section, words in commands(options, device.kind):
        if section == "accuracy" and not options.data:
            continue
        if until and time.time() > until:
            print(f"-- left out, the time is over: compare.py {' '.join(words)}", flush=True)
            continue
        print(f"-- compare.py {' '.join(words)}", flush=True)
        part = options.out / "part.json"
        part.unlink(missing_ok=True)
        limit = [] if until is None else ["--until", str(until)]
        try:
            # With what it starts in a session of its own, so that all of it can be ended.
            process = subprocess.Popen([sys.executable, str(HERE / "compare.py"), *words, *limit, "--json", str(part)],
                                       start_new_session=True)
            if process.wait(timeout=until - time.time() + GRACE_S if until else None) != 0:
                print(f"compare.py {words[0]} failed (above); what it had measured is kept", file=sys.stderr)
        except BaseException as failure:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if not isinstance(failure, subprocess.TimeoutExpired):
                raise
            print("the time is over", file=sys.stderr)
        if part.exists():
            results["sections"].setdefault(section, []).extend(json.loads(part.read_text()))
            part.unlink()
        results["load_after"] = load()
        if not options.dry_run:
            save(results)
    return results


def merged(files):
    """One report of several of the same device; the first one's head."""
    every = [json.loads(file.read_text()) for file in files]
    whole = every[0]
    for other in every[1:]:
        if other["device"]["name"] != whole["device"]["name"]:
            sys.exit(f"{other['device']['name']} and {whole['device']['name']} are two devices")
        for section, rows in other["sections"].items():
            whole["sections"].setdefault(section, []).extend(rows)
    return whole


def write(results, out):
    (out / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    written = ["results.json"]
    if any(results["sections"].values()):
        (out / "table.md").write_text(table.markdown(results))
        written.append("table.md")
    if any(results["sections"].get(section) for section in ("gemm", "conv")):
        (out / "roofline.svg").write_text(roofline(results))
        written.append("roofline.svg")
        if shutil.which("rsvg-convert"):
            subprocess.run(["rsvg-convert", "--zoom", "2", "-o", str(out / "roofline.png"), str(out / "roofline.svg")], check=True)
            written.append("roofline.png")
    return "written: " + ", ".join(str(out / name) for name in written)


def main():
    options = arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.draw_only:
        print(write(merged(options.draw_only), options.out))
        return
    device = ours.target(options)
    results = measure(options, device, lambda results: write(results, options.out))
    if not options.dry_run:
        print(write(results, options.out))
        print((options.out / "table.md").read_text() if results["sections"] else "nothing was measured")


if __name__ == "__main__":
    main()
