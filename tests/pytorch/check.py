"""Checks dovetail's float32 arithmetic against PyTorch: initial weights, logits, one training step from a checkpoint.

The training set is one batch, so an epoch is one step, and its order is of no account. A run of some epochs leaves a
checkpoint; resumed for one epoch more, it makes one step more, which PyTorch makes too, in float64, from the same
parameters and the same optimiser state. Differences are relative: norm to norm, so that one wrong element of a
tensor's n shows as about 1 / sqrt(n). Exit code 77 where PyTorch or h5py is not installed.
"""
import argparse
import collections.abc
import dataclasses
import functools
import math
import sys
import tempfile

try:
    import h5py  # noqa: F401
    import numpy
    import torch
except ImportError as missing:
    print(f"skipped: {missing.name} is not installed for {sys.executable} (Debian: python3-torch, python3-h5py)")
    sys.exit(77)

import dovetail_job
import models

tolerance = 1e-4
batch = 33  # odd, so that two ranks have unlike shares
rounding = 5e-7  # of a feature in float32, amply
start_epochs = 4  # by then Adam no longer divides a tiny gradient by itself
rates = {"sgd": 0.02, "adam": 0.001, "adamw": 0.001}


@dataclasses.dataclass
class DataSet:
    images: numpy.ndarray  # uint8 [samples, channels, height, width]
    labels: numpy.ndarray  # int32 [samples]
    classes: int
    folder: str = ""

    @property
    def extents(self):
        return (*self.images.shape[1:], self.classes)


def invent(classes, channels, height, width, seed):
    """One pattern a class, and noise. No flat background, whose equal windows would tie in max-pooling."""
    random = numpy.random.default_rng(seed)
    labels = random.integers(0, classes, batch).astype(numpy.int32)
    labels[:classes] = numpy.arange(classes)
    pattern = random.integers(0, 156, (classes, channels, height, width))
    noise = random.integers(0, 100, (batch, channels, height, width))
    return DataSet((pattern[labels] + noise).astype(numpy.uint8), labels, classes)


# Sides, channels and classes unlike each other, so that no two axes can be mistaken.
data_sets = {"mlp": invent(10, 1, 28, 28, seed=1), "cnn": invent(7, 3, 8, 12, seed=4),
             "sfc": invent(10, 1, 12, 9, seed=1), "vgg-small": invent(6, 3, 8, 9, seed=1)}
# What the others show of optimisers, losses and ranks need not be shown again. Each rank has batch statistics of its own.
batch_norm_models = ("sfc", "vgg-small")


@dataclasses.dataclass
class Step:
    """The step that a resumed run makes, and the optimiser that PyTorch makes it with."""
    optimizer: str
    options: list
    peer: collections.abc.Callable
    loss: str = "cross-entropy"
    ranks: tuple = (1,)

    def __str__(self):
        return " ".join([self.optimizer, *map(str, self.options), *(["mse"] if self.loss == "mse" else [])])


steps = [
    Step("sgd", [], functools.partial(torch.optim.SGD, momentum=0.9), ranks=(1, 2)),
    Step("sgd", ["--momentum", 0], functools.partial(torch.optim.SGD)),
    Step("sgd", ["--nesterov", "--weight-decay", 0.01],
         functools.partial(torch.optim.SGD, momentum=0.9, nesterov=True, weight_decay=0.01)),
    Step("sgd", [], functools.partial(torch.optim.SGD, momentum=0.9), loss="mse", ranks=(1, 2)),
    Step("adam", ["--weight-decay", 0.01], functools.partial(torch.optim.Adam, weight_decay=0.01)),
    Step("adamw", ["--weight-decay", 0.01], functools.partial(torch.optim.AdamW, weight_decay=0.01), ranks=(1, 2)),
]
state_names = {"sgd": ["momentum_buffer"], "adam": ["exp_avg", "exp_avg_sq"], "adamw": ["exp_avg", "exp_avg_sq"]}


class Report:
    def __init__(self):
        self.checks, self.failures = 0, 0

    def expect(self, holds, what, found):
        self.checks += 1
        self.failures += not holds
        print(f"{'ok    ' if holds else 'FAILED'} {what}: {found}", flush=True)

    def expect_close(self, what, differences):
        """differences: by tensor name, relative."""
        worst = max(differences, key=differences.get)
        self.expect(differences[worst] <= tolerance, what, f"{differences[worst]:.1e} relative, in {worst}")


