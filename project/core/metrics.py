"""Metrics: counters, gauges and histograms of this process, in Prometheus' text format 0.0.4.

A metric is a constant of the module that counts in it, and its name begins with `uptempo_`. Counting is a dictionary's
update: it takes no lock, and under races between threads may miss one.
"""

from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)  # seconds
MOST = 1000  # series of one metric; whatever comes then is counted as one
Figures = dict[str, list[str]]  # {what a metric is: its lines}
_metrics: list["Counter | Histogram"] = []


class _Metric:
    kind = "counter"

    def __init__(self, name: str, words: str, *labels: str, of_site: bool = False) -> None:
        self.name, self.labels, self.of_site = f"uptempo_{name}", labels, of_site
        self.header = f"# HELP {self.name} {words}\n# TYPE {self.name} {self.kind}"

    def line(self, values: tuple[str, ...], value: float, process: str, suffix: str = "", **more: str) -> str:
        """One sample, with the label values it was counted under."""
        named = dict(zip(self.labels, values, strict=True)) | more | ({"process": process} if process else {})
        labels = ",".join(f'{name}="{_escaped(each)}"' for name, each in named.items())
        return f"{self.name}{suffix}{{{labels}}} {value}" if labels else f"{self.name}{suffix} {value}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


class Counter(_Metric):
    """What has happened so far, for each set of label values: `SENT.add("welcome")`.

    Args:
        name: by Prometheus' rules, a unit and `_total` at its end.
        words: what it counts.
        labels: their names; the values must come from a small set that no visitor chooses.
        of_site: true of the site and not of one process, such as the rows of a table.
    """

    def __init__(self, name: str, words: str, *labels: str, of_site: bool = False) -> None:
        super().__init__(name, words, *labels, of_site=of_site)
        self.series: dict[tuple[str, ...], float] = {}
        _metrics.append(self)

    def add(self, *values: str, by: float = 1) -> None:
        """Count one more, or `by`."""
        values = values if values in self.series or len(self.series) < MOST else ("other",) * len(values)
        self.series[values] = self.series.get(values, 0) + by

    def lines(self, process: str) -> Iterator[str]:
        """A line for each set of label values."""
        return (self.line(values, value, process) for values, value in list(self.series.items()))


class Gauge(Counter):
    """What stands now: it may be set, and go down."""

    kind = "gauge"

    def set(self, value: float, *values: str) -> None:
        """Say how much it is."""
        self.series[values] = value

    @contextmanager
    def up(self) -> Iterator[None]:
        """One more while this is open."""
        self.add()
        try:
            yield
        finally:
            self.add(by=-1)


class Histogram(_Metric):
    """How many seconds something took, in buckets: `TOOK.observe(0.2, "welcome")`; for its arguments see Counter."""

    kind = "histogram"

    def __init__(self, name: str, words: str, *labels: str) -> None:
        super().__init__(name, words, *labels)
        self.series: dict[tuple[str, ...], list[float]] = {}  # for each bucket how many, then the sum
        _metrics.append(self)

    def observe(self, seconds: float, *values: str) -> None:
        """Count one more that took so long."""
        values = values if values in self.series or len(self.series) < MOST else ("other",) * len(values)
        row = self.series.setdefault(values, [0] * (len(BOUNDS) + 2))
        row[bisect_left(BOUNDS, seconds)] += 1
        row[-1] += seconds

    def lines(self, process: str) -> Iterator[str]:
        """The buckets, the count and the sum for each set of label values."""
        for values, row in list(self.series.items()):
            totals = list(accumulate(row[:-1]))
            for bound, total in zip((*map(str, BOUNDS), "+Inf"), totals, strict=True):
                yield self.line(values, total, process, "_bucket", le=bound)
            yield self.line(values, totals[-1], process, "_count")
            yield self.line(values, row[-1], process, "_sum")


def figures(process: str = "") -> Figures:
    """The metrics of this process, labelled with its name; without a name, those of the site as a whole."""
    return {each.header: list(each.lines(process)) for each in _metrics if each.of_site is not bool(process)}


def as_text(*found: Figures) -> str:
    """One exposition of what several processes said: a metric's lines stand together, as the format wants them."""
    merged: Figures = {}
    for each in found:
        for header, lines in each.items():
            merged.setdefault(header, []).extend(lines)
    return "".join(f"{line}\n" for header, lines in merged.items() if lines for line in (header, *lines))
