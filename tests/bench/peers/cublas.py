#!/usr/bin/env python3
"""The dense layers' products on one NVIDIA GPU beside cuBLAS (through PyTorch): kernels/matmul_async.cl and matmul_wgmma.cl.

  cublas.py [--extent 4096 --extent 8192] [--rounds 7]

Every round measures all of them once on the same random matrices, by the events of OpenCL and of CUDA; the table gives medians.
`product` is the product alone, its operands already arranged; `layer` is what a layer launches: arranging or packing both
float32 operands, and the product. cuBLAS's bfloat16 product is given with and without the casts from and to float32. Before it is
timed, each product is compared with float64. Needs pyopencl, PyTorch with CUDA, and a Hopper GPU.
"""
import argparse
import pathlib
import re
import statistics

import numpy
import pyopencl as cl
import torch

KERNELS = pathlib.Path(__file__).resolve().parents[3] / "kernels"
DIRECTIONS = ("forward", "input gradient", "weight gradient")
BOUNDS = {"float32": 1e-5, "tf32": 6e-4, "bf16": 5e-3}  # ‖error‖ / ‖product‖


def source(file, included=None):
    """The text of a kernel's file with those of the files that it includes, each once, as kernels/embed.cmake has it."""
    included = set() if included is None else included

    def text(include):
        if include[1] in included:
            return ""
        included.add(include[1])
        return source(include[1], included)

    return re.sub(r'#include "(\w+\.clh)"', text, (KERNELS / file).read_text())


def ceil(value, divisor):
    return -(-value // divisor)


class Device:
    def __init__(self):
        platform = next(p for p in cl.get_platforms() if "NVIDIA" in p.name)
        device = platform.get_devices(cl.device_type.GPU)[0]
        self.units = device.max_compute_units
        self.context = cl.Context([device])
        self.queue = cl.CommandQueue(self.context, properties=cl.command_queue_properties.PROFILING_ENABLE)
        print(f"{device.name}, driver {device.driver_version}, PyTorch {torch.__version__}")

    def kernels(self, name, definitions, *entries):
        program = cl.Program(self.context, source(f"{name}.cl")).build(["-cl-std=CL1.2", "-cl-mad-enable", *definitions])
        return [cl.Kernel(program, entry) for entry in entries]

    def buffer(self, count):
        return cl.Buffer(self.context, cl.mem_flags.READ_WRITE, 4 * count)

    def launch(self, kernel, groups, threads, *arguments):
        words = [numpy.int32(a) if isinstance(a, int) else a for a in arguments]
        return kernel(self.queue, (groups[0] * threads, *groups[1:]), (threads, *[1] * (len(groups) - 1)), *words)


class Float32:
    def __init__(self, device, n):
        self.device, self.n = device, n
        self.product_kernel, self.turn = (
            *device.kernels("matmul_async", [], "product"), *device.kernels("matmul_arrange", [], "turn"))
        self.turned = [device.buffer(n * n), device.buffer(n * n)]

    def arrange(self, direction, a, b):
        n, events, operands = self.n, [], [a, b]
        for i, inside in enumerate((direction != "weight gradient", direction == "input gradient")):
            if inside:
                events.append(self.device.launch(self.turn, (ceil(n, 64), ceil(n, 64)), 256, operands[i],
                                                 self.turned[i], n, n, n))
                operands[i] = self.turned[i]
        return operands, events

    def product(self, operands, c):
        n = self.n
        return self.device.launch(self.product_kernel, (ceil(n, 128) ** 2,), 128, *operands, c, c, n, n, n, n, n,
                                  ceil(n, 8) * 8, 0)


class Wgmma:
    def __init__(self, device, n, bf16):
        self.device, self.n, self.depth = device, n, 64 if bf16 else 32
        self.rows, self.columns, self.product_kernel = device.kernels(
            "matmul_wgmma", [f"-DFORMAT={int(bf16)}", "-DSHARED_BYTES=196672"],  # as in ops/matmul_products.hpp
            "pack_rows", "pack_columns", "product")
        self.packed = [device.buffer(ceil(n, 256) * 2 * ceil(n, self.depth) * 4096) for _ in range(2)]

    def arrange(self, direction, a, b):
        n = self.n
        kernels = (self.columns if direction == "weight gradient" else self.rows,
                   self.rows if direction == "input gradient" else self.columns)
        events = [self.device.launch(kernel, (ceil(n, self.depth), ceil(n, 256) * 2), 256, source, packed, n, n)
                  for kernel, source, packed in zip(kernels, (a, b), self.packed)]
        return self.packed, events

    def product(self, operands, c):
        n = self.n
        groups = min(ceil(n, 128) * ceil(n, 256), self.device.units)
        return self.device.launch(self.product_kernel, (groups,), 384, *operands, c, c, n, n, n,
                                  1, ceil(n, self.depth), 0)


def opencl_us(device, call, count):
    """Of one call, whose launches' events it returns."""
    runs = [call() for _ in range(count)]
    device.queue.finish()
    return (runs[-1][-1].profile.end - runs[0][0].profile.start) * 1e-3 / count


def cuda_us(call, count):
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(count):
        call()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) * 1e3 / count


