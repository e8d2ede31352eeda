#!/usr/bin/env python3
"""Training steps of a model in PyTorch on an NVIDIA GPU, to compare `dovetail bench train` with: the median milliseconds
of a step, as JSON lines.

The same work as ours: images in float32 that lie on the card, cross entropy, SGD with momentum. TF32 is on unless
--float32 is given. Ways: eager, graph (one CUDA graph of the whole step), compiled (torch.compile). Every way is measured
with feature maps as NCHW and as NHWC (channels_last); the best of all is what to beat.
"""
import argparse
import json
import pathlib
import statistics
import sys
import time

import torch
from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "pytorch"))
import models  # noqa: E402

INPUTS = {"mlp": (1, 28, 28), "cnn": (1, 28, 28), "vgg-small": (3, 32, 32)}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", choices=list(INPUTS))
    parser.add_argument("--batch", action="append", type=int)
    parser.add_argument("--way", action="append", choices=["eager", "graph", "compiled"])
    parser.add_argument("--float32", action="store_true", help="no TF32")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement")
    return parser.parse_args()


class Step:
    def __init__(self, name, batch, channels_last):
        torch.manual_seed(1)
        layout = torch.channels_last if channels_last else torch.contiguous_format
        channels, height, width = INPUTS[name]
        self.model = models.by_name[name](channels, height, width, 10).cuda().to(memory_format=layout)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-6, momentum=0.9, fused=True)
        self.images = torch.randn(batch, channels, height, width, device="cuda").contiguous(memory_format=layout)
        self.labels = torch.randint(10, (batch,), device="cuda")
        self.forward = self.model

    def run(self):
        self.optimizer.zero_grad(set_to_none=True)
        nn.functional.cross_entropy(self.forward(self.images), self.labels).backward()
        self.optimizer.step()

    def prepared(self, way):
        if way == "compiled":
            self.forward = torch.compile(self.model)
        side = torch.cuda.Stream()
        with torch.cuda.stream(side):
            for _ in range(4):
                self.run()
        torch.cuda.current_stream().wait_stream(side)
        if way != "graph":
            return self.run
        graph = torch.cuda.CUDAGraph()
        self.optimizer.zero_grad(set_to_none=True)
        with torch.cuda.graph(graph):
            self.run()
        return graph.replay


def median_ms(call, seconds):
    """Of one call, from batches of calls that are waited for together."""
    call()
    torch.cuda.synchronize()
    begin = time.perf_counter()
    call()
    torch.cuda.synchronize()
    together = max(1, int(0.02 / (time.perf_counter() - begin)))
    samples, start = [], time.perf_counter()
    while len(samples) < 7 or time.perf_counter() - start < seconds:
        begin = time.perf_counter()
        for _ in range(together):
            call()
        torch.cuda.synchronize()
        samples.append((time.perf_counter() - begin) / together * 1e3)
    return statistics.median(samples)


def main():
    options = arguments()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = not options.float32
    torch.backends.cudnn.benchmark = True
    for name in options.model or list(INPUTS):
        for batch in options.batch or [64, 256, 1024, 4096]:
            for way in options.way or ["graph"]:
                for channels_last in [False, True] if name != "mlp" else [False]:
                    call = Step(name, batch, channels_last).prepared(way)
                    print(json.dumps({"model": name, "batch": batch, "way": way, "channels_last": channels_last,
                                      "tf32": not options.float32, "step_ms": round(median_ms(call, options.seconds), 4),
                                      "device": torch.cuda.get_device_name(), "torch": torch.__version__}), flush=True)
                    del call
                    torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
