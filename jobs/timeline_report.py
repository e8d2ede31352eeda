#!/usr/bin/env python3
"""Draws one training step of a timeline that `dovetail train --timeline FILE` wrote: what each rank does meanwhile.

    timeline_report.py FILE [--step N] --plot FILE.svg

FILE may be compressed (.gz). Without --step it is the step of median length among those that the timeline shows in detail.
Needs Python's standard library alone. https://ui.perfetto.dev shows all of the timeline.
"""
import argparse
import collections
import gzip
import json
import pathlib
import statistics

import svg

COLOURS = {"work": "#9db8cf", "kernel": "#2a6f97", "backward kernel": "#14406b", "copy": "#8ab17d", "reduce": "#c8553d", "input": "#e9c46a", "waiting": "#d9d9d9"}
LEFT, WIDTH, ROW, GAP = 190, 780, 17, 3  # pixels: names, time, a lane, between two lanes
LETTER = 6.2  # pixels of one, about


def read(file):
    """Names of ranks and lanes, and the spans: begin and end in milliseconds."""
    opened = gzip.open(file, "rt") if file.suffix == ".gz" else open(file)
    with opened as stream:
        events = json.load(stream)["traceEvents"]
    ranks, lanes, spans = {}, {}, []
    for event in events:
        if event["name"] == "process_name":
            ranks[event["pid"]] = event["args"]["name"]
        elif event["name"] == "thread_name":
            lanes[event["pid"], event["tid"]] = event["args"]["name"]
        elif event["ph"] == "X":
            begin = event["ts"] / 1e3
            spans.append({"rank": event["pid"], "lane": event["tid"], "name": event["name"], "category": event["cat"],
                          "begin": begin, "end": begin + event["dur"] / 1e3, **event["args"]})
    return ranks, lanes, spans


def choose_step(spans, wanted):
    """The step's number, and its begin and end over all ranks."""
    steps = collections.defaultdict(list)
    for span in spans:
        if span["category"] == "step":
            steps[span["step"]].append(span)
    if not steps:
        raise SystemExit("the timeline shows no step in detail; give --timeline-steps a range within the run")
    if wanted is None:
        lengths = {step: max(s["end"] for s in of) - min(s["begin"] for s in of) for step, of in steps.items()}
        median = statistics.median_low(lengths.values())
        wanted = next(step for step, length in lengths.items() if length == median)
    if wanted not in steps:
        raise SystemExit(f"the timeline shows steps {min(steps)} to {max(steps)} in detail, not {wanted}")
    return wanted, min(s["begin"] for s in steps[wanted]), max(s["end"] for s in steps[wanted])


class Plot:
    """A block of rows for each rank, a row for each lane, over one axis of time."""

    def __init__(self, begin, end):
        margin = 0.02 * (end - begin)
        self.begin, self.end, self.y, self.parts = begin - margin, end + margin, 30, []

    def x(self, time):
        time = min(max(time, self.begin), self.end)
        return LEFT + WIDTH * (time - self.begin) / (self.end - self.begin)

    def span(self, span, inset):
        left, right = self.x(span["begin"]), self.x(span["end"])
        name = span.get("part") or span["name"]
        is_backward = span.get("part", "").endswith(" backward") and span["category"] == "kernel"
        colour = COLOURS["backward kernel" if is_backward else span["category"]]
        title = f'{span["name"]}{" of " + span["part"] if "part" in span else ""}: {1e3 * (span["end"] - span["begin"]):.0f} µs'
        self.parts.append(svg.box(left, self.y + inset, max(right - left, 0.4), ROW - 2 * inset, colour, title))
        light = span["category"] in ("waiting", "input", "work")
        if LETTER * len(name) < right - left:
            style = f'text-anchor="middle" font-size="10" fill="{"#222" if light else "white"}"'
            self.parts.append(svg.text((left + right) / 2, self.y + ROW - 5, name, style))

    def lane(self, name, spans):
        self.parts.append(svg.text(LEFT - 8, self.y + ROW - 5, name, 'text-anchor="end" font-size="11"'))
        self.parts.append(svg.box(LEFT, self.y, WIDTH, ROW, "#f6f6f6"))
        outer_end = float("-inf")
        for span in sorted(spans, key=lambda s: (s["begin"], -s["end"])):
            is_inner = span["end"] <= outer_end
            self.span(span, 3 if is_inner else 0)
            outer_end = max(outer_end, span["end"])
        self.y += ROW + GAP

    def rank(self, name, lanes):
        self.parts.append(svg.text(LEFT, self.y + 12, name, 'font-weight="bold"'))
        self.y += ROW + GAP
        for lane, spans in lanes:
            self.lane(lane, spans)
        self.y += 6

    def axis(self, zero):
        """Milliseconds from the step's begin, at round ones."""
        length = self.end - self.begin
        tick = next(t * 10**e for e in range(-3, 7) for t in (1, 2, 5) if t * 10**e >= length / 12)
        top, at = 28, 0
        while zero + at * tick < self.end:
            x = self.x(zero + at * tick)
            self.parts.append(svg.line(x, top, x, self.y, 'stroke="#999" stroke-width="0.5" stroke-dasharray="2 3"'))
            self.parts.append(svg.text(x, self.y + 13, f"{at * tick:g}", 'text-anchor="middle"'))
            at += 1
        self.parts.append(svg.text(LEFT + WIDTH + 4, self.y + 13, "ms"))


def draw(ranks, lanes, spans, wanted):
    step, begin, end = choose_step(spans, wanted)
    plot = Plot(begin, end)
    shown = collections.defaultdict(list)
    for span in spans:
        if span["category"] != "step" and span["end"] > plot.begin and span["begin"] < plot.end:
            shown[span["rank"], span["lane"]].append(span)
    plot.parts.append(svg.text(LEFT, 18, f"step {step}: {end - begin:.2f} ms", 'font-weight="bold" font-size="14"'))
    for rank, name in sorted(ranks.items()):
        of_rank = [(lanes[place], shown[place]) for place in sorted(lanes) if place[0] == rank and place in shown]
        plot.rank(name, of_rank)
    plot.axis(begin)
    plot.parts += svg.legend(LEFT, plot.y + 26, COLOURS)
    return svg.document(LEFT + WIDTH + 30, plot.y + 46, plot.parts)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("timeline", type=pathlib.Path)
    parser.add_argument("--step", type=int)
    parser.add_argument("--plot", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    arguments.plot.write_text(draw(*read(arguments.timeline), arguments.step))


if __name__ == "__main__":
    main()