def compare(device, form, direction, n, rounds):
    generator = numpy.random.default_rng()
    host = [generator.standard_normal((n, n), dtype=numpy.float32) for _ in range(2)]
    a, b = (torch.from_numpy(matrix).cuda() for matrix in host)
    left, right = {"forward": (a, b), "input gradient": (a, b.T), "weight gradient": (a.T, b)}[direction]
    buffers = [cl.Buffer(device.context, cl.mem_flags.COPY_HOST_PTR, hostbuf=matrix) for matrix in host]
    ours = Float32(device, n) if form == "float32" else Wgmma(device, n, form == "bf16")
    c = device.buffer(n * n)
    cl.enqueue_fill_buffer(device.queue, c, numpy.float32(numpy.nan), 0, 4 * n * n)
    operands, events = ours.arrange(direction, *buffers)
    ours.product(operands, c)
    result = numpy.empty((n, n), numpy.float32)
    cl.enqueue_copy(device.queue, result, c)
    exact = left.double() @ right.double()
    error = float((torch.from_numpy(result).cuda() - exact).norm() / exact.norm())
    if not error < BOUNDS[form]:
        raise SystemExit(f"{form} {direction} {n}: error {error}")
    del exact

    torch.backends.cuda.matmul.allow_tf32 = form == "tf32"
    calls = {"product": lambda: opencl_us(device, lambda: [ours.product(operands, c)], count),
             "layer": lambda: opencl_us(device, lambda: [*ours.arrange(direction, *buffers)[1],
                                                         ours.product(operands, c)], count)}
    if form == "bf16":
        low = left.bfloat16(), right.bfloat16()
        calls["cuBLAS"] = lambda: cuda_us(lambda: torch.mm(*low), count)
        calls["cuBLAS with casts"] = lambda: cuda_us(
            lambda: torch.mm(left.bfloat16(), right.bfloat16()).float(), count)
    else:
        calls["cuBLAS"] = lambda: cuda_us(lambda: torch.mm(left, right), count)
    count = 2
    for call in calls.values():
        call()
    count = 8 if form != "float32" and n < 8192 else 3
    times = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            times[name].append(call())
    medians = {name: statistics.median(values) for name, values in times.items()}
    words = [f"{name} {us:.0f} µs" for name, us in medians.items()]
    words += [f"cuBLAS / {name} {medians['cuBLAS'] / medians[name]:.3f}" for name in ("product", "layer")]
    if form == "bf16":
        words.append(f"with casts / layer {medians['cuBLAS with casts'] / medians['layer']:.3f}")
    print(f"{form} {n} {direction}, error {error:.1e}: " + ", ".join(words), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--extent", type=int, action="append", help="a multiple of 4; may be repeated")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    device = Device()
    for n in options.extent or [4096, 8192]:
        for form in BOUNDS:
            for direction in DIRECTIONS:
                compare(device, form, direction, n, options.rounds)


if __name__ == "__main__":
    main()
