"""`manage.py jobs`: Django's manners, exit codes one can build on, no secret on the screen."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlmodel import select

from project.core.db.models import now
from project.core.jobs import Job, State
from project.core.runtime import Runtime
from project.core.testing.plugin import MakeSettings, Manage

FIRST = UUID("01970000-0000-7000-8000-000000000001")
SECOND = UUID("01970000-0000-7000-8000-000000000002")
THIRD = UUID("01980000-0000-7000-8000-000000000003")
Add = Callable[..., None]


@pytest.fixture
def runtime(manage: Manage, make_settings: MakeSettings, tmp_path: Path) -> Runtime:
    """On the database of `manage`."""
    return Runtime(make_settings(DATABASE_URL=f"sqlite:///{tmp_path}/db.sqlite3"))


@pytest.fixture
def add(runtime: Runtime) -> Add:
    """Add a row as a worker might have left it."""

    async def write(job: Job) -> None:
        async with runtime, runtime.unit_of_work() as db:
            db.add(job)

    def add(id: UUID, state: State, name: str = "blog.publish", **values: Any) -> None:
        usual: dict[str, Any] = {"arguments": {}, "due_at": now(), "created_at": now()}
        asyncio.run(write(Job(id=id, name=name, state=state, **usual | values)))

    return add


def states(runtime: Runtime) -> dict[UUID, State]:
    async def read() -> dict[UUID, State]:
        async with runtime, runtime.unit_of_work(write=False) as db:
            return {job.id: job.state for job in (await db.exec(select(Job))).all()}

    return asyncio.run(read())


def test_the_list_is_a_table_of_the_newest_first(manage: Manage, add: Add) -> None:
    assert manage("jobs", "list").output == "No jobs.\n"
    began = now() - timedelta(seconds=100)
    add(FIRST, State.DONE, started_at=began, finished_at=began + timedelta(seconds=3))
    add(
        THIRD,
        State.DEAD,
        "core.send_mail",
        failures=5,
        error="TimeoutError in a.py, line 9:\nno  answer " + "x" * 99,
    )
    head, *rows = manage("jobs", "list").output.splitlines()
    assert [row.split()[:4] for row in rows] == [
        [str(THIRD), "core.send_mail", "dead", "default"],
        [str(FIRST), "blog.publish", "done", "default"],
    ]
    assert rows[0][head.index("error") :].startswith("TimeoutError in a.py, line 9: no answer xx")
    assert rows[1][head.index("took") :].strip() == "3.0 s"
    assert max(map(len, rows)) < 200
    for options, found in [
        (["--state", "dead"], THIRD),
        (["--name", "blog.publish"], FIRST),
        (["--limit", "1"], THIRD),
    ]:
        assert [row.split()[0] for row in manage("jobs", "list", *options).output.splitlines()[1:]] == [str(found)]
    assert manage("jobs", "list", "--state", "lost").exit_code == 2


def test_show_tells_all_but_secrets(manage: Manage, add: Add) -> None:
    add(
        FIRST,
        State.DONE,
        note="password=hush-three",
        arguments={"post": 7, "api_token": "hush-one"},
        result={"url": "https://x.example/?token=hush-two"},
    )
    answer = manage("jobs", "show", str(FIRST))
    assert answer.exit_code == 0
    assert "hush" not in answer.output
    for told in (str(FIRST), '"post": 7', "done", "blog.publish"):
        assert told in answer.output


def test_the_beginning_of_an_id_is_enough_while_it_is_the_only_one(manage: Manage, add: Add) -> None:
    add(FIRST, State.DONE)
    add(SECOND, State.DONE)
    add(THIRD, State.DONE)
    assert str(THIRD) in manage("jobs", "show", "0198").output
    for given, sentence in [
        ("0197", "Several jobs have an id that begins with '0197': give more of it."),
        ("0199", "There is no job whose id begins with '0199'."),
        ("no-id", "'no-id' is not the beginning of an id."),
    ]:
        answer = manage("jobs", "show", given)
        assert (answer.exit_code, answer.output) == (1, f"Error: {sentence}\n")


def test_retry_revives_what_is_dead_and_names_what_is_not(manage: Manage, add: Add, runtime: Runtime) -> None:
    add(FIRST, State.DEAD, failures=5)
    add(SECOND, State.DONE)
    answer = manage("jobs", "retry", str(FIRST), str(SECOND), "0199")
    assert answer.exit_code == 1
    assert answer.output.splitlines() == [
        f"{SECOND}: Only a dead or cancelled job can be tried again.",
        "0199: There is no job whose id begins with '0199'.",
        "1 job to be tried again.",
    ]
    assert states(runtime) == {FIRST: State.QUEUED, SECOND: State.DONE}


def test_retry_takes_all_dead_ones_or_those_of_a_name(manage: Manage, add: Add, runtime: Runtime) -> None:
    add(FIRST, State.DEAD, "core.send_mail")
    add(SECOND, State.DEAD)
    add(THIRD, State.CANCELLED)
    assert manage("jobs", "retry", "--all-dead", "--name", "core.send_mail").output == "1 job to be tried again.\n"
    assert states(runtime)[SECOND] == State.DEAD
    assert manage("jobs", "retry", "--all-dead").exit_code == 0
    assert states(runtime) == {FIRST: State.QUEUED, SECOND: State.QUEUED, THIRD: State.CANCELLED}


@pytest.mark.parametrize(
    "words",
    [["retry"], ["retry", "0197", "--all-dead"], ["retry", "0197", "--name", "x"], ["cancel"], ["purge"], ["look"]],
)
def test_wrong_usage_ends_with_2(manage: Manage, words: list[str]) -> None:
    assert manage("jobs", *words).exit_code == 2


def test_cancel_ends_what_waits_and_asks_what_runs(manage: Manage, add: Add, runtime: Runtime) -> None:
    add(FIRST, State.QUEUED)
    add(SECOND, State.RUNNING)
    add(THIRD, State.DONE)
    answer = manage("jobs", "cancel", str(FIRST), str(SECOND), str(THIRD))
    assert answer.exit_code == 1
    assert f"{THIRD}: Only a job that waits or runs can be cancelled.\n2 jobs cancelled.\n" in answer.output
    assert states(runtime) == {FIRST: State.CANCELLED, SECOND: State.RUNNING, THIRD: State.DONE}
    assert "cancel_asked  True" in manage("jobs", "show", str(SECOND)).output


def test_purge_asks_and_deletes_what_ended_long_enough_ago(manage: Manage, add: Add, runtime: Runtime) -> None:
    add(FIRST, State.DONE, finished_at=now() - timedelta(days=3))
    add(SECOND, State.DONE, finished_at=now())
    add(THIRD, State.DEAD, finished_at=now() - timedelta(days=3))
    answer = manage("jobs", "purge", "--state", "done", "--days", "2", input="n\n")
    assert (answer.exit_code, len(states(runtime))) == (1, 3)
    assert "Delete 1 done job? [y/N]" in answer.output
    assert manage("jobs", "purge", "--state", "done", "--days", "2", input="y\n").exit_code == 0
    assert states(runtime) == {SECOND: State.DONE, THIRD: State.DEAD}
    assert manage("jobs", "purge", "--state", "dead", "--noinput").output == "1 dead job deleted.\n"
    assert states(runtime) == {SECOND: State.DONE}
