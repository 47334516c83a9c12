"""System checks: small functions that find a misconfiguration before a user does.

A check names beforehand what it may find, so that the docs list every id; one that cannot run, or takes too long,
is a finding itself.
"""

import asyncio
from collections.abc import AsyncIterable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from project.core.errors import ConfigurationError
from project.core.log import redact

if TYPE_CHECKING:
    from project.core.runtime import Runtime

Level = Literal["debug", "info", "warning", "error", "critical"]
LEVELS: tuple[Level, ...] = ("debug", "info", "warning", "error", "critical")
SECONDS = 10.0  # that one check may take


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check finds: a stable id, what is wrong, what to do. Both texts may hold {names}.

    The letter before the id's number is its level: D(ebug), I(nfo), W(arning), E(rror) or C(ritical).
    """

    id: str
    message: str
    hint: str = ""

    @property
    def level(self) -> Level:
        """How bad it is."""
        letter = self.id.partition(".")[2][:1].lower()
        return next(each for each in LEVELS if each[0] == letter)

    def of(self, **values: object) -> "Finding":
        """This finding with its {names} filled in; secrets in the values are masked."""
        shown = {name: redact(str(value)) for name, value in values.items()}
        return replace(self, message=self.message.format_map(shown), hint=self.hint.format_map(shown))


Found = Iterable[Finding] | AsyncIterable[Finding]


@dataclass(frozen=True, slots=True)
class Check:
    """A check function, what it may find, its tags, and whether it belongs to `check --deploy` only."""

    run: Callable[["Runtime"], Found]
    finds: tuple[Finding, ...] = ()
    tags: tuple[str, ...] = ()
    deploy: bool = False


BROKEN = Finding(
    "core.E001",
    "The check {name} could not be made: {reason}.",
    "Nothing is known of what it looks at: mend what it says, or the check itself.",
)


def check(
    *finds: Finding, tags: Iterable[str] = (), deploy: bool = False
) -> Callable[[Callable[["Runtime"], Found]], Check]:
    """Declare a check, a generator or an async generator; list it in the app's plug: `checks=[...]`.

    It gets the runtime as built, not entered: the database answers, the app's lifespan has not run.

    Args:
        finds: all it may yield, as they are or filled in with `of`.
        tags: what `check --tag` may choose it by, such as "security".
        deploy: whether it is for `check --deploy` only.
    """
    return lambda run: Check(run, finds, tuple(tags), deploy)


async def run_checks(runtime: "Runtime", checks: Sequence[Check]) -> list[Finding]:
    """Run the checks one after the other; what they found, the worst first."""
    found = [each for one in checks for each in await _run(runtime, one)]
    await runtime.database.close()
    return sorted(found, key=lambda each: (-LEVELS.index(each.level), each.id))


async def _run(runtime: "Runtime", one: Check) -> list[Finding]:
    found: list[Finding] = []
    known = {each.id for each in one.finds}
    try:
        async with asyncio.timeout(SECONDS):
            async for each in _each(one.run(runtime)):
                if each.id not in known:
                    raise LookupError(f"it found {each.id}, which it does not declare")
                found.append(each)
    except TimeoutError:
        found.append(BROKEN.of(name=one.run.__name__, reason=f"it took more than {SECONDS:g} s"))
    except (Exception, ConfigurationError) as error:
        found.append(BROKEN.of(name=one.run.__name__, reason=in_short(error)))
    return found


def in_short(error: BaseException) -> str:
    """The kind of an error and the first line of what it says: the driver's own, without SQL."""
    said = getattr(error, "orig", None) or error
    return f"{type(error).__name__}: {said}".partition("\n")[0].rstrip(".: ")


async def _each(found: Found) -> AsyncIterable[Finding]:
    if isinstance(found, AsyncIterable):
        async for each in found:
            yield each
    else:
        for each in found:
            yield each
