"""Training steps, whole trainings and inference beside PyTorch."""
import json
import pathlib
import subprocess
import sys
import tempfile

import ours
import peers
import turns
from timing import median_s

HERE = pathlib.Path(__file__).resolve().parent


def work_of(model, batch, form, ranks=1):
    return f"{model}, batch {batch}" + (f", {form}" if form != "float32" else "") + (f", {ranks} ranks" if ranks > 1 else "")


def dry(us, words, names, ranks=1, program="bench"):
    print(f"{' '.join(us.command(words, ranks, program))}\n  beside {', '.join(names)}")


def compare_steps(options):
    """Yields rows: steps on images that lie on the device; no input, no sums over ranks. On a GPU in TF32 beside CUDA graphs."""
    import pytorch_step
    on_gpu = options.target.kind == "gpu"
    form = (options.format or ["tf32" if on_gpu else "float32"])[0]
    ways = options.way or (["graph"] if on_gpu else ["eager", "compiled"])
    for model in options.model or ["mlp", "cnn", "vgg-small"]:
        for batch in options.batch or ([64, 256, 1024, 4096] if on_gpu else [128]):
            work, us, operations = work_of(model, batch, form), ours.Ours(options), []
            words = ["train", "--model", model, "--batch", str(batch), "--format", form, "--data", "random", "--data-place",
                     "device", "--seconds", str(options.seconds or 0.4)]
            settings = [(way, last) for way in ways for last in ([False, True] if model != "mlp" else [False])]
            names = {f"torch {way}{' channels-last' if last else ''}": (way, last) for way, last in settings}
            if options.dry_run:
                dry(us, words, names)
                continue

            def measure(us=us, words=words, work=work, operations=operations, batch=batch):
                report = us.report(words)
                operations.append(report["operations_per_sample"]["model"] * batch)
                return {work: report["step"]["median_s"]}

            def maker(way, last, model=model, batch=batch, work=work):
                def make():
                    step = pytorch_step.Step(model, batch, last, options.target.torch, form, options.threads)
                    call = step.prepared(way)
                    return lambda: {work: step.median_s(call, options.seconds or 0.4)}
                return make

            contestants = {"dovetail": measure}
            turns.add_peers(contestants, {name: maker(*setting) for name, setting in names.items()})
            results = turns.in_turns(options.rounds, contestants, options.until)
            del contestants
            pytorch_step.release(options.target.torch)
            yield turns.row(work, results[work], us, operations=operations[0], format=form, model=model, batch=batch)


def compare_train(options):
    """Yields rows: steps on a data set's images, shuffled and normalised, on the CPU's cores, by one rank or several."""
    seconds = str(options.seconds or 3)
    for model in options.model or ["mlp", "cnn"]:
        for batch in options.batch or [128]:
            work, us = work_of(model, batch, "float32", options.ranks), ours.Ours(options)
            words = ["train", "--model", model, "--batch", str(batch), "--seconds", seconds,
                     *(["--data", str(options.data)] if options.data else [])]

            def peer(flags, model=model, batch=batch, work=work):
                done = subprocess.run([sys.executable, str(HERE / "pytorch_train.py"), "--data", str(options.data), "--model", model,
                                       "--batch", str(batch), "--seconds", seconds, *flags], stdout=subprocess.PIPE, text=True)
                if done.returncode != 0:
                    raise RuntimeError(f"pytorch_train.py {' '.join(flags)} failed (above)")
                return {work: batch / json.loads(done.stdout.splitlines()[-1])["samples_per_second"]}

            contestants = {"dovetail": lambda us=us, words=words, work=work: {work: us.of("step", words, options.ranks)}}
            threads = str(options.threads)
            for label, layout in (("", []), (" channels-last", ["--channels-last"])):
                settings = {f"torch 1 x {threads}{label}": ["--threads", threads],
                            f"torch 1 x {threads} compiled{label}": ["--threads", threads, "--compile"],
                            f"torch {threads} x 1{label}": ["--ranks", threads, "--threads", "1"]}
                if model == "mlp" and layout:
                    continue
                for name, flags in settings.items():
                    contestants[name] = lambda flags=[*flags, *layout], peer=peer: peer(flags)
            if options.dry_run:
                dry(us, words, list(contestants)[1:], options.ranks)
                continue
            if not options.data:
                turns.leave_out("torch", "it trains on real data (--data)")
                contestants = {"dovetail": contestants["dovetail"]}
            results = turns.in_turns(options.rounds, contestants, options.until)
            yield turns.row(work, results[work], us)


