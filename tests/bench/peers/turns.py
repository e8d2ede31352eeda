"""Contestants in turns, and what is kept of them."""
import statistics
import sys
import time


LEFT_OUT = {}  # by peer: why


class Late(Exception):
    """The time that was given is over."""


def leave_out(name, reason):
    """Says so, and keeps it for the rows that follow."""
    LEFT_OUT[name] = (str(reason).strip().splitlines() or ["no reason given"])[0]
    print(f"{name} is left out: {reason}", file=sys.stderr)


def in_turns(rounds, contestants, until=None):
    """{work: {name: its seconds, by round}}; contestants: {name: function that gives {work: seconds}}. At the time `until` no further round
    is begun; one that fails is named and left out from then on."""
    results, names = {}, list(contestants)
    for turn in range(rounds):
        if until and time.time() > until:
            if turn == 0:
                raise Late
            break
        for name in names[turn % len(names):] + names[:turn % len(names)]:
            try:
                measured = contestants[name]()
            except Exception as failure:  # PyTorch's and CLBlast's are of many kinds
                leave_out(name, failure)
                contestants = {one: call for one, call in contestants.items() if one != name}
                names = list(contestants)
                continue
            for work, seconds in measured.items():
                results.setdefault(work, {}).setdefault(name, []).append(seconds)
    return results


def add_peers(contestants, makers):
    """makers: {name: function that gives a contestant}."""
    for name, make in makers.items():
        try:
            contestants[name] = make()
        except Exception as failure:
            leave_out(name, failure)


def row(work, rounds, ours, **more):
    """`rounds`: {name: its seconds, by round}; dovetail's first."""
    rounds = {name: rounds[name] for name in sorted(rounds, key=lambda name: name != "dovetail")}
    return {"work": work, "seconds": {name: statistics.median(seconds) for name, seconds in rounds.items()},
            "rounds": rounds, "ceilings": ours.median_ceilings(), **({"left_out": dict(LEFT_OUT)} if LEFT_OUT else {}), **more}
