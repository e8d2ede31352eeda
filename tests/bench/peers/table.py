"""What a report's results say, as Markdown."""
import statistics

from roofline import ceilings_of

SECTIONS = {"steps": "Training steps, images on the device",
            "gemm": "Matrix products (rows × in × out)",
            "conv": "3×3 convolutions (in × out × extent × batch)",
            "train": "Training steps, images from the host",
            "infer": "Inference, float32",
            "accuracy": "Training until a test accuracy is reached"}


def best_peer(row):
    """The fastest peer's name, and by how much its time is a multiple of ours; None without peers."""
    others = {name: seconds for name, seconds in row["seconds"].items() if name != "dovetail"}
    if not others:
        return None
    name = min(others, key=others.get)
    return name, others[name] / row["seconds"]["dovetail"]


def rate_unit(flops):
    return (1e12, "TFLOP/s") if flops >= 1e13 else (1e9, "GFLOP/s")


def with_spread(middle, values, digits):
    low, high = min(values), max(values)
    if len(values) < 2 or f"{low:.{digits}f}" == f"{high:.{digits}f}":
        return f"{middle:.{digits}f}"
    return f"{middle:.{digits}f} ({low:.{digits}f}..{high:.{digits}f})"


def cell(row, name, unit):
    if name not in row["seconds"]:
        return "–"
    rounds = row.get("rounds", {}).get(name, [row["seconds"][name]])
    if unit:
        return with_spread(row["operations"] / row["seconds"][name] / unit, [row["operations"] / seconds / unit for seconds in rounds], 1)
    reached = row.get("reached", {}).get(name, "")
    return with_spread(row["seconds"][name] * 1e3, [seconds * 1e3 for seconds in rounds], 3) + (f", {reached}" if reached else "")


def markdown_table(section, rows, flops):
    names = list(dict.fromkeys(name for row in rows for name in row["seconds"]))
    rates = section in ("gemm", "conv")
    scale, unit = rate_unit(flops) if rates else (None, "ms")
    heads = ["work", *(f"{name}, {unit}" for name in names), *(["dovetail of the multiply-add ceiling"] if rates else []),
             "as fast as the fastest peer"]
    lines = [f"| {' | '.join(heads)} |", f"| --- |{' ---: |' * (len(heads) - 1)}"]
    for row in rows:
        cells = [row["work"], *(cell(row, name, scale) for name in names)]
        if rates:
            is_float32 = row.get("format", "float32") == "float32"
            cells.append(f"{100 * row['operations'] / row['seconds']['dovetail'] / flops:.0f} %" if is_float32 else "–")
        best = best_peer(row)
        cells.append(f"{best[1]:.2f} × ({best[0]})" if best else "–")
        lines.append(f"| {' | '.join(cells)} |")
    for name in names[1:]:
        ratios = [row["seconds"][name] / row["seconds"]["dovetail"] for row in rows if name in row["seconds"]]
        if len(ratios) > 1:
            lines.append(f"\nGeometric mean against {name}: {statistics.geometric_mean(ratios):.2f} ×")
    left_out = {name: reason for row in rows for name, reason in row.get("left_out", {}).items()}
    if left_out:
        lines.append(f"\n**Left out: {'; '.join(f'{name} ({reason})' for name, reason in left_out.items())}.**")
    return "\n".join(lines)


def clblast_line(rows):
    found = next((row["clblast"] for row in rows if "clblast" in row), None)
    if not found:
        return []
    words = " ".join(f"{key}={value}" for key, value in found["parameters"].items()) or "none better than the database's"
    return [f"CLBlast's Xgemm was tuned on {'×'.join(map(str, found['shape']))} by {found['by']} ({found['tried']} configurations): {words}.", ""]


def is_busy(results):
    return results["load_before"] > results["cores"] / 2


def markdown(results):
    ceilings, device = ceilings_of(results), results.get("device", {"kind": "cpu"})
    on_gpu = device["kind"] == "gpu"
    head = f"{device['name']}, driver {device['driver']}; " if on_gpu else ""
    lines = ["# Dovetail beside its peers", "",
             f"{head}{results['cpu']}, {results['cores']} cores, {results['date']}; medians of {results['rounds']} rounds in turns, in brackets the "
             f"least and the largest. Load of the machine: {results['load_before']} when it began, {results.get('load_after')} when it ended.", ""]
    if not on_gpu and is_busy(results):
        lines += ["**The machine was busy with other work: the figures say little, their ratios a little more.**", ""]
    if results.get("openblas_core"):
        lines += [f"OpenBLAS took its kernels for {results['openblas_core']}.", ""]
    if results.get("omp_wait_policy"):
        lines += [f"PyTorch's threads waited with OMP_WAIT_POLICY={results['omp_wait_policy']}.", ""]
    if results.get("versions"):
        lines += [f"Peers' versions: {', '.join(f'{name} {version}' for name, version in results['versions'].items())}.", ""]
    lines += [f"Measured ceilings: {ceilings['float32_flops'] / 1e9:.1f} GFLOP/s of float32 multiply-adds, "
              f"{ceilings['copy_bytes_per_s'] / 1e9:.1f} GB/s of copies.", ""]
    for section, rows in results["sections"].items():
        if rows:
            lines += [f"## {SECTIONS[section]}", "", markdown_table(section, rows, ceilings["float32_flops"]), "", *clblast_line(rows)]
    if any(results["sections"].get(section) for section in ("gemm", "conv")):
        lines += ["![roofline](roofline.svg)", ""]
    return "\n".join(lines)
