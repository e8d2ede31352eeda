#!/usr/bin/env python3
"""Dovetail beside its peers on the same work, in turns, on the same machine: ratios of medians, as table, JSON and plot.

  compare.py gemm   matrix products: OpenBLAS (through NumPy), CLBlast (through pyopencl), PyTorch
  compare.py train  training steps of a model: PyTorch (its loop is pytorch_train.py), one or several ranks
  compare.py infer  float32 inference of a model: PyTorch, eager and TorchScript

Every round measures all of them once, in an order that changes; what counts is the median over the rounds. A peer that is
not installed is named and left out. Needs Debian's python3-numpy with libopenblas0-pthread; python3-pyopencl and
libclblast1, python3-torch, python3-matplotlib for what uses them.
"""
import argparse
import ctypes
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
GEMMS = ["512x512x512", "1024x1024x1024", "2048x2048x2048", "128x784x256", "128x3136x128", "50176x288x64"]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["gemm", "train", "infer"])
    parser.add_argument("--dovetail", type=pathlib.Path, default=ROOT / "build/release/dovetail")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--shape", action="append", help="gemm: ROWSxINxOUT; may be repeated")
    parser.add_argument("--model", default="cnn")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--ranks", type=int, default=1, help="train: GPU ranks, and processes of PyTorch")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="of the peers, in all")
    parser.add_argument("--data", type=pathlib.Path, help="train: a folder made by `dovetail shard`")
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--plot", type=pathlib.Path, help="gemm: a roofline as .svg or .png")
    return parser.parse_args()


def median_s(call, at_least_s=0.3):
    """Seconds of one call: the median over repetitions, warm."""
    call()
    seconds, start = [], time.perf_counter()
    while len(seconds) < 3 or time.perf_counter() - start < at_least_s:
        begin = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds)


def dovetail(options, words, ranks=1):
    environment = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    launcher = ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", str(ranks)] if ranks > 1 else []
    done = subprocess.run([*launcher, str(options.dovetail), "bench", *words, "--json", "-"],
                          env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(done.args)} failed:\n{done.stderr}")
    return json.loads(done.stdout)


class OpenBlas:
    """rows × in times in × out in float32."""

    def __init__(self, rows, inner, out):
        import numpy
        generator = numpy.random.default_rng(1)
        self.a = generator.standard_normal((rows, inner), dtype=numpy.float32)
        self.b = generator.standard_normal((inner, out), dtype=numpy.float32)
        self.c = numpy.empty((rows, out), numpy.float32)
        self.matmul = numpy.matmul

    def seconds(self):
        return median_s(lambda: self.matmul(self.a, self.b, out=self.c))


class ClBlast:
    def __init__(self, rows, inner, out):
        import numpy
        import pyopencl
        self.library = ctypes.CDLL("libclblast.so.1")
        devices = [d for p in pyopencl.get_platforms() for d in p.get_devices()]
        gpus = [d for d in devices if d.type & pyopencl.device_type.GPU]
        context = pyopencl.Context([(gpus or devices)[0]])
        self.queue = pyopencl.CommandQueue(context)
        generator = numpy.random.default_rng(1)
        flags = pyopencl.mem_flags.READ_WRITE | pyopencl.mem_flags.COPY_HOST_PTR
        self.shape = rows, inner, out
        self.buffers = [
            pyopencl.Buffer(context, flags, hostbuf=generator.standard_normal(extents, dtype=numpy.float32))
            for extents in ((rows, inner), (inner, out), (rows, out))]

    def seconds(self):
        rows, inner, out = self.shape
        a, b, c = (ctypes.c_void_p(buffer.int_ptr) for buffer in self.buffers)
        queue = ctypes.c_void_p(self.queue.int_ptr)
        size, zero = ctypes.c_size_t, ctypes.c_size_t(0)

        def call():
            status = self.library.CLBlastSgemm(
                101, 111, 111, size(rows), size(out), size(inner), ctypes.c_float(1), a, zero, size(inner), b, zero,
                size(out), ctypes.c_float(0), c, zero, size(out), ctypes.byref(queue), None)
            if status != 0:
                raise RuntimeError(f"CLBlastSgemm returned {status}")
            self.queue.finish()

        return median_s(call)


class TorchMatmul:
    def __init__(self, rows, inner, out):
        import torch
        self.torch = torch
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        torch.manual_seed(1)
        self.a, self.b = (torch.randn(extents, device=self.device) for extents in ((rows, inner), (inner, out)))
        self.c = torch.empty(rows, out, device=self.device)

    def seconds(self):
        def call():
            self.torch.matmul(self.a, self.b, out=self.c)
            if self.device == "cuda":
                self.torch.cuda.synchronize()

        return median_s(call)


def in_turns(rounds, contestants):
    """{name: median seconds over the rounds}; contestants: {name: function that measures once}."""
    seconds = {name: [] for name in contestants}
    names = list(contestants)
    for turn in range(rounds):
        for name in names[turn % len(names):] + names[:turn % len(names)]:
            seconds[name].append(contestants[name]())
    return {name: statistics.median(values) for name, values in seconds.items()}


