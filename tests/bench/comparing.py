"""The benchmark's figures and how they are told: ratios to the baseline by round, what was wanted, one table."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench.machine import Cell

LEAST = 0.85  # of the baseline, whatever the work
STARTING = 1.3  # times the baseline's start-up, at most
WORKS = {  # what is asked, and how often the baseline's rate it has to reach
    "W1": ("JSON without a database", 0.85),
    "W2": ("one's row by its id", 1.5),
    "W3": ("a list of 100, with their count", 1.5),
    "W4": ("20 rows, one by one", LEAST),
    "W5": ("a page of 100 rows, cookie, forms", 1.5),
    "W6": ("a row is added", 1.2),
    "W7": ("bearer token to person", 1.5),
    "W9a": ("nothing there: 404", LEAST),
    "W9b": ("not valid: 422", LEAST),
    "W10": ("a static file of 20 kB", 5.0),
}
FIGURES = ("rate", "cpu", "p50", "p99")
LOGINS = "W8"  # has no baseline: what a flood of log-ins costs others; tests.bench.logins


def chosen(named: str) -> list[str]:
    """The works that are named, such as "W1,w9", in their own order; all for none.

    Raises ValueError with the choices for one that there is not.
    """
    known = [*list(WORKS)[:7], LOGINS, *list(WORKS)[7:]]
    wanted = {word.strip().upper() for word in named.split(",") if word.strip()}
    found = {each for each in known for word in wanted if word in (each.upper(), each.upper().rstrip("AB"))}
    reached = {word for word in wanted for each in known if word in (each.upper(), each.upper().rstrip("AB"))}
    if unknown := sorted(wanted - reached):
        raise ValueError(f"There is no work {unknown[0]}; choose among {', '.join(known)}.")
    return [each for each in known if each in found or not wanted]


@dataclass
class Comparison:
    """One work on both sides: {side: its cells, one a round}."""

    work: str
    site: list[Cell] = field(default_factory=list)
    plain: list[Cell] = field(default_factory=list)

    @property
    def valid(self) -> bool:
        """Whether each answer was the right one."""
        return not any(cell.errors for cell in (*self.site, *self.plain))

    def ratios(self, figure: str = "rate") -> list[float]:
        """The site's figure by the baseline's, round by round; `cpu` the other way round: more is better in both."""
        both = zip(self.site, self.plain, strict=True)
        pairs = [(getattr(ours, figure), getattr(theirs, figure)) for ours, theirs in both]
        return [theirs / ours if figure == "cpu" else ours / theirs for ours, theirs in pairs if ours and theirs]

    @property
    def verdict(self) -> str:
        """invalid, FAIL or ok."""
        if not self.valid or not self.ratios():
            return "invalid"
        return "ok" if median(self.ratios()) >= WORKS[self.work][1] else "FAIL"

    def line(self) -> str:
        """A line of the table."""
        words, wanted = WORKS[self.work]
        told = f"{self.verdict:<8}{self.work:<4}{words:<35}{wanted:>5.2f} {_spread(self.ratios()):>20}"
        told += f" {_spread(self.ratios('cpu')):>20}"
        for cells in (self.site, self.plain):
            rate, cpu, p50, p99 = (median(getattr(cell, name) for cell in cells) for name in FIGURES)
            told += f" |{rate:>7,.0f}{cpu:>7,.0f}{p50:>7.1f}{p99:>7.1f}"
        errors = [sum(cell.errors for cell in cells) for cells in (self.site, self.plain)]
        return told + (f" | errors: {errors[0]}, {errors[1]}" if any(errors) else "")

    def as_json(self) -> dict[str, Any]:
        """All that was measured."""
        cells = {side: [vars(cell) for cell in each] for side, each in (("site", self.site), ("plain", self.plain))}
        return {"verdict": self.verdict, "ratios": self.ratios(), "ratios_cpu": self.ratios("cpu"), **cells}


HEAD = (
    f"{'':<8}{'':<4}{'':<35}{'want':>5} {'rate, times':>20} {'by CPU, times':>20}"
    f" |{'site/s':>7}{'µs':>7}{'p50':>7}{'p99':>7} |{'base/s':>7}{'µs':>7}{'p50':>7}{'p99':>7}"
)


def _spread(ratios: Sequence[float]) -> str:
    """The median with the extremes."""
    return f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})" if ratios else "none"


@dataclass
class Starts:
    """Cold starts: (seconds until the first answer, processor seconds), and (RSS, PSS) in MB at start and end."""

    site: list[tuple[float, float]] = field(default_factory=list)
    plain: list[tuple[float, float]] = field(default_factory=list)
    memory: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    @property
    def times(self) -> float:
        """The site's start by the baseline's, medians by the clock."""
        if not self.site or not self.plain:
            return math.nan
        return median(each[0] for each in self.site) / median(each[0] for each in self.plain)

    @property
    def verdict(self) -> str:
        """FAIL or ok."""
        return "FAIL" if self.times > STARTING else "ok"

    def lines(self) -> list[str]:
        """What is said of it."""
        told = [f"{self.verdict:<8}start-up, times the baseline's: {self.times:.2f} (at most {STARTING})"]
        for side, each in (("site", self.site), ("baseline", self.plain)):
            clock, cpu = ([one[place] for one in each] for place in (0, 1))
            if clock:
                said = f"{median(clock):.2f} s ({min(clock):.2f} to {max(clock):.2f}), processor {median(cpu):.2f} s"
                told.append(f"{'':<8}{side}: {said}")
        for side, marks in self.memory.items():
            shown = " → ".join(f"{rss:.0f} / {pss:.0f}" for rss, pss in marks)
            told.append(f"{'':<8}{side}: RSS / PSS in MB, at start → at the end: {shown}")
        return told


def tell(comparisons: Sequence[Comparison], starts: Starts) -> list[str]:
    """The whole report, as lines."""
    lines = [HEAD, *(each.line() for each in comparisons)] if comparisons else []
    return [*lines, *starts.lines()]


def good(comparisons: Sequence[Comparison], starts: Starts) -> bool:
    """Whether all that was wanted was seen."""
    return starts.verdict == "ok" and all(each.verdict == "ok" for each in comparisons)


def save(path: Path, comparisons: Sequence[Comparison], starts: Starts) -> None:
    """Keep every figure as JSON."""
    works = {each.work: each.as_json() for each in comparisons}
    started = {"site": starts.site, "plain": starts.plain, "memory": starts.memory, "times": starts.times}
    path.write_text(json.dumps({"works": works, "start": started}, indent=1) + "\n")
