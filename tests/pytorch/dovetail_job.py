"""Runs dovetail's commands in a scratch folder, and reads what they leave behind."""
import json
import pathlib
import shlex
import shutil
import subprocess

import h5py
import numpy


class Checkpoint:
    """checkpoint.h5: tensors by name, in float32."""

    def __init__(self, path):
        with h5py.File(path, "r") as file:
            self.step = int(file.attrs["step"])
            self.mean, self.deviation = file["input/mean"][:], file["input/standard_deviation"][:]
            self.parameters = self.tensors(file["parameters"])
            self.statistics = self.tensors(file["statistics"])
            self.state = [self.tensors(file["optimizer"][slot]) for slot in sorted(file["optimizer"])]

    @staticmethod
    def tensors(group):
        return {name: group[name][:] for name in group}


class Dovetail:
    """`mpiexec` ends where the number of ranks follows."""

    def __init__(self, program, mpiexec, scratch):
        self.program, self.mpiexec, self.scratch = program, shlex.split(mpiexec), pathlib.Path(scratch)

    def run(self, *arguments, ranks=None):
        launcher = [] if ranks is None else [*self.mpiexec, str(ranks)]
        command = [*launcher, self.program, *map(str, arguments)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            raise SystemExit(f"{shlex.join(command)} ended with exit code {done.returncode}:\n{done.stdout}")

    def shard(self, name, images, labels, classes):
        """A data set whose two splits hold the same samples. Returns its folder."""
        folder = self.scratch / name
        numpy.save(self.scratch / "images.npy", images)
        numpy.save(self.scratch / "labels.npy", labels)
        for split in ("train", "test"):
            self.run("shard", "--format", "npy", "--images", self.scratch / "images.npy", "--labels",
                     self.scratch / "labels.npy", "--classes", classes, "--split", split, "--out", folder)
        return folder

    def train(self, data, model, out, *options, ranks):
        """Returns the checkpoint and the summary."""
        folder = self.scratch / out
        self.run("train", "--data", data, "--model", model, "--out", folder, "--fpga-ranks", 0, "--lr-schedule",
                 "constant", *options, ranks=ranks)
        return Checkpoint(folder / "checkpoint.h5"), json.loads((folder / "summary.json").read_text())

    def resume(self, start, data, model, out, *options, ranks):
        """Goes on in a copy of the run `start`."""
        (self.scratch / out).mkdir()
        shutil.copy(self.scratch / start / "checkpoint.h5", self.scratch / out)
        return self.train(data, model, out, "--resume", *options, ranks=ranks)

    def infer(self, run, data, ranks):
        """float32 logits [samples, classes]."""
        out = self.scratch / run / f"predictions-{ranks}.h5"
        self.run("infer", "--checkpoint", self.scratch / run / "checkpoint.h5", "--data", data, "--format", "float32",
                 "--out", out, ranks=ranks)
        with h5py.File(out, "r") as file:
            return file["logits"][:]