def compare_gemm(options):
    rows = []
    for shape in options.shape or GEMMS:
        extents = [int(extent) for extent in shape.split("x")]
        ceilings = {}

        def ours():
            report = dovetail(options, ["gemm", "--shape", shape])
            ceilings.update(report["ceilings"])
            return report["rows"][0]["timing"]["median_s"]

        contestants = {"dovetail": ours}
        for name, peer in (("openblas", OpenBlas), ("clblast", ClBlast), ("torch", TorchMatmul)):
            try:
                contestants[name] = peer(*extents).seconds
            except (ImportError, OSError) as failure:
                print(f"{name} is left out: {failure}", file=sys.stderr)
        medians = in_turns(options.rounds, contestants)
        operations = 2 * extents[0] * extents[1] * extents[2]
        moved = 4 * (extents[0] * extents[1] + extents[1] * extents[2] + extents[0] * extents[2])
        rows.append({"work": shape, "operations": operations, "bytes": moved, "seconds": medians,
                     "ceilings": dict(ceilings)})
    return rows


def torch_model(name, channels_last=False):
    import torch
    sys.path.insert(0, str(ROOT / "tests/pytorch"))
    import models
    colour = name in ("vgg-small", "cnv")
    extents = (3, 32, 32, 10) if colour else (1, 28, 28, 10)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    return models.by_name[name](*extents).to(memory_format=layout), extents


def compare_infer(options):
    contestants = {"dovetail": lambda: dovetail(
        options, ["infer", "--model", options.model, "--batch", str(options.batch), "--seconds", "1"]
    )["timing"]["median_s"]}
    try:
        import torch
        torch.set_num_threads(options.threads)
        for layout in ("", " channels-last"):
            model, extents = torch_model(options.model, bool(layout))
            model.eval()
            images = torch.randint(0, 256, (options.batch, *extents[:3]), dtype=torch.uint8)

            def prepare(x, layout=layout):
                x = x.float().div_(255).sub_(0.5).div_(0.25)
                return x.contiguous(memory_format=torch.channels_last) if layout else x

            with torch.no_grad():
                traced = torch.jit.freeze(torch.jit.trace(model, prepare(images)))

            def run(network, prepare=prepare, images=images):
                def once():
                    with torch.no_grad():
                        network(prepare(images))
                return lambda: median_s(once, 1)

            contestants["torch eager" + layout] = run(model)
            contestants["torch script" + layout] = run(traced)
    except ImportError as failure:
        print(f"torch is left out: {failure}", file=sys.stderr)
    return [{"work": f"{options.model}, batch {options.batch}", "seconds": in_turns(options.rounds, contestants)}]


def compare_train(options):
    words = ["train", "--model", options.model, "--batch", str(options.batch), "--seconds", "3"]
    if options.data:
        words += ["--data", str(options.data)]
    contestants = {"dovetail": lambda: dovetail(options, words, options.ranks)["step"]["median_s"]}
    if options.data:
        def peer(flags):
            done = subprocess.run(
                [sys.executable, str(pathlib.Path(__file__).with_name("pytorch_train.py")), "--data", str(options.data),
                 "--model", options.model, "--batch", str(options.batch), "--seconds", "5", *flags],
                stdout=subprocess.PIPE, text=True, check=True)
            result = json.loads(done.stdout.splitlines()[-1])
            return options.batch / result["samples_per_second"]

        for layout in ([], ["--channels-last"]):
            label = " channels-last" if layout else ""
            contestants[f"torch 1 x {options.threads}{label}"] = lambda layout=layout: peer(
                ["--threads", str(options.threads), *layout])
            contestants[f"torch {options.threads} x 1{label}"] = lambda layout=layout: peer(
                ["--ranks", str(options.threads), "--threads", "1", *layout])
    else:
        print("torch is left out: it trains on real data (--data)", file=sys.stderr)
    return [{"work": f"{options.model}, batch {options.batch}, {options.ranks} ranks",
             "seconds": in_turns(options.rounds, contestants)}]


def print_table(rows):
    for row in rows:
        ours = row["seconds"]["dovetail"]
        print(row["work"])
        for name, seconds in row["seconds"].items():
            rate = f", {row['operations'] / seconds / 1e9:8.1f} GFLOP/s" if "operations" in row else ""
            print(f"  {name:<28} {seconds * 1e3:10.3f} ms{rate}  dovetail is {seconds / ours:6.2f} x as fast")
    for peer in rows[0]["seconds"]:
        ratios = [row["seconds"][peer] / row["seconds"]["dovetail"] for row in rows if peer in row["seconds"]]
        if peer != "dovetail" and len(ratios) > 1:
            print(f"geometric mean against {peer}: {statistics.geometric_mean(ratios):.2f}")


def plot_roofline(rows, path):
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
    flops = statistics.median(row["ceilings"]["float32_flops"] for row in rows)
    bandwidth = statistics.median(row["ceilings"]["copy_bytes_per_s"] for row in rows)
    figure, axes = pyplot.subplots(figsize=(7, 4.5))
    intensities = [2.0**i for i in range(-2, 12)]
    axes.loglog(intensities, [min(flops, i * bandwidth) / 1e9 for i in intensities], color="black", label="ceilings")
    for name, marker in zip(rows[0]["seconds"], "osv^"):
        points = [(r["operations"] / r["bytes"], r["operations"] / r["seconds"][name] / 1e9)
                  for r in rows if name in r["seconds"]]
        axes.loglog(*zip(*points), marker, label=name)
    axes.set_xlabel("operations a byte")
    axes.set_ylabel("GFLOP/s (measured)")
    axes.legend()
    figure.tight_layout()
    figure.savefig(path)


def main():
    options = arguments()
    rows = {"gemm": compare_gemm, "train": compare_train, "infer": compare_infer}[options.what](options)
    print_table(rows)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")
    if options.plot and options.what == "gemm":
        plot_roofline(rows, options.plot)


if __name__ == "__main__":
    main()
