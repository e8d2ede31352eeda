"""Dovetail's training job in PyTorch, to compare with: samples a second and test accuracy, as one JSON line.

On CPUs, or with --device cuda on one GPU, where the images lie on the card and TF32 is on. The same work: uint8 images in memory, shuffled
every epoch, normalised inside the timed loop, SGD with momentum on a cosine schedule. Several ranks are processes under gloo's
DistributedDataParallel. --compile: torch.compile; --graph (one GPU): a whole step, from the gathering of its images on, is one CUDA graph. What both
do once, and with --each-epoch the evaluations, is not in the time.

Be fair to it: install OpenBLAS (Debian's reference BLAS is slow), and unset OPENBLAS_CORETYPE and OPENBLAS_L2_SIZE
where a site sets them, since they choose kernels in place of those for the CPU at hand; but an OpenBLAS older than the CPU needs
OPENBLAS_CORETYPE (report.py sets it). Try --channels-last, too.
"""
import argparse
import json
import math
import os
import pathlib
import sys
import time

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # its threads would fight PyTorch's; read when it is loaded

import h5py  # noqa: E402
import numpy  # noqa: E402
import torch  # noqa: E402
from torch import distributed, multiprocessing, nn  # noqa: E402

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "pytorch"))
import models  # noqa: E402


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True, help="a folder made by `dovetail shard`")
    parser.add_argument("--model", choices=models.by_name, default="cnn")
    parser.add_argument("--batch", type=int, default=128, help="global: over all ranks")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=math.inf, help="stop training after so long")
    parser.add_argument("--ranks", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1, help="per rank")
    parser.add_argument("--lr", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--channels-last", action="store_true", help="keep feature maps as NHWC")
    parser.add_argument("--compile", action="store_true", help="torch.compile")
    parser.add_argument("--graph", action="store_true", help="a CUDA graph a step")
    parser.add_argument("--each-epoch", action="store_true", help="test accuracy after every epoch")
    return parser.parse_args()


def read_split(folder, manifest, split):
    images, labels = [], []
    for shard in manifest["splits"][split]["shards"]:
        with h5py.File(folder / shard["file"], "r") as file:
            images.append(file["images"][:])
            labels.append(file["labels"][:])
    return torch.from_numpy(numpy.concatenate(images)), torch.from_numpy(numpy.concatenate(labels)).long()


class Job:
    """One rank's model, data and loop."""

    def __init__(self, options, rank):
        self.options, self.rank = options, rank
        torch.set_num_threads(options.threads)
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True
        torch.manual_seed(options.seed)
        manifest = json.loads((options.data / "manifest.json").read_text())
        self.device = torch.device(options.device)
        self.train_set = [part.to(self.device) for part in read_split(options.data, manifest, "train")]
        self.test_set = [part.to(self.device) for part in read_split(options.data, manifest, "test")]
        self.mean = torch.tensor(manifest["mean"], device=self.device).view(1, -1, 1, 1)
        self.deviation = torch.tensor(manifest["std"], device=self.device).view(1, -1, 1, 1)
        extents = (manifest["channels"], manifest["height"], manifest["width"], manifest["classes"])
        self.format = torch.channels_last if options.channels_last else torch.contiguous_format
        self.model = models.by_name[options.model](*extents).to(self.device, memory_format=self.format)
        self.forward = nn.parallel.DistributedDataParallel(self.model) if options.ranks > 1 else self.model
        if options.compile:
            self.forward = torch.compile(self.forward)
        ways = {"fused": True} if options.device == "cuda" else {}
        rate = torch.tensor(options.lr, device=self.device) if options.graph else options.lr  # a graph reads it from there
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=rate, momentum=0.9, **ways)
        self.graph, self.accuracies = None, []
        if options.graph:
            self.capture()
        elif options.compile:
            self.undone(lambda: [self.step(self.numbers()) for _ in range(2)])

    def numbers(self):
        return torch.arange(self.options.batch, device=self.device)[self.rank::self.options.ranks]

    def undone(self, work):
        """Does what warms up, and takes its traces back."""
        before = {name: value.clone() for name, value in self.model.state_dict().items()}
        work()
        self.model.load_state_dict(before)
        for state in self.optimizer.state.values():
            state["momentum_buffer"].zero_()  # as none

    def capture(self):
        self.static_numbers = self.numbers()

        def warm_up():
            side = torch.cuda.Stream()
            with torch.cuda.stream(side):
                for _ in range(4):
                    self.step(self.static_numbers)
            torch.cuda.current_stream().wait_stream(side)
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph):
                self.static_loss = self.step(self.static_numbers)

        self.undone(warm_up)

    def normalise(self, images):
        return images.float().div_(255).sub_(self.mean).div_(self.deviation).contiguous(memory_format=self.format)

    def step(self, numbers):
        images, labels = self.train_set
        self.optimizer.zero_grad(set_to_none=True)
        loss = nn.functional.cross_entropy(self.forward(self.normalise(images[numbers])), labels[numbers])
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def run(self, numbers):
        if self.graph is None or len(numbers) != len(self.static_numbers):  # the last of an epoch
            return self.step(numbers)
        self.static_numbers.copy_(numbers)
        self.graph.replay()
        return self.static_loss

    def set_rate(self, rate):
        group = self.optimizer.param_groups[0]
        if torch.is_tensor(group["lr"]):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate

    def train(self):
        """Samples that all ranks trained on, seconds, and the last epoch's mean loss on this rank."""
        options, count = self.options, len(self.train_set[0])
        steps = math.ceil(count / options.batch) * options.epochs
        order = torch.Generator().manual_seed(options.seed)
        done, taken, start, seconds, loss_sum, epoch_steps = 0, 0, time.perf_counter(), 0.0, 0.0, 0
        for _ in range(options.epochs):
            loss_sum, epoch_steps = 0.0, 0
            for batch in torch.randperm(count, generator=order).to(self.device).split(options.batch):
                self.set_rate(options.lr * (1 + math.cos(math.pi * taken / steps)) / 2)
                loss = self.run(batch[self.rank::options.ranks])
                loss_sum, epoch_steps, done, taken = loss_sum + self.value(loss), epoch_steps + 1, done + len(batch), taken + 1
                if self.out_of_time(start):
                    return done, time.perf_counter() - start, float(loss_sum) / epoch_steps
            loss_sum = float(loss_sum)  # waits for the GPU
            if options.each_epoch:
                seconds += time.perf_counter() - start
                self.accuracies.append(self.test_accuracy())
                start = time.perf_counter()
        return done, seconds + time.perf_counter() - start, loss_sum / epoch_steps

    def value(self, loss):
        return loss.clone() if self.options.device == "cuda" else loss.item()  # a GPU is not waited for

    def out_of_time(self, start):
        """Whether rank 0 finds so; asked of all ranks only where there is a limit."""
        if math.isinf(self.options.seconds):
            return False
        late = torch.tensor([int(time.perf_counter() - start > self.options.seconds)])
        if self.options.ranks > 1:
            distributed.broadcast(late, 0)
        return bool(late)

    def test_accuracy(self):
        images, labels = self.test_set
        with torch.no_grad():
            right = sum((self.model(self.normalise(piece)).argmax(1) == truth).sum().item()
                        for piece, truth in zip(images.split(1000), labels.split(1000)))
        return right / len(labels)


def run(rank, options):
    if options.ranks > 1:
        os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
        os.environ.setdefault("MASTER_PORT", "29517")
        distributed.init_process_group("gloo", rank=rank, world_size=options.ranks)
    job = Job(options, rank)
    samples, seconds, loss = job.train()
    if rank == 0:
        print(json.dumps({
            "model": options.model, "ranks": options.ranks, "threads": options.threads, "batch": options.batch,
            "channels_last": options.channels_last, "device": options.device, "samples": samples, "seconds": round(seconds, 3),
            "samples_per_second": round(samples / seconds, 1), "train_loss": round(loss, 4),
            "compile": options.compile, "graph": options.graph, "accuracies": job.accuracies, "test_accuracy": job.test_accuracy(), "torch": torch.__version__}), flush=True)
    if options.ranks > 1:
        distributed.barrier()
        distributed.destroy_process_group()


if __name__ == "__main__":
    settings = arguments()
    if settings.ranks > 1:
        multiprocessing.spawn(run, (settings,), settings.ranks)
    else:
        run(0, settings)
