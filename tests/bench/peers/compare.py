#!/usr/bin/env python3
"""Dovetail beside its peers on the same work, in turns, on the same machine: ratios of medians, as text and JSON.

  compare.py gemm   matrix products: OpenBLAS (through NumPy), CLBlast (through pyopencl), PyTorch
  compare.py conv   3×3 convolutions and their gradients: PyTorch
  compare.py train  training steps of a model: PyTorch (its loop is pytorch_train.py), one or several ranks
  compare.py infer  float32 inference of a model: PyTorch, eager and TorchScript

Every round measures all of them once, in an order that changes; what counts is the median over the rounds. A peer that is
not installed is named and left out. Needs Debian's python3-numpy with libopenblas0-pthread; python3-pyopencl and
libclblast1, python3-torch for what uses them. report.py runs all four.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

import peers

ROOT = peers.ROOT
GEMMS = ["512x512x512", "1024x1024x1024", "128x784x256", "128x3136x128", "50176x288x64"]
LARGE_GEMMS = ["2048x2048x2048"]  # on two cores CLBlast takes seconds for one
CONVS = ["1x32x28x128", "32x64x28x128", "32x64x14x128"]
DIRECTIONS = ("forward", "input gradient", "weight gradient")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["gemm", "conv", "train", "infer"])
    parser.add_argument("--dovetail", type=pathlib.Path, default=ROOT / "build/release/dovetail")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shape", action="append", help="gemm: ROWSxINxOUT, conv: INxOUTxEXTENTxBATCH; may be repeated")
    parser.add_argument("--large", action="store_true", help="gemm: 2048³ as well")
    parser.add_argument("--model", default="cnn")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--ranks", type=int, default=1, help="train: GPU ranks, and processes of PyTorch")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="of the peers, in all")
    parser.add_argument("--seconds", type=float, default=3, help="train: of steps that are measured at a time")
    parser.add_argument("--data", type=pathlib.Path, help="train: a folder made by `dovetail shard`")
    parser.add_argument("--json", type=pathlib.Path)
    return parser.parse_args()


def dovetail(options, words, ranks=1):
    environment = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    launcher = ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", str(ranks)] if ranks > 1 else []
    done = subprocess.run([*launcher, str(options.dovetail), "bench", *words, "--json", "-"],
                          env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(done.args)} failed:\n{done.stderr}")
    return json.loads(done.stdout)


class Ours:
    """What `dovetail bench` measures in one run, and the ceilings of all its runs."""

    def __init__(self, options):
        self.options, self.ceilings = options, []

    def rows(self, what, shapes, *more):
        report = dovetail(self.options, [what, *(word for shape in shapes for word in ("--shape", shape)), *more])
        self.ceilings.append(report["ceilings"])
        return report["rows"]

    def of(self, key, words, ranks=1):
        report = dovetail(self.options, words, ranks)
        self.ceilings.append(report["ceilings"])
        return report[key]["median_s"]

    def median_ceilings(self):
        return {name: statistics.median(each[name] for each in self.ceilings) for name in self.ceilings[0]}


def in_turns(rounds, contestants):
    """{work: {name: its seconds, by round}}; contestants: {name: function that gives {work: seconds}}."""
    results, names = {}, list(contestants)
    for turn in range(rounds):
        for name in names[turn % len(names):] + names[:turn % len(names)]:
            for work, seconds in contestants[name]().items():
                results.setdefault(work, {one: [] for one in names})[name].append(seconds)
    return results


def row(work, results, ours, **more):
    rounds = {name: seconds for name, seconds in results[work].items() if seconds}
    return {"work": work, "seconds": {name: statistics.median(seconds) for name, seconds in rounds.items()},
            "rounds": rounds, "ceilings": ours.median_ceilings(), **more}


def add_peers(contestants, makers):
    """makers: {name: function that gives a contestant}."""
    for name, make in makers.items():
        try:
            contestants[name] = make()
        except (ImportError, OSError) as failure:
            print(f"{name} is left out: {failure}", file=sys.stderr)


def extents_of(shape):
    return [int(extent) for extent in shape.split("x")]


def compare_gemm(options):
    shapes = options.shape or GEMMS + (LARGE_GEMMS if options.large else [])
    ours = Ours(options)
    contestants = {"dovetail": lambda: {
        shape: each["timing"]["median_s"]
        for shape, each in zip(shapes, ours.rows("gemm", shapes, "--direction", "forward"))}}

    def maker(peer):
        def make():
            operands = {shape: peer(*extents_of(shape)) for shape in shapes}
            return lambda: {shape: each.seconds() for shape, each in operands.items()}
        return make

    add_peers(contestants, {"openblas": maker(peers.OpenBlas), "clblast": maker(peers.ClBlast),
                            "torch": maker(peers.TorchMatmul)})
    results = in_turns(options.rounds, contestants)
    rows = []
    for shape in shapes:
        m, k, n = extents_of(shape)
        rows.append(row(shape, results, ours, operations=2 * m * k * n, bytes=4 * (m * k + k * n + m * n)))
    return rows


def compare_conv(options):
    shapes = options.shape or CONVS
    ours, details = Ours(options), {}

    def measure():
        seconds = {}
        for each in ours.rows("conv", shapes):
            shape = each["shape"]
            if shape["direction"] not in DIRECTIONS:  # with a pool
                continue
            work = f"{shape['in']}x{shape['out']}x{shape['extent']}x{shape['batch']} {shape['direction']}"
            details[work] = {"operations": each["operations"], "bytes": each["bytes"]}
            seconds[work] = each["timing"]["median_s"]
        return seconds

    def torch_conv():
        operands = {shape: peers.TorchConv(*extents_of(shape)) for shape in shapes}
        return lambda: {f"{shape} {direction}": seconds for shape, each in operands.items()
                        for direction, seconds in each.seconds().items()}

    contestants = {"dovetail": measure}
    add_peers(contestants, {"torch": torch_conv})
    results = in_turns(options.rounds, contestants)
    # The first layer needs no input gradient.
    return [row(work, results, ours, **details[work]) for work in results if results[work]["dovetail"]]


def compare_infer(options):
    work = f"{options.model}, batch {options.batch}"
    ours = Ours(options)
    contestants = {"dovetail": lambda: {work: ours.of("timing", [
        "infer", "--model", options.model, "--batch", str(options.batch), "--seconds", "1"])}}
    try:
        for name, call in peers.torch_inference(options.model, options.batch, options.threads).items():
            contestants[name] = lambda call=call: {work: peers.median_s(call, 1)}
    except ImportError as failure:
        print(f"torch is left out: {failure}", file=sys.stderr)
    return [row(work, in_turns(options.rounds, contestants), ours)]


def compare_train(options):
    work = f"{options.model}, batch {options.batch}, {options.ranks} rank{'s' if options.ranks > 1 else ''}"
    words = ["train", "--model", options.model, "--batch", str(options.batch), "--seconds", str(options.seconds)]
    if options.data:
        words += ["--data", str(options.data)]
    ours = Ours(options)
    contestants = {"dovetail": lambda: {work: ours.of("step", words, options.ranks)}}

    def peer(flags):
        done = subprocess.run(
            [sys.executable, str(pathlib.Path(__file__).with_name("pytorch_train.py")), "--data", str(options.data),
             "--model", options.model, "--batch", str(options.batch), "--seconds", str(options.seconds), *flags],
            stdout=subprocess.PIPE, text=True, check=True)
        return {work: options.batch / json.loads(done.stdout.splitlines()[-1])["samples_per_second"]}

    if options.data:
        for layout in ([], ["--channels-last"]):
            label = " channels-last" if layout else ""
            contestants[f"torch 1 x {options.threads}{label}"] = lambda layout=layout: peer(
                ["--threads", str(options.threads), *layout])
            contestants[f"torch {options.threads} x 1{label}"] = lambda layout=layout: peer(
                ["--ranks", str(options.threads), "--threads", "1", *layout])
    else:
        print("torch is left out: it trains on real data (--data)", file=sys.stderr)
    return [row(work, in_turns(options.rounds, contestants), ours)]


def print_table(rows):
    for each in rows:
        ours = each["seconds"]["dovetail"]
        print(each["work"])
        for name, seconds in each["seconds"].items():
            rate = f", {each['operations'] / seconds / 1e9:8.1f} GFLOP/s" if "operations" in each else ""
            print(f"  {name:<28} {seconds * 1e3:10.3f} ms{rate}  dovetail is {seconds / ours:6.2f} x as fast")
    for peer in rows[0]["seconds"]:
        ratios = [each["seconds"][peer] / each["seconds"]["dovetail"] for each in rows if peer in each["seconds"]]
        if peer != "dovetail" and len(ratios) > 1:
            print(f"geometric mean against {peer}: {statistics.geometric_mean(ratios):.2f}")


def main():
    options = arguments()
    if options.what == "gemm":
        os.environ.setdefault("OPENBLAS_NUM_THREADS", str(options.threads))
    compare = {"gemm": compare_gemm, "conv": compare_conv, "train": compare_train, "infer": compare_infer}
    rows = compare[options.what](options)
    print_table(rows)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
