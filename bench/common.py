"""What every part of the benchmark needs: a quiet moment, the interval of a median, whether a bar holds."""
import pathlib
import random
import statistics
import time


def wait_until_quiet():
    """Other work on these shared machines: a bounded wait for a moment with little of it."""
    def busy():
        fields = list(map(int, pathlib.Path("/proc/stat").read_text().splitlines()[0].split()[1:9]))
        return sum(fields) - fields[3] - fields[4], sum(fields)
    for _ in range(20):
        before = busy()
        time.sleep(0.2)
        after = busy()
        if after[1] == before[1] or (after[0] - before[0]) / (after[1] - before[1]) < 0.10:
            return True
    return False


def interval(values):
    """Median and its 95 % interval by bootstrap (fixed seed: the same numbers give the same interval)."""
    if not values:
        return None
    draw = random.Random(1)
    medians = sorted(statistics.median(draw.choices(values, k=len(values))) for _ in range(2000))
    return statistics.median(values), medians[50], medians[1949]


def verdict(figure, limit):
    """Of an interval its lower end: a bar holds when the interval includes it or lies below."""
    return "holds" if figure <= limit else "**missed**"


def verdict_at_least(figure, limit):
    """The same where more is better: `figure` is the upper end."""
    return "holds" if figure >= limit else "**missed**"