def difference(ours, theirs, rounding=0.0, order=2):
    """Norm of what the difference exceeds `rounding` by, relative to that of theirs. A NaN is close to nothing."""
    theirs = theirs.detach().double().numpy()
    assert ours.shape == theirs.shape, f"{ours.shape} against {theirs.shape}"
    excess = numpy.maximum(numpy.abs(ours.astype(numpy.float64) - theirs) - rounding, 0)
    return float(numpy.linalg.norm(excess.ravel(), order) / numpy.linalg.norm(theirs.ravel(), order))


def load(model, checkpoint, data, precision):
    """The PyTorch module with the checkpoint's parameters and statistics, and its input, normalised."""
    module = models.by_name[model](*data.extents).to(precision)
    tensors = {name: torch.from_numpy(value) for name, value in (checkpoint.parameters | checkpoint.statistics).items()}
    counters = {name: value for name, value in module.state_dict().items() if name.endswith("num_batches_tracked")}
    module.load_state_dict(tensors | counters)
    mean, deviation = (torch.from_numpy(values).to(precision).view(1, -1, 1, 1)
                       for values in (checkpoint.mean, checkpoint.deviation))
    return module, (torch.from_numpy(data.images).to(precision) / 255 - mean) / deviation


def loss_of(logits, labels, kind):
    if kind == "mse":
        targets = torch.nn.functional.one_hot(labels, logits.shape[1])
        return torch.nn.functional.mse_loss(logits, targets.to(logits.dtype))
    return torch.nn.functional.cross_entropy(logits, labels)


def narrowest_decision(module, images):
    """How far the closest ReLU or max-pool is from deciding otherwise, in float64."""
    margins = [numpy.inf]
    with torch.no_grad():
        for layer in module:
            if isinstance(layer, torch.nn.ReLU):
                margins.append(images.abs().min().item())
            elif isinstance(layer, torch.nn.MaxPool2d):
                windows = torch.nn.functional.unfold(images.flatten(0, 1).unsqueeze(1), layer.kernel_size,
                                                     stride=layer.stride)
                first, second = windows.topk(2, dim=1).values.unbind(1)
                margins.append((first - second)[first > 0].min().item())  # below: ReLU let none of them through
            images = layer(images)
    return min(margins)


def torch_step(model, start, data, step):
    """One step in float64. Returns the loss before it, and after it the module and the optimiser's state."""
    module, images = load(model, start, data, torch.float64)
    optimizer = step.peer(module.parameters(), lr=rates[step.optimizer])
    slots = state_names[step.optimizer]
    for name, parameter in module.named_parameters():
        state = {slot: torch.from_numpy(values[name]).double() for slot, values in zip(slots, start.state)}
        optimizer.state[parameter] = {"step": torch.tensor(float(start.step)), **state}
    loss = loss_of(module(images), torch.from_numpy(data.labels).long(), step.loss)
    loss.backward()
    optimizer.step()
    parameters = dict(module.named_parameters())
    state = [{name: optimizer.state[parameter][slot] for name, parameter in parameters.items()} for slot in slots]
    return loss.item(), module, state


def check_initial_weights(report, dovetail, model, data):
    """PyTorch's documented initial distribution: uniform within ± 1 / sqrt(inputs of a unit)."""
    # So small a rate leaves every float32 parameter as it was.
    start, _ = dovetail.train(data.folder, model, f"{model}-initial", "--epochs", 1, "--batch", batch, "--lr", 1e-30,
                              ranks=1)
    extremes, spreads = {}, {}
    for name, values in start.parameters.items():
        weight = start.parameters[name.replace("bias", "weight")]
        scaled = values.astype(numpy.float64) * math.sqrt(weight[0].size)
        extremes[name] = numpy.abs(scaled).max()
        # The deviation of n uniform values varies by about 0.45 / sqrt(n) of itself; ten times that is no chance.
        spreads[name] = abs(scaled.std() * math.sqrt(3) - 1) * math.sqrt(values.size) / 4.5
    report.expect(max(extremes.values()) <= 1 + 1e-6, f"{model}: initial weights within the bound",
                  f"largest at {max(extremes.values()):.6f} of it")
    report.expect(max(spreads.values()) <= 1, f"{model}: initial weights fill the bound evenly",
                  f"spread off by {max(spreads.values()):.2f} of what chance allows")


