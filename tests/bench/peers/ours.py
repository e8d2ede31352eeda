"""Dovetail's side of the comparisons: the device that both sides are measured on, and `dovetail bench` on it."""
import argparse
import dataclasses
import json
import os
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]


@dataclasses.dataclass(frozen=True)
class Device:
    """`index` and `name` as `dovetail devices` has them; `kind` is cpu or gpu."""
    kind: str
    index: int
    name: str
    driver: str = ""

    @property
    def torch(self):
        return "cuda" if self.kind == "gpu" else "cpu"


def environment():
    return dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")


def list_devices(program):
    done = subprocess.run([str(program), "devices", "--json", "-"], env=environment(), stdout=subprocess.PIPE, text=True, check=True)
    return [Device(each["kind"].lower(), each["index"], each["name"], each["driver"])
            for each in json.loads(done.stdout) if each["usable"] and each["kind"] in ("CPU", "GPU")]


def find_device(devices, wanted):
    """`wanted`: cpu or gpu (the first of the kind), a number, or auto, which prefers a GPU."""
    def matches(device):
        return wanted in ("auto", device.kind, str(device.index))
    found = sorted(filter(matches, devices), key=lambda device: device.kind != "gpu")
    if not found:
        names = ", ".join(f"{device.index}: {device.name} ({device.kind})" for device in devices)
        raise SystemExit(f"--device {wanted} is not here; there are: {names or 'none'}")
    return found[0]


def target(options):
    """What both sides are measured on; a dry run takes any kind's word for it."""
    if options.dry_run and options.device in ("cpu", "gpu"):
        return Device(options.device, 0, f"a {options.device.upper()}")
    return find_device(list_devices(options.dovetail), options.device)


def add_options(parser):
    parser.add_argument("--dovetail", type=pathlib.Path, default=ROOT / "build/release/dovetail")
    parser.add_argument("--device", default="auto",
                        help="auto (a GPU where there is one), cpu, gpu, or a number as `dovetail devices` has them")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--data", type=pathlib.Path, help="a folder made by `dovetail shard`: train, accuracy")
    parser.add_argument("--format", action="append", help="of products and convolutions; may be repeated")
    parser.add_argument("--model", action="append", help="may be repeated")
    parser.add_argument("--batch", type=int, action="append", help="may be repeated")
    parser.add_argument("--way", action="append", help="steps, accuracy: of PyTorch, as pytorch_step.py has them; may be repeated")
    parser.add_argument("--ranks", type=int, default=1, help="train: GPU ranks, and processes of PyTorch")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="of the peers on a CPU, in all")
    parser.add_argument("--seconds", type=float, help="of steps that are measured at a time")
    parser.add_argument("--dry-run", action="store_true", help="print what would be measured, by which commands")


class Ours:
    """Runs `dovetail bench` on one device; keeps the ceilings of all its runs."""

    def __init__(self, options):
        self.options, self.ceilings = options, []

    def command(self, words, ranks=1, program="bench"):
        launcher = ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", str(ranks)] if ranks > 1 else []
        return [*launcher, str(self.options.dovetail), program, *words, "--devices", str(self.options.target.index)]

    def report(self, words, ranks=1):
        command = [*self.command(words, ranks), "--json", "-"]
        done = subprocess.run(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
        report = json.loads(done.stdout)
        self.ceilings.append(report["ceilings"])
        return report

    def rows(self, what, shapes, *more):
        return self.report([what, *(word for shape in shapes for word in ("--shape", shape)), *more])["rows"]

    def of(self, key, words, ranks=1):
        return self.report(words, ranks)[key]["median_s"]

    def median_ceilings(self):
        return {name: statistics.median(each[name] for each in self.ceilings) for name in self.ceilings[0]}