def compare_infer(options):
    """Yields rows: float32 inference of images in host memory, on the CPU's cores."""
    for model in options.model or ["mlp", "cnn"]:
        for batch in options.batch or [128]:
            work, us = work_of(model, batch, "float32"), ours.Ours(options)
            words = ["infer", "--model", model, "--batch", str(batch), "--seconds", "1"]
            if options.dry_run:
                dry(us, words, ["torch eager, script, compiled"])
                continue
            contestants, makers = {"dovetail": lambda us=us, words=words, work=work: {work: us.of("timing", words)}}, {}
            try:
                makers = peers.torch_inference(model, batch, options.threads)
            except ImportError as failure:
                turns.leave_out("torch", failure)

            def maker(make, work=work):
                def made():
                    call = make()
                    return lambda: {work: median_s(call, at_least_s=1)}
                return made

            turns.add_peers(contestants, {name: maker(make) for name, make in makers.items()})
            results = turns.in_turns(options.rounds, contestants, options.until)
            yield turns.row(work, results[work], us)


def seconds_to(target, epochs, training_seconds):
    """Of training until the first epoch's end with that accuracy; epochs: [(share of the training that is done, accuracy)]."""
    reached = [share for share, accuracy in epochs if accuracy >= target]
    return training_seconds * reached[0] if reached else None


def train_ours(us, words, target):
    with tempfile.TemporaryDirectory() as folder:
        command = us.command([*words, "--out", f"{folder}/run", "--fpga-ranks", "0"], program="train")
        done = subprocess.run(command, env=ours.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}")
        summary = json.loads(pathlib.Path(folder, "run/summary.json").read_text())
        lines = pathlib.Path(folder, "run/run.jsonl").read_text().splitlines()
    epochs = [(event["step"] / summary["steps"], event["test_accuracy"])
              for event in map(json.loads, lines) if event["event"] == "epoch"]
    return {"seconds": seconds_to(target, epochs, summary["training_seconds"]), "all_seconds": summary["training_seconds"],
            "accuracies": [accuracy for _, accuracy in epochs]}


def train_torch(flags, target):
    done = subprocess.run([sys.executable, str(HERE / "pytorch_train.py"), *flags, "--each-epoch"], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"pytorch_train.py {' '.join(flags)} failed (above)")
    result = json.loads(done.stdout.splitlines()[-1])
    count = len(result["accuracies"])
    epochs = [((i + 1) / count, accuracy) for i, accuracy in enumerate(result["accuracies"])]
    return {"seconds": seconds_to(target, epochs, result["seconds"]), "all_seconds": result["seconds"], "accuracies": result["accuracies"]}


def compare_accuracy(options):
    """Yields rows: seconds of training until the first epoch whose test accuracy is the target, evaluations not counted; a seed a round, the
    same recipe: SGD with momentum, a cosine schedule over all epochs. Where only some seeds reach it, the rows say how many."""
    on_gpu, target = options.target.kind == "gpu", options.accuracy
    form = (options.format or ["tf32" if on_gpu else "float32"])[0]
    for model in options.model or ["cnn"]:
        for batch in options.batch or [128]:
            us = ours.Ours(options)
            recipe = ["--data", str(options.data), "--model", model, "--batch", str(batch), "--epochs", str(options.epochs)]
            device_words = ["--data-place", "device", "--format", form]
            torch_words = {"torch eager": [], "torch eager channels-last": ["--channels-last"],
                           **({"torch graph": ["--graph"], "torch graph channels-last": ["--graph", "--channels-last"]} if on_gpu else {})}
            torch_words = {name: flags for name, flags in torch_words.items() if not options.way or name.split()[1] in options.way}
            if options.dry_run or not options.data:
                dry(us, [*recipe, *device_words, "--seed N --out RUN"], torch_words, program="train")
                continue
            trainings = {name: [] for name in ("dovetail", *torch_words)}
            common = [*recipe, "--device", options.target.torch, *([] if on_gpu else ["--threads", str(options.threads)])]

            def measured(name, call):
                def once():
                    training = call(str(len(trainings[name]) + 1), target)
                    trainings[name].append(training)
                    return {model: training["all_seconds"]}
                return once

            contestants = {"dovetail": measured("dovetail", lambda seed, target: train_ours(
                us, [*recipe, *device_words, "--seed", seed], target))}
            for name, flags in torch_words.items():
                contestants[name] = measured(name, lambda seed, target, flags=flags: train_torch([*common, *flags, "--seed", seed], target))
            us.report(["gemm", "--shape", "64x64x64", "--direction", "forward"])  # for the ceilings
            turns.in_turns(options.rounds, contestants, options.until)
            if not trainings["dovetail"]:
                sys.exit("dovetail was not trained (above)")
            reached = {name: [each["seconds"] for each in of if each["seconds"]] for name, of in trainings.items()}
            if not reached["dovetail"]:
                print(f"no training reached {target}: {trainings}", file=sys.stderr)
                reached = {name: [each["all_seconds"] for each in of] for name, of in trainings.items()}
            yield turns.row(f"{model} to {100 * target:g} %, batch {batch}, {options.epochs} epochs, {form}",
                            {name: seconds for name, seconds in reached.items() if seconds}, us, trainings=trainings,
                            reached={name: f"{sum(each['seconds'] is not None for each in of)} of {len(of)}" for name, of in trainings.items()})
