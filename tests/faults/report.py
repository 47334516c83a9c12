"""What a fault script says at its end: what was demanded, what was seen, and whether that holds."""

import asyncio
import sys
import traceback
from collections.abc import Awaitable, Callable
from signal import SIGTERM

SCENARIO_SECONDS = 420


class Report:
    """The lines of one table."""

    def __init__(self) -> None:
        self.good = True

    def begin(self, title: str) -> None:
        """A scenario begins."""
        print(f"\n{title}\n  {'':<5}{'what':<52}{'demanded':>12}  seen", flush=True)

    def equal(self, what: str, wanted: object, seen: object) -> None:
        """Demand that it is just this."""
        self._line(what, str(wanted), str(seen), holds=wanted == seen)

    def fits(self, what: str, wanted: str, seen: str, *, holds: bool) -> None:
        """Demand something that the caller has judged."""
        self._line(what, wanted, seen, holds=holds)

    def at_most(self, what: str, limit: float, seen: float, unit: str = "s") -> None:
        """Demand that it is not more."""
        self._line(what, f"≤ {limit:g} {unit}", f"{seen:.3g} {unit}", holds=seen <= limit)

    def at_least(self, what: str, limit: float, seen: float, unit: str = "") -> None:
        """Demand that it is not less."""
        self._line(what, f"≥ {limit:g} {unit}", f"{seen:.3g} {unit}", holds=seen >= limit)

    def note(self, what: str, seen: object) -> None:
        """Nothing is demanded."""
        self._line(what, "", str(seen), holds=True, mark="")

    def failed(self, error: BaseException) -> None:
        """It came to no end."""
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        traceback.print_exception(error)
        self._line("the scenario came to its end", "yes", f"{type(error).__name__}: {error}"[:300], holds=False)

    def _line(self, what: str, wanted: str, seen: str, *, holds: bool, mark: str = "ok") -> None:
        self.good &= holds
        print(f"  {mark if holds else 'FAIL':<5}{what:<52}{wanted:>12}  {seen}", flush=True)


Scenario = Callable[[Report], Awaitable[None]]


def run(*scenarios: Scenario, seconds: float = SCENARIO_SECONDS) -> None:
    """Run all scenarios, or those named on the command line, each so long at most; exit 1 when a demand fails."""
    report = Report()
    chosen = [each for each in scenarios if each.__name__ in sys.argv[1:]] or scenarios
    for scenario in chosen:
        report.begin((scenario.__doc__ or "").splitlines()[0])
        asyncio.run(_bounded(scenario, report, seconds))
    raise SystemExit(0 if report.good else 1)


async def _bounded(scenario: Scenario, report: Report, seconds: float) -> None:
    task = asyncio.current_task()
    assert task
    asyncio.get_running_loop().add_signal_handler(SIGTERM, task.cancel)  # what was started is ended then, too
    try:
        async with asyncio.timeout(seconds):
            await scenario(report)
    except Exception as error:
        report.failed(error)
