#!/usr/bin/env python3
"""Training steps of a model in PyTorch, to compare `dovetail bench train --data random --data-place device` with: the median
milliseconds of a step, as JSON lines. compare.py steps runs the same in turns with ours.

The same work as ours: images in float32 that lie on the device, cross entropy, SGD with momentum, weights in float32; in bf16 and fp16
under torch.autocast, fp16 with a fixed loss scale. Ways: eager, graph (one CUDA graph of the whole step), compiled (torch.compile),
compiled-graph (a CUDA graph of that). Every way is measured with feature maps as NCHW and as NHWC (channels_last); the best of all is
what to beat.
"""
import argparse
import contextlib
import gc
import json
import pathlib
import sys

import timing

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "pytorch"))

INPUTS = {"mlp": (1, 28, 28), "cnn": (1, 28, 28), "vgg-small": (3, 32, 32)}
FORMATS = ["float32", "tf32", "bf16", "fp16"]
LOSS_SCALE = 1024.0  # in fp16
WAYS = ["eager", "graph", "compiled", "compiled-graph"]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", choices=list(INPUTS))
    parser.add_argument("--batch", action="append", type=int)
    parser.add_argument("--way", action="append", choices=WAYS)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--format", choices=FORMATS, help="by default tf32 on a GPU, float32 on a CPU")
    parser.add_argument("--threads", type=int, default=2, help="on a CPU")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement")
    return parser.parse_args()


class Step:
    def __init__(self, name, batch, channels_last, device="cuda", form="tf32", threads=2):
        import models
        import torch
        self.torch, self.device = torch, device
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = form == "tf32"
        torch.backends.cudnn.benchmark = True
        if device == "cpu":
            torch.set_num_threads(threads)
        self.type = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(form)
        self.scale = LOSS_SCALE if form == "fp16" else 1.0
        torch.manual_seed(1)
        layout = torch.channels_last if channels_last else torch.contiguous_format
        channels, height, width = INPUTS[name]
        self.model = models.by_name[name](channels, height, width, 10).to(device).to(memory_format=layout)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-6 / self.scale, momentum=0.9, fused=True)
        self.images = torch.randn(batch, channels, height, width, device=device).contiguous(memory_format=layout)
        self.labels = torch.randint(10, (batch,), device=device)
        self.forward = self.model

    def run(self):
        self.optimizer.zero_grad(set_to_none=True)
        with self.torch.autocast(self.device, self.type) if self.type else contextlib.nullcontext():
            loss = self.torch.nn.functional.cross_entropy(self.forward(self.images), self.labels)
        (loss if self.scale == 1 else loss * self.scale).backward()
        self.optimizer.step()

    def prepared(self, way, warm_ups=4):
        """What makes a step, ready to be called: the step itself, or the replay of its graph."""
        torch = self.torch
        if way.startswith("compiled"):
            self.forward = torch.compile(self.model)
        if not way.endswith("graph"):
            for _ in range(warm_ups):
                self.run()
            return self.run
        if self.device != "cuda":
            raise RuntimeError(f"{way}: graphs are CUDA's")
        side = torch.cuda.Stream()
        with torch.cuda.stream(side):
            for _ in range(warm_ups):
                self.run()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        self.optimizer.zero_grad(set_to_none=True)
        with torch.cuda.graph(graph):
            self.run()
        return graph.replay

    def median_s(self, call, seconds):
        """Of one call, from batches of calls that are waited for together."""
        wait = self.torch.cuda.synchronize if self.device == "cuda" else timing.nothing
        return timing.median_s(call, wait, seconds, together_s=0.02)


def release(device):
    """Gives the memory of steps that are gone back, and forgets what was compiled for them: torch.compile keeps eight of a kind."""
    import torch
    gc.collect()
    torch.compiler.reset()
    if device == "cuda":
        torch.cuda.empty_cache()


def main():
    options = arguments()
    form = options.format or ("float32" if options.device == "cpu" else "tf32")
    for name in options.model or list(INPUTS):
        for batch in options.batch or [64, 256, 1024, 4096]:
            for way in options.way or ["graph" if options.device == "cuda" else "eager"]:
                for channels_last in [False, True] if name != "mlp" else [False]:
                    step = Step(name, batch, channels_last, options.device, form, options.threads)
                    call = step.prepared(way)
                    of = step.torch.cuda.get_device_name() if options.device == "cuda" else "CPU"
                    print(json.dumps({"model": name, "batch": batch, "way": way, "channels_last": channels_last, "format": form,
                                      "step_ms": round(1e3 * step.median_s(call, options.seconds), 4), "device": of,
                                      "torch": step.torch.__version__}), flush=True)
                    del call, step
                    release(options.device)


if __name__ == "__main__":
    main()
