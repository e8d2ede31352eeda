"""Checks what jobs/timeline_report.py draws of a small timeline, where each span's place is known."""
import gzip
import json
import pathlib
import subprocess
import sys
import tempfile
import xml.dom.minidom

JOBS = pathlib.Path(__file__).resolve().parents[2] / "jobs"
sys.path.insert(0, str(JOBS))
import timeline_report as report  # noqa: E402


def event(rank, lane, name, category, begin, end, step, **more):
    return {"ph": "X", "pid": rank, "tid": lane, "name": name, "cat": category, "ts": begin, "dur": end - begin,
            "args": {"step": step, **more}}


def names(rank, name, lanes):
    return [{"ph": "M", "name": "process_name", "pid": rank, "tid": 0, "args": {"name": name}}] + [
        {"ph": "M", "name": "thread_name", "pid": rank, "tid": i, "args": {"name": lane}} for i, lane in enumerate(lanes)]


# Steps of 1, 2 and 4 ms: that of median length is the second one.
EVENTS = names(0, "rank 0 gpu", ["host", "OpenCL queue", "sum of bucket 0", "idle lane"]) + names(1, "rank 1 <fpga>", ["host"]) + [
    event(0, 0, "step", "step", 0, 1000, 1), event(0, 0, "step", "step", 1000, 3000, 2), event(0, 0, "step", "step", 3000, 7000, 3),
    event(0, 0, "compute", "work", 1000, 2500, 2), event(0, 0, "all-reduce", "waiting", 2500, 3000, 2),
    event(0, 1, "forward", "kernel", 1000, 1500, 2, part="conv1 forward"),
    event(0, 1, "weight_gradient", "kernel", 1500, 2500, 2, part="conv1 backward"),
    event(0, 2, "sum", "reduce", 2500, 3000, 2, bucket=0), event(0, 2, "wait for ranks", "waiting", 2500, 2900, 2, bucket=0),
    event(0, 3, "later", "kernel", 6000, 7000, 3), event(1, 0, "evaluate", "work", 0, 7000, 0)]


def boxes(drawing):
    """Of spans, by title: x, width, height, colour."""
    found = {}
    for rect in xml.dom.minidom.parseString(drawing).getElementsByTagName("rect"):
        if rect.firstChild:
            found[rect.firstChild.firstChild.data] = (*(float(rect.getAttribute(key)) for key in ("x", "width", "height")),
                                                      rect.getAttribute("fill"))
    return found


def check_drawing(file):
    drawing = report.draw(*report.read(file), None)
    assert "step 2: 2.00 ms" in drawing and "rank 1 &lt;fpga&gt;" in drawing and "idle lane" not in drawing
    found = boxes(drawing)
    scale = report.WIDTH / 2.08  # pixels a millisecond, with the margins
    x, width, height, colour = found["forward of conv1 forward: 500 µs"]
    assert abs(x - (report.LEFT + 0.04 * scale)) < 0.1 and abs(width - 0.5 * scale) < 0.1, (x, width)
    assert (height, colour) == (report.ROW, report.COLOURS["kernel"])
    assert found["weight_gradient of conv1 backward: 1000 µs"][3] == report.COLOURS["backward kernel"]
    assert found["wait for ranks: 400 µs"][2] < found["sum: 500 µs"][2] == report.ROW
    assert abs(found["evaluate: 7000 µs"][1] - report.WIDTH) < 0.2, "what goes on beyond the step is cut"
    assert not any("later" in title for title in found)
    assert "step 3: 4.00 ms" in report.draw(*report.read(file), 3)


def check_refusals(folder):
    def run(events, *options):
        file = folder / "refused.json"
        file.write_text(json.dumps({"traceEvents": events}))
        done = subprocess.run([sys.executable, JOBS / "timeline_report.py", file, "--plot", folder / "plot.svg", *options],
                              capture_output=True, text=True)
        return done.returncode, done.stderr
    assert run(EVENTS)[0] == 0 and (folder / "plot.svg").read_text().startswith("<svg")
    code, said = run(EVENTS, "--step", "9")
    assert code == 1 and "steps 1 to 3 in detail, not 9" in said, said
    code, said = run([e for e in EVENTS if e.get("cat") != "step"])
    assert code == 1 and "--timeline-steps" in said, said


with tempfile.TemporaryDirectory() as scratch:
    folder = pathlib.Path(scratch)
    (folder / "t.json").write_text(json.dumps({"traceEvents": EVENTS}))
    with gzip.open(folder / "t.json.gz", "wt") as packed:
        json.dump({"traceEvents": EVENTS}, packed)
    check_drawing(folder / "t.json")
    check_drawing(folder / "t.json.gz")
    check_refusals(folder)
