"""Declaring jobs: a decorator on a plain function; its annotations say what may be enqueued."""

import hashlib
import inspect
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, get_type_hints

from arq.cron import next_cron
from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from project.core.errors import ConfigurationError, Invalid

Where = Literal["loop", "thread", "process"]
LONGEST_GAP = 3600.0
RESERVED = {"delay", "at", "owner"}
JSON_MODEL = ConfigDict(extra="forbid", hide_input_in_errors=True, protected_namespaces=())


class GiveUp(Exception):
    """Raised by a job for which no further try makes sense: it goes to the dead letters with this reason."""


@dataclass(frozen=True)
class JobType:
    """A function that can be enqueued. Made by `@job`; listed in `AppConfig(jobs=[…])`, which gives it its name."""

    function: Callable[..., Any]
    arguments: type[BaseModel]
    timeout: float
    max_tries: int
    backoff: float
    unique: bool | Sequence[str]
    queue: str
    runs_in: Where
    schedule: dict[str, Any] | None = None
    name: str = ""

    def named(self, label: str) -> "JobType":
        """The same with its full name, such as "blog.publish"."""
        return replace(self, name=f"{label}.{self.function.__name__}")

    def checked(self, given: dict[str, Any]) -> dict[str, Any]:
        """The arguments as they are kept, in JSON's types; raises Invalid."""
        try:
            return self.arguments.model_validate(given).model_dump(mode="json")
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise Invalid(f"{self.name} cannot be enqueued like that: {where}: {first['msg']}") from None

    def read(self, kept: dict[str, Any]) -> dict[str, Any]:
        """The function's own arguments from what the row keeps; raises GiveUp when they no longer fit."""
        try:
            model = self.arguments.model_validate(kept)
        except ValidationError as error:
            fields = ", ".join(sorted({str(each["loc"][0]) for each in error.errors() if each["loc"]}))
            raise GiveUp(f"The arguments no longer fit the function: {fields}") from None
        return {field: getattr(model, field) for field in type(model).model_fields}

    def key(self, arguments: dict[str, Any]) -> str | None:
        """What makes a job the same as another: all arguments, or those that `unique` names."""
        if not self.unique:
            return None
        parts = arguments if self.unique is True else {each: arguments[each] for each in self.unique}
        return hashlib.sha256(json.dumps([self.name, parts], sort_keys=True).encode()).hexdigest()

    def wait(self, failures: int) -> float:
        """Seconds until the next try: doubling, at most an hour, spread so that many do not come back at once."""
        gap: float = min(self.backoff * 2 ** (failures - 1), LONGEST_GAP)
        return gap * random.uniform(0.75, 1.25)  # noqa: S311

    def next_tick(self, after: datetime) -> datetime:
        """The first due time of a cron task after that moment."""
        assert self.schedule is not None
        return next_cron(after, **self.schedule, microsecond=0)


def job(
    *,
    timeout: float = 300,
    max_tries: int = 5,
    backoff: float = 2,
    unique: bool | Sequence[str] = False,
    queue: str = "default",
    runs_in: Where = "loop",
) -> Callable[[Callable[..., Any]], JobType]:
    """Make a function a job: `await enqueue(db, "blog.publish", post_id=post.id)` runs it after the commit.

    An async function takes `running: Running` first. A plain function says `runs_in="thread"` (it blocks) or
    "process" (it computes), and takes its arguments only. The other arguments are typed and fit into JSON.
    What the function returns is kept as the job's result.

    Args:
        timeout: seconds one try may take.
        max_tries: how often it is tried in all; then it is a dead letter, which `manage.py jobs retry` revives.
        backoff: seconds before the second try; the gaps double, up to an hour.
        unique: while one with the same arguments (or those named here) waits or runs, enqueueing gives that one.
        queue: workers can be bound to some queues.
    """

    def make(function: Callable[..., Any]) -> JobType:
        where = f"The job {function.__module__}.{function.__qualname__}"
        if inspect.iscoroutinefunction(function) != (runs_in == "loop"):
            raise ConfigurationError(f'{where} must be async, or say runs_in="thread" or runs_in="process".')
        hints = get_type_hints(function, include_extras=True)
        parameters = list(inspect.signature(function).parameters.values())[1 if runs_in == "loop" else 0 :]
        for each in parameters:
            if each.name in RESERVED or each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD) or each.name not in hints:
                raise ConfigurationError(
                    f"{where}: its argument {each.name!r} needs a type and a name other than {sorted(RESERVED)}."
                )
        fields: dict[str, Any] = {
            each.name: (hints[each.name], ... if each.default is each.empty else each.default) for each in parameters
        }
        arguments = create_model(function.__name__, __config__=JSON_MODEL, **fields)
        missing = [] if isinstance(unique, bool) else sorted(set(unique) - set(fields))
        if missing:
            raise ConfigurationError(f"{where}: unique names {', '.join(missing)}, which it does not take.")
        return JobType(function, arguments, timeout, max_tries, backoff, unique, queue, runs_in)

    return make


def cron(
    *,
    month: int | set[int] | None = None,
    day: int | set[int] | None = None,
    weekday: int | set[int] | None = None,
    hour: int | set[int] | None = None,
    minute: int | set[int] | None = None,
    second: int | set[int] = 0,
    **options: Any,
) -> Callable[[Callable[..., Any]], JobType]:
    """A job without arguments that is enqueued at the times given, in UTC, once on any number of workers.

    `@cron(hour=3, minute=30)`; what is left out means every, and `weekday=0` is Monday. Times that passed while no
    worker lived are made up for by one run. The other options are those of `@job`; list it in `AppConfig(cron=[…])`.
    """
    when = {"month": month, "day": day, "weekday": weekday, "hour": hour, "minute": minute, "second": second}

    def make(function: Callable[..., Any]) -> JobType:
        made = job(**options)(function)
        if made.arguments.model_fields:
            raise ConfigurationError(f"The cron task {function.__qualname__} takes arguments; nobody would give them.")
        return replace(made, schedule=when)

    return make
