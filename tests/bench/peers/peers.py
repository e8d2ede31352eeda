"""The peers that compare.py measures, each with its own operands and its own way to wait for the end."""
import ctypes
import pathlib
import statistics
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]


def median_s(call, at_least_s=0.3):
    """Seconds of one call: the median over repetitions, warm. A slow call is measured once."""
    call()
    seconds, start = [], time.perf_counter()
    while not seconds or time.perf_counter() - start < at_least_s:
        begin = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds)


class OpenBlas:
    """rows × in times in × out in float32, through NumPy."""

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
    """The same on the first GPU, or else the first device, through pyopencl's handles. One context for all shapes: it builds
    its kernels once a context."""
    context = queue = library = None

    def __init__(self, rows, inner, out):
        import numpy
        import pyopencl
        if ClBlast.library is None:
            ClBlast.library = ctypes.CDLL("libclblast.so.1")
            devices = [d for p in pyopencl.get_platforms() for d in p.get_devices()]
            gpus = [d for d in devices if d.type & pyopencl.device_type.GPU]
            ClBlast.context = pyopencl.Context([(gpus or devices)[0]])
            ClBlast.queue = pyopencl.CommandQueue(ClBlast.context)
        generator = numpy.random.default_rng(1)
        flags = pyopencl.mem_flags.READ_WRITE | pyopencl.mem_flags.COPY_HOST_PTR
        self.shape = rows, inner, out
        self.buffers = [
            pyopencl.Buffer(ClBlast.context, flags, hostbuf=generator.standard_normal(extents, dtype=numpy.float32))
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


class TorchConv:
    """A 3×3 same convolution with bias and ReLU, and its two gradients, the faster of both memory formats."""

    def __init__(self, inner, out, extent, batch):
        import torch
        self.torch = torch
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        torch.manual_seed(1)
        self.operands = []
        for layout in (torch.contiguous_format, torch.channels_last):
            x, y, w = (torch.randn(*extents, device=self.device).to(memory_format=layout)
                       for extents in ((batch, inner, extent, extent), (batch, out, extent, extent), (out, inner, 3, 3)))
            self.operands.append((x, y, w, torch.randn(out, device=self.device)))

    def seconds(self):
        """By direction."""
        torch = self.torch

        def forward(x, _, w, bias):
            return torch.relu_(torch.nn.functional.conv2d(x, w, bias, padding=1))

        def gradient(wanted):
            def call(x, y, w, _):
                return torch.ops.aten.convolution_backward(
                    y, x, w, [w.shape[0]], [1, 1], [1, 1], [1, 1], False, [0, 0], 1, wanted)
            return call

        def once(call, operands):
            with torch.no_grad():
                call(*operands)
            if self.device == "cuda":
                torch.cuda.synchronize()

        directions = {"forward": forward, "input gradient": gradient([True, False, False]),
                      "weight gradient": gradient([False, True, True])}
        return {name: min(median_s(lambda call=call, operands=operands: once(call, operands))
                          for operands in self.operands)
                for name, call in directions.items()}


def torch_inference(name, batch, threads):
    """{setting: call}: eager and TorchScript, in both memory formats."""
    import torch
    sys.path.insert(0, str(ROOT / "tests/pytorch"))
    import models
    torch.set_num_threads(threads)
    extents = (3, 32, 32, 10) if name in ("vgg-small", "cnv") else (1, 28, 28, 10)
    calls = {}
    for words, layout in (("", torch.contiguous_format), (" channels-last", torch.channels_last)):
        model = models.by_name[name](*extents).to(memory_format=layout).eval()
        images = torch.randint(0, 256, (batch, *extents[:3]), dtype=torch.uint8)

        def prepare(layout=layout, images=images):
            return images.float().div_(255).sub_(0.5).div_(0.25).contiguous(memory_format=layout)

        with torch.no_grad():
            traced = torch.jit.freeze(torch.jit.trace(model, prepare()))

        def run(network, prepare=prepare):
            def once():
                with torch.no_grad():
                    network(prepare())
            return once

        calls["torch eager" + words] = run(model)
        calls["torch script" + words] = run(traced)
    return calls
