"""The peers of single operations and of inference, each with its own operands and its own way to wait for the end."""
import os
import pathlib
import re
import subprocess
import sys

from timing import median_s, nothing

ROOT = pathlib.Path(__file__).resolve().parents[3]


def openblas_core():
    """The CPU whose kernels OpenBLAS takes, as it names them; None where it does not say."""
    done = subprocess.run([sys.executable, "-c", "import numpy"], env=dict(os.environ, OPENBLAS_VERBOSE="2"),
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    found = re.search(r"^Core: (\S+)", done.stdout, re.MULTILINE)
    return found[1] if found else None


def better_openblas_core(core, flags):
    """OpenBLAS takes kernels of 2004 (Prescott) for CPUs that are newer than it. The core type to give it then, after the CPU's `flags`
    as /proc/cpuinfo has them; None where its own choice stands."""
    if core is None or core.lower() not in ("prescott", "core2", "generic"):
        return None
    if {"avx512f", "avx512bw", "avx512dq", "avx512vl"} <= flags:
        return "SkylakeX"
    return "Haswell" if {"avx2", "fma"} <= flags else None


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


def use_format(torch, form):
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = form == "tf32"
    torch.backends.cudnn.benchmark = True


def waiting_for(torch, device):
    return torch.cuda.synchronize if device == "cuda" else nothing


class TorchMatmul:
    """On a GPU this is cuBLAS. `casts`: the operands come and the result goes in float32."""

    def __init__(self, rows, inner, out, form, options, casts=False):
        import torch
        self.torch, self.form, self.device = torch, form, options.target.torch
        if self.device == "cpu":
            torch.set_num_threads(options.threads)
        torch.manual_seed(1)
        self.type = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(form, torch.float32)
        operands = [torch.randn(extents, device=self.device) for extents in ((rows, inner), (inner, out))]
        self.a, self.b = operands if casts else (each.to(self.type) for each in operands)
        self.c = torch.empty(rows, out, device=self.device, dtype=torch.float32 if casts else self.type)
        self.casts = casts

    def seconds(self):
        use_format(self.torch, self.form)

        def product():
            self.torch.matmul(self.a, self.b, out=self.c)

        def with_casts():
            self.c.copy_(self.torch.matmul(self.a.to(self.type), self.b.to(self.type)))

        on_gpu = self.device == "cuda"
        return median_s(with_casts if self.casts else product, waiting_for(self.torch, self.device),
                        together_s=0.02 if on_gpu else 0)


class TorchConv:
    """A 3×3 same convolution with bias and ReLU, and its two gradients, the faster of both memory formats."""

    def __init__(self, inner, out, extent, batch, form, device):
        import torch
        self.torch, self.form, self.device = torch, form, device
        torch.manual_seed(1)
        kind = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(form, torch.float32)
        self.operands = []
        for layout in (torch.contiguous_format, torch.channels_last):
            x, y, w = (torch.randn(*extents, device=device, dtype=kind).to(memory_format=layout)
                       for extents in ((batch, inner, extent, extent), (batch, out, extent, extent), (out, inner, 3, 3)))
            self.operands.append((x, y, w, torch.randn(out, device=device, dtype=kind)))

    def seconds(self):
        """By direction."""
        torch = self.torch
        use_format(torch, self.form)

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

        directions = {"forward": forward, "input gradient": gradient([True, False, False]),
                      "weight gradient": gradient([False, True, True])}
        wait, together_s = waiting_for(torch, self.device), 0.02 if self.device == "cuda" else 0
        return {name: min(median_s(lambda call=call, operands=operands: once(call, operands), wait, together_s=together_s)
                          for operands in self.operands)
                for name, call in directions.items()}


def torch_inference(name, batch, threads):
    """{setting: function that makes the call}: eager, TorchScript and torch.compile, in both memory formats, on the CPU."""
    import torch
    sys.path.insert(0, str(ROOT / "tests/pytorch"))
    import models
    torch.set_num_threads(threads)
    extents = (3, 32, 32, 10) if name in ("vgg-small", "cnv") else (1, 28, 28, 10)

    def maker(way, layout):
        def make():
            model = models.by_name[name](*extents).to(memory_format=layout).eval()
            images = torch.randint(0, 256, (batch, *extents[:3]), dtype=torch.uint8)

            def whole(images):
                return model(images.float().div(255).sub(0.5).div(0.25).contiguous(memory_format=layout))

            network = whole
            with torch.no_grad():
                if way == "script":
                    traced = torch.jit.freeze(torch.jit.trace(model, images.float().contiguous(memory_format=layout)))

                    def network(images):
                        return traced(images.float().div_(255).sub_(0.5).div_(0.25).contiguous(memory_format=layout))
                elif way == "compiled":
                    network = torch.compile(whole)
                network(images)

            def once():
                with torch.no_grad():
                    network(images)
            return once
        return make

    return {f"torch {way}{words}": maker(way, layout) for way in ("eager", "script", "compiled")
            for words, layout in (("", torch.contiguous_format), (" channels-last", torch.channels_last))}
