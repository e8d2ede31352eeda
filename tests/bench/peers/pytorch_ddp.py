#!/usr/bin/env python3
"""Data-parallel training steps of a model in PyTorch (DistributedDataParallel), a process a device of this host: the median milliseconds
of a step at each number of processes, as JSON lines. To compare weak scaling with `mpirun -n RANKS dovetail bench train --data random
--data-place device --batch RANKS*BATCH`.

The work of a process is pytorch_step.py's, and so are the formats and the ways (a graph is a CUDA graph of the whole step, sums among
them); gradients are summed by NCCL (by Gloo on a CPU) while the backward pass goes on.
"""
import argparse
import json
import os
import socket
import statistics
import time

import pytorch_step

WAYS = ["eager", "graph"]
WARM_UPS = 11  # what DistributedDataParallel wants before a capture: it lays out its buckets anew in the first steps


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="vgg-small", choices=list(pytorch_step.INPUTS))
    parser.add_argument("--batch", type=int, default=1024, help="samples of a process")
    parser.add_argument("--ranks", default="1,2", help="numbers of processes")
    parser.add_argument("--way", action="append", choices=WAYS)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--format", choices=pytorch_step.FORMATS, help="by default tf32 on a GPU, float32 on a CPU")
    parser.add_argument("--steps", type=int, default=50, help="that are timed together")
    parser.add_argument("--rounds", type=int, default=7, help="whose median counts")
    return parser.parse_args()


def seconds_of_steps(call, steps, device):
    """Seconds of a step of `steps` that are enqueued together, all processes starting at once."""
    import torch
    import torch.distributed
    wait = torch.cuda.synchronize if device == "cuda" else pytorch_step.timing.nothing
    torch.distributed.barrier()
    wait()
    begin = time.perf_counter()
    for _ in range(steps):
        call()
    wait()
    return (time.perf_counter() - begin) / steps


def measure(rank, ranks, way, channels_last, form, options):
    """What one process does; the first prints."""
    import torch
    import torch.distributed
    if options.device == "cuda":
        torch.cuda.set_device(rank)
    torch.distributed.init_process_group("nccl" if options.device == "cuda" else "gloo", rank=rank, world_size=ranks)
    step = pytorch_step.Step(options.model, options.batch, channels_last, options.device, form, threads=1)
    devices = [rank] if options.device == "cuda" else None
    with torch.cuda.stream(torch.cuda.Stream()) if options.device == "cuda" else pytorch_step.contextlib.nullcontext():
        step.forward = torch.nn.parallel.DistributedDataParallel(step.model, device_ids=devices, gradient_as_bucket_view=True,
                                                                 static_graph=True)
    call = step.prepared(way, WARM_UPS)
    times = [seconds_of_steps(call, options.steps, options.device) for _ in range(options.rounds)]
    if rank == 0:
        print(json.dumps({"model": options.model, "batch": options.batch, "ranks": ranks, "way": way, "channels_last": channels_last,
                          "format": form, "step_ms": round(1e3 * statistics.median(times), 4), "least_ms": round(1e3 * min(times), 4),
                          "most_ms": round(1e3 * max(times), 4), "torch": torch.__version__}), flush=True)
    torch.distributed.barrier()
    if options.device == "cuda":
        torch.cuda.synchronize()
    os._exit(0)  # destroy_process_group may wait for ever where a graph holds sums of NCCL's


def main():
    import torch.multiprocessing
    options = arguments()
    form = options.format or ("float32" if options.device == "cpu" else "tf32")
    ways = options.way or (WAYS if options.device == "cuda" else ["eager"])
    os.environ["MASTER_ADDR"] = "127.0.0.1"
    os.environ["TORCH_NCCL_ASYNC_ERROR_HANDLING"] = "0"  # its watchdog's queries break a capture
    for way in ways:
        for channels_last in [False, True] if options.model != "mlp" else [False]:
            for ranks in map(int, options.ranks.split(",")):
                with socket.socket() as free:
                    free.bind(("127.0.0.1", 0))
                    os.environ["MASTER_PORT"] = str(free.getsockname()[1])
                torch.multiprocessing.spawn(measure, args=(ranks, way, channels_last, form, options), nprocs=ranks)


if __name__ == "__main__":
    main()
