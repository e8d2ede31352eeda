"""Matrix products and convolutions beside their peers."""
import json

import clblast
import ours
import peers
import turns

GEMMS = ["512x512x512", "1024x1024x1024", "2048x2048x2048", "128x784x256", "128x3136x128", "50176x288x64", "64x288x50176", "288x50176x64"]
GPU_GEMMS = ["4096x4096x4096", "8192x8192x8192"]
CONVS = ["1x32x28x128", "32x64x28x128", "32x64x14x128"]
GPU_CONVS = ["32x64x14x4096", "64x64x32x1024", "128x128x16x1024"]
DIRECTIONS = ("forward", "input gradient", "weight gradient")


def extents_of(shape):
    return tuple(int(extent) for extent in shape.split("x"))


def formats(options):
    return options.format or (["float32", "tf32", "bf16"] if options.target.kind == "gpu" else ["float32"])


def kernels_of(options, form):
    """On a GPU the kernels for the device at hand, chosen by measurement; on a CPU the usual ones."""
    return ["--tune", "--format", form] if options.target.kind == "gpu" else []


def clblast_contestants(options, shapes):
    if options.dry_run:
        return {"clblast": "clblast.py measure", "clblast tuned": f"clblast.py tune for {options.tune_seconds:g} s, then measure"}
    name = options.target.name
    shape_words = [word for shape in shapes for word in ("--shape", shape)]

    def maker(parameters):
        def make():
            words = ["measure", name, *shape_words, "--parameters", json.dumps(parameters())]
            return lambda: clblast.run(words)
        return make

    def tuned():
        found = clblast.run(["tune", name, "--shape", shapes[0], "--seconds", options.tune_seconds])
        options.clblast = found
        print(f"CLBlast tuned on {shapes[0]} by {found['by']}, {found['tried']} configurations: {found['database_seconds'] * 1e3:.2f} "
              f"ms before, {found['seconds'] * 1e3:.2f} ms after, {found['parameters']}", flush=True)
        return found["parameters"]

    return {"clblast": maker(dict), **({"clblast tuned": maker(tuned)} if options.tune_seconds > 0 else {})}


def compare_gemm(options):
    """Yields rows. On a GPU PyTorch's products are cuBLAS's; in 16 bits once of operands that are there in that format, once with the casts
    from and to float32 that dovetail's layer does as well."""
    on_gpu = options.target.kind == "gpu"
    shapes = options.shape or (GPU_GEMMS if on_gpu else GEMMS)
    for form in formats(options):
        us = ours.Ours(options)
        words = ["gemm", *(w for shape in shapes for w in ("--shape", shape)), "--direction", "forward", *kernels_of(options, form)]
        makers = {}
        if not on_gpu:
            makers["openblas"] = products_of(peers.OpenBlas, shapes)
        library = "cublas" if on_gpu else "torch"
        makers[library] = products_of(peers.TorchMatmul, shapes, form, options)
        if form in ("bf16", "fp16"):
            makers[f"{library} with casts"] = products_of(peers.TorchMatmul, shapes, form, options, True)
        if form == "float32":
            makers.update(clblast_contestants(options, shapes))
        if options.dry_run:
            print(f"gemm, {form}: {' '.join(us.command(words))} --json -\n  beside {', '.join(makers)}")
            continue
        contestants = {"dovetail": lambda words=words, us=us: {
            shape: each["timing"]["median_s"] for shape, each in zip(shapes, us.report(words)["rows"])}}
        turns.add_peers(contestants, makers)
        results = turns.in_turns(options.rounds, contestants, options.until)
        size = 4 if form in ("float32", "tf32") else 2
        for shape in shapes:
            m, k, n = extents_of(shape)
            more = {"clblast": options.clblast} if form == "float32" and getattr(options, "clblast", None) else {}
            yield turns.row(f"{shape} {form}" if on_gpu else shape, results[shape], us, operations=2 * m * k * n,
                            bytes=size * (m * k + k * n) + 4 * m * n, format=form, **more)


def products_of(peer, shapes, *arguments):
    """Operands of all shapes at a time would not fit a GPU beside ours."""
    def make():
        peer(*extents_of("64x64x64"), *arguments).seconds()  # whether it is there

        def contestant():
            return {shape: peer(*extents_of(shape), *arguments).seconds() for shape in shapes}
        return contestant
    return make


def compare_conv(options):
    """Yields rows: convolution, bias and ReLU, and the gradients."""
    on_gpu = options.target.kind == "gpu"
    shapes = options.shape or (GPU_CONVS if on_gpu else CONVS)
    for form in options.format or ["tf32" if on_gpu else "float32"]:
        us, details = ours.Ours(options), {}
        words = ["conv", *(w for shape in shapes for w in ("--shape", shape)), *kernels_of(options, form)]
        if options.dry_run:
            print(f"conv, {form}: {' '.join(us.command(words))} --json -\n  beside torch")
            continue

        def measure(us=us, words=words, details=details):
            seconds = {}
            for each in us.report(words)["rows"]:
                shape = each["shape"]
                if shape["direction"] not in DIRECTIONS:  # with a pool
                    continue
                work = f"{shape['in']}x{shape['out']}x{shape['extent']}x{shape['batch']} {shape['direction']}"
                details[work] = {"operations": each["operations"], "bytes": each["bytes"]}
                seconds[work] = each["timing"]["median_s"]
            return seconds

        def torch_conv(form=form):
            operands = {shape: peers.TorchConv(*extents_of(shape), form, options.target.torch) for shape in shapes}
            return lambda: {f"{shape} {direction}": seconds for shape, each in operands.items()
                            for direction, seconds in each.seconds().items()}

        contestants = {"dovetail": measure}
        turns.add_peers(contestants, {"torch": torch_conv})
        results = turns.in_turns(options.rounds, contestants, options.until)
        for work, rounds in results.items():
            if "dovetail" in rounds:  # the first layer needs no input gradient
                yield turns.row(f"{work} {form}" if on_gpu else work, rounds, us, format=form, **details[work])