def check_logits(report, dovetail, model, data, run, start):
    for ranks in (1,) if model in batch_norm_models else (1, 2):
        logits = dovetail.infer(run, data.folder, ranks)
        for precision in (torch.float32, torch.float64):
            module, images = load(model, start, data, precision)
            module.eval()
            report.expect_close(f"{model}: logits, ranks {ranks}, against {precision}",
                                {"logits": difference(logits, module(images), order=numpy.inf)})


def check_step(report, dovetail, model, data, run, seed, start, step, ranks):
    what = f"{model}: {step}, ranks {ranks}"
    end, summary = dovetail.resume(run, data.folder, model, what, "--epochs", start_epochs + 1, "--batch", batch,
                                   "--lr", rates[step.optimizer], "--optimizer", step.optimizer, "--loss", step.loss,
                                   "--seed", seed, *step.options, ranks=ranks)
    if end.step != start.step + 1:
        raise SystemExit(f"{what}: went from step {start.step} to {end.step}")
    loss, module, state = torch_step(model, start, data, step)
    report.expect_close(f"{what}: loss", {"loss": abs(summary["train_loss"] / loss - 1)})
    updates = {}
    for name, after in module.named_parameters():
        before = start.parameters[name].astype(numpy.float64)
        # A float32 parameter holds its update to about a unit in its own last place.
        updates[name] = difference(end.parameters[name] - before, after - torch.from_numpy(before),
                                   rounding=numpy.spacing(numpy.abs(end.parameters[name])))
    report.expect_close(f"{what}: update", updates)
    if end.statistics:
        theirs = module.state_dict()
        report.expect_close(f"{what}: running statistics",
                            {name: difference(ours, theirs[name]) for name, ours in end.statistics.items()})
    for slot, ours, theirs in zip(state_names[step.optimizer], end.state, state):
        report.expect_close(f"{what}: {slot}", {name: difference(ours[name], theirs[name]) for name in theirs})


def find_start(dovetail, model, data, optimizer, loss):
    """The first seed's training that ends where no decision is close; which is close depends on the last bits of the
    weights, and so on the kernels that were chosen."""
    for seed in range(1, 6):
        run = f"{model}-{optimizer}-{loss}-{seed}"
        start, _ = dovetail.train(data.folder, model, run, "--epochs", start_epochs, "--batch", batch, "--lr",
                                  rates[optimizer], "--optimizer", optimizer, "--loss", loss, "--seed", seed, ranks=1)
        margin = narrowest_decision(*load(model, start, data, torch.float64))
        if margin > rounding:
            break
    return run, seed, start, margin


def check_model(report, dovetail, model, data):
    if model in batch_norm_models:
        chosen = [Step("sgd", [], steps[0].peer)]
    else:
        chosen = steps
        check_initial_weights(report, dovetail, model, data)
    for optimizer, loss in dict.fromkeys((step.optimizer, step.loss) for step in chosen):
        run, seed, start, margin = find_start(dovetail, model, data, optimizer, loss)
        report.expect(margin > rounding, f"{model}: no ReLU or max-pool hangs on rounding at the start of {optimizer}, {loss}",
                      f"closest by {margin:.1e}, seed {seed}")
        if (optimizer, loss) == ("sgd", "cross-entropy"):
            check_logits(report, dovetail, model, data, run, start)
        for step in chosen:
            for ranks in step.ranks if (step.optimizer, step.loss) == (optimizer, loss) else ():
                check_step(report, dovetail, model, data, run, seed, start, step, ranks)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dovetail", required=True, help="the program")
    parser.add_argument("--mpiexec", default="mpirun -n", help="the launcher, up to the number of ranks")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    report = Report()
    with tempfile.TemporaryDirectory() as scratch:
        dovetail = dovetail_job.Dovetail(arguments.dovetail, arguments.mpiexec, scratch)
        for model, data in data_sets.items():
            data.folder = dovetail.shard(f"{model}-data", data.images, data.labels, data.classes)
            check_model(report, dovetail, model, data)
    print(f"{report.checks} checks against PyTorch {torch.__version__}, {report.failures} failed")
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
