"""System checks: small functions that find a misconfiguration before a user does."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from project.core.runtime import Runtime

Level = Literal["warning", "error"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found: a stable id, how bad it is, what is wrong, what to do."""

    id: str
    level: Level
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Check:
    """A check function and whether it belongs to `check --deploy` only."""

    run: Callable[["Runtime"], Iterable[Finding]]
    deploy: bool = False


def check(*, deploy: bool = False) -> Callable[[Callable[["Runtime"], Iterable[Finding]]], Check]:
    """Declare a check; list it in the app's plug: `checks=[...]`."""
    return lambda run: Check(run, deploy)


def run_checks(runtime: "Runtime", checks: Iterable[Check], *, deploy: bool = False) -> list[Finding]:
    """Run the checks, errors first."""
    found = [finding for one in checks if deploy or not one.deploy for finding in one.run(runtime)]
    return sorted(found, key=lambda finding: (finding.level != "error", finding.id))
