"""`manage.py bench`: what is asked of it, how wrk's report is read, and when a figure counts. No speed is tested."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from project.core.testing.plugin import Manage
from tests.bench import machine
from tests.bench.comparing import WORKS, Comparison, Starts, chosen, good, save, tell
from tests.bench.machine import Address, Cell, Server

pytestmark = pytest.mark.any_database
SHOWN = """\
Running 2s test @ http://127.0.0.1:8000/
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     8.83ms    1.02ms  20.15ms   80.00%
    Req/Sec     3.61k   100.00     4.00k    70.00%
  Latency Distribution
     50%  869.00us
     75%    9.10ms
     90%    9.80ms
     99%    1.30s
  7200 requests in 2.00s, 1.20MB read
Requests/sec:   3595.81
Transfer/sec:    600.00KB
"""
REFUSED = "  Non-2xx or 3xx responses: 7200\n"
BROKEN = "  Socket errors: connect 0, read 2, write 0, timeout 1\n"


def with_line(line: str) -> str:
    return SHOWN.replace("Requests/sec", f"{line}Requests/sec")


def compared(work: str, *rates: tuple[float, float]) -> Comparison:
    """The cells of both sides at these rates."""
    sides: list[list[Cell]] = [[Cell(pair[side], 1, 2, 1e6 / pair[side], 0) for pair in rates] for side in (0, 1)]
    return Comparison(work, *sides)


def test_the_report_of_wrk_is_read() -> None:
    cell = Cell.of(SHOWN, 1.8, 200)
    assert (cell.rate, cell.p50, cell.p99, cell.errors) == (3595.81, 0.869, 1300, 0)
    assert cell.cpu == pytest.approx(250)
    with pytest.raises(ValueError, match="not what wrk reports"):
        Cell.of("unable to connect", 1, 200)


@pytest.mark.parametrize(
    ("shown", "wanted", "errors"),
    [
        (with_line(REFUSED), 200, 7200),
        (with_line(REFUSED), 404, 0),
        (SHOWN, 404, 7200),
        (with_line(REFUSED.replace("7200", "7000")), 422, 200),
        (with_line(BROKEN), 200, 3),
        (SHOWN.replace("7200 requests", "0 requests"), 200, 1),
    ],
)
def test_every_answer_that_is_not_the_right_one_is_an_error(shown: str, wanted: int, errors: int) -> None:
    assert Cell.of(shown, 1, wanted).errors == errors


def test_the_median_of_the_rounds_counts_and_an_error_makes_it_invalid() -> None:
    each = compared("W2", (150, 100), (300, 100), (100, 100))
    assert (each.ratios(), each.verdict) == ([1.5, 3, 1], "ok")
    assert each.ratios("cpu") == pytest.approx([1.5, 3, 1])
    assert "1.50 (1.00 to 3.00)" in each.line()
    assert compared("W2", (140, 100)).verdict == "FAIL"
    each.plain[1] = Cell(100, 1, 2, 3, errors=4)
    assert each.verdict == "invalid"
    assert each.line().endswith("errors: 0, 4")


def test_all_has_to_be_as_wanted_and_every_figure_is_kept(tmp_path: Path) -> None:
    starts = Starts([(1.3, 1.0)], [(1.0, 0.8)], {"site": [(90.4, 80.0), (91.0, 81.0)]})
    works = [compared("W1", (90, 100)), compared("W10", (500, 100))]
    assert good(works, starts)
    assert not good([*works, compared("W3", (100, 100))], starts)
    assert not good(works, Starts([(1.4, 1.0)], [(1.0, 0.8)]))
    assert "1.30 (at most 1.3)" in "\n".join(tell(works, starts))
    assert "90 / 80 → 91 / 81" in "\n".join(tell(works, starts))
    save(tmp_path / "figures.json", works, starts)
    kept = json.loads((tmp_path / "figures.json").read_text())
    assert kept["works"]["W10"]["site"][0]["rate"] == 500
    assert kept["start"]["times"] == 1.3


def test_works_are_chosen_by_name() -> None:
    assert chosen("w10,W1") == ["W1", "W10"]
    assert chosen("W9") == ["W9a", "W9b"]
    assert chosen("W8") == ["W8"]
    assert set(chosen("")) == {*WORKS, "W8"}
    with pytest.raises(ValueError, match=r"no work W11; choose among W1, .*W8, W9a, W9b, W10"):
        chosen("W1,W11")


def test_what_is_missing_is_said_with_what_to_do(manage: Manage, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*words: str) -> tuple[int, str]:
        answer = manage("bench", *words)
        return answer.exit_code, answer.output

    assert refused("--work", "W11")[0] == 2
    monkeypatch.setattr(machine, "cores", lambda: (0, 1))
    monkeypatch.setattr("tests.bench.suite.cores", lambda: (0, 1))
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert (refused()[0], "apt install wrk" in refused()[1]) == (1, True)
    monkeypatch.setattr("shutil.which", lambda name: name)
    for url in ("", "sqlite:///x.sqlite3", "nonsense"):
        code, said = refused("--database", url)
        assert (code, "--database or TEST_DATABASE_URL" in said) == (1, True), said
    monkeypatch.setitem(sys.modules, "tests.bench.suite", None)
    assert (refused()[0], "tests/bench" in refused()[1]) == (1, True)


def test_a_request_is_told_to_wrk_word_for_word() -> None:
    told: Any = machine.script_of(Address("/", {"X-Quote": 'a"\\b'}, "POST", '{"title": ""}', 422))
    assert told.splitlines() == [
        'wrk.method = "POST"',
        'wrk.headers["X-Quote"] = "a\\"\\\\b"',
        'wrk.body = "{\\"title\\": \\"\\"}"',
    ]


def test_a_server_that_does_not_start_is_told_with_its_words(tmp_path: Path) -> None:
    server = Server("the site", "-c print('no!')", {}, tmp_path, "/")
    with pytest.raises(machine.Missing, match=r"the site did not start: no!"):
        server.start()
    server.end()
