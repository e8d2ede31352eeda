"""Checks the statistics, the table and the plot of jobs/boost_ablation_report.py on figures worked out by hand."""
import importlib.util
import pathlib
import sys
import xml.dom.minidom

JOBS = pathlib.Path(__file__).resolve().parents[2] / "jobs"
sys.path.insert(0, str(JOBS))
spec = importlib.util.spec_from_file_location("report", JOBS / "boost_ablation_report.py")
report = importlib.util.module_from_spec(spec)
spec.loader.exec_module(report)


def row(name, against, accuracies, reached=(), **more):
    runs = [{"seed": seed, "steps": 1407, "accuracy": accuracy, "steps_to_threshold": step}
            for seed, accuracy, step in zip(range(1, 9), accuracies, reached or [None] * 8)]
    return {"row": name, "group": "gradients", "against": against, "gpu_trained": 64, "gpu_scored": 0, "runs": runs,
            **more}


RESULTS = {"threshold": 0.9, "rows": [
    row("gpu-128", "gpu-64", (0.912, 0.914, 0.916), (400, 500, 600), gpu_trained=128),
    row("gpu-64", None, (0.900, 0.903, 0.903), (1000, None, 1200)),
    row("grad", "gpu-64", (0.910, 0.913, 0.913)),
    row("collapsed", "gpu-64", (0.10,), gpu_scored=192)]}


def check_interval():
    mean, half = report.interval([90.0, 91.0, 92.0])
    assert mean == 91 and abs(half - 4.303 * 1 / 3**0.5) < 1e-9, (mean, half)
    assert report.interval([90.0]) == (90.0, None)


def check_table():
    lines = {line.split(" | ")[0].strip("| "): line for line in report.table(RESULTS).splitlines()}
    # Deviation 0.2 points: 4.303 · 0.2 / √3 = 0.50. Differences 1.2, 1.1, 1.3: 1.20 ± 0.25. Steps: 4.303 · 100 / √3.
    assert lines["gpu-128"] == ("| gpu-128 | 128 | 3 | 91.40 ± 0.50 | +1.20 ± 0.25 over gpu-64 |  | 500 ± 248 | "
                                "64000 ± 31800 |  |"), lines["gpu-128"]
    # Seeds are paired: both rows vary, their differences don't.
    assert "| +1.00 ± 0.00 over gpu-64 | 83 % | never | never |" in lines["grad"], lines["grad"]
    assert "(2 of 3 runs)" in lines["gpu-64"], lines["gpu-64"]
    assert "| 64 + 192 scored | 1 | 10.00 | -80.00 over gpu-64 |" in lines["collapsed"], lines["collapsed"]


def check_lateness():
    """Runs that nobody waited in show what was late or missing, and the age of the weights."""
    figures = [{"steps": 700, "samples": 40000, "missing": 10000, "late": 3, "cosine": 0.99,
                "staleness": {"mean": 0.5, "max": 4}},
               {"steps": 600, "samples": 30000, "missing": 20000, "late": 5, "cosine": 0.97,
                "staleness": {"mean": 1.5, "max": 9}}]
    grad = row("async-grad-int8", None, (0.90, 0.91), group="async")
    for run, boost in zip(grad["runs"], figures):
        run["gradients"] = boost
    # 20 and 40 %: deviation 14.14, 12.706 · 14.14 / √2 = 127.
    assert report.boost_text(grad) == ("cosine 0.980, late 8, missing 30 ± 127 % of samples, "
                                       "weights 1.0 steps old, 9 at most"), report.boost_text(grad)
    rank = row("async-rank-int8", None, (0.90,), group="async")
    rank["runs"][0]["select"] = {"steps": 300, "samples": 19200, "late": 100, "staleness": {"mean": 12.25, "max": 30}}
    assert report.boost_text(rank) == "late 25 % of steps, weights 12.2 steps old, 30 at most", report.boost_text(rank)
    rank["runs"][0]["select"] = {"steps": 0, "samples": 0, "late": 400, "staleness": {"mean": 0, "max": 0}}
    assert report.boost_text(rank) == "late 100 % of steps", report.boost_text(rank)
    assert set(report.TITLES) >= {"async"}


def check_plot():
    svg = report.Plot(RESULTS).svg()
    xml.dom.minidom.parseString(svg)
    assert "◂ 10.0 %" in svg  # beyond the axis
    assert svg.count("<circle") == 3
    assert svg == report.Plot(RESULTS).svg()


check_interval()
check_table()
check_lateness()
check_plot()
