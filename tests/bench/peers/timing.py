"""How long a call takes, by the clock on the wall."""
import statistics
import time


def nothing():
    """To wait for calls that wait themselves."""


def median_s(call, wait=nothing, at_least_s=0.3, together_s=0.0):
    """Seconds of one call: the median over repetitions, warm. A slow call is measured once. `together_s`: so long a time of calls is enqueued
    before `wait` is called, as in training; 0: each call is waited for."""
    call()
    wait()
    begin = time.perf_counter()
    call()
    wait()
    first = time.perf_counter() - begin
    if first > 10 * max(at_least_s, 0.01):
        return first
    together = max(1, int(together_s / max(first, 1e-7)))
    seconds, start = [], time.perf_counter()
    while not seconds or time.perf_counter() - start < at_least_s:
        begin = time.perf_counter()
        for _ in range(together):
            call()
        wait()
        seconds.append((time.perf_counter() - begin) / together)
    return statistics.median(seconds)
