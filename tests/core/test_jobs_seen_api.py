"""Jobs as their owners see them, as JSON and live in a page; and the numbers that health shares."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from fastapi import FastAPI

from apps.accounts.models import User
from apps.accounts.testing import SignIn, add_user
from project.core.asgi import create_app
from project.core.db.models import now, uuid7
from project.core.db.session import AsyncSession
from project.core.jobs import Job, State, enqueue, figures
from project.core.jobs.figures import Figures, duration, job_figures
from project.core.jobs.table import CHANGED, topic
from project.core.management.browsing import serving
from project.core.testing.jobs import Jobs
from project.core.testing.pages import Page
from project.core.testing.plugin import Databases, MakeSettings
from tests.core.conftest import INSTALLED
from tests.core.test_streams import reading

pytestmark = pytest.mark.any_database

FAILED = "Something went wrong on our side. It has been written down."
AddJob = Callable[..., Awaitable[Job]]


@pytest.fixture
def add(db: AsyncSession) -> AddJob:
    """Add a row as a worker might have left it."""

    async def add(owner: User | None = None, state: State = State.QUEUED, **values: Any) -> Job:
        usual: dict[str, Any] = {"name": "blog.publish", "arguments": {"api_token": "hush"}, "due_at": now()}
        usual |= {"created_at": now(), "owner": owner.id if owner else None}
        job = Job(state=state, **usual | values)
        db.add(job)
        await db.commit()
        return job

    return add


async def test_the_owner_sees_how_far_it_is(client: httpx2.AsyncClient, sign_in: SignIn, add: AddJob) -> None:
    job = await add(await sign_in(), State.RUNNING, done=3, total=9, note="Writing", started_at=now())
    answer = await client.get(f"/api/v1/jobs/{job.id}")
    assert answer.status_code == 200
    told = answer.json()
    assert (told["state"], told["done"], told["total"], told["note"]) == ("running", 3, 9, "Writing")
    assert told.keys() == {
        *("id", "name", "state", "cancel_asked", "done", "total", "note", "result", "error"),
        *("created_at", "started_at", "finished_at"),
    }
    assert "hush" not in answer.text


@pytest.mark.parametrize("path", ["/api/v1/jobs/{}", "/jobs/{}", "/jobs/{}/events"])
async def test_nobody_else_sees_it_but_staff(
    client: httpx2.AsyncClient, sign_in: SignIn, add: AddJob, path: str
) -> None:
    job = await add(await sign_in("ann@example.com"), State.DONE)
    await sign_in("bob@example.com")
    for url in (path.format(job.id), path.format(uuid7()), path.format((await add()).id)):
        assert (await client.get(url)).status_code == 404
    await sign_in("staff@example.com", permissions=["core.job.view"])
    assert (await client.get(path.format(job.id))).status_code == 200
    client.cookies.clear()
    assert (await client.get(path.format(job.id))).status_code in (401, 303)


@pytest.mark.parametrize("path", ["/api/v1/jobs/{}/cancel", "/jobs/{}/cancel"])
async def test_the_owner_cancels_it_and_nobody_else(
    client: httpx2.AsyncClient, sign_in: SignIn, add: AddJob, db: AsyncSession, path: str
) -> None:
    ann = await sign_in("ann@example.com")
    waits, runs, ended = [await add(ann, state) for state in (State.QUEUED, State.RUNNING, State.DONE)]
    await sign_in("bob@example.com")
    assert (await client.post(path.format(waits.id))).status_code == 404
    await sign_in(ann)
    for job in (waits, runs, ended):
        assert (await client.post(path.format(job.id))).status_code in (200, 303)
        await db.refresh(job)
    assert [waits.state, runs.state, runs.cancel_asked, ended.state] == ["cancelled", "running", True, "done"]
    assert (await client.get(path.format(runs.id))).status_code == 405


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("", ""),
        ("ValueError in blog.py, line 31: no such row", FAILED),
        ("RuntimeError: spawn failed", FAILED),
        ("RuntimeError in running.py, line 9: ValueError in blog.py, line 3: boom", FAILED),
        ("The address does not exist.", "The address does not exist."),
    ],
)
async def test_an_error_is_told_without_the_code_it_came_from(
    client: httpx2.AsyncClient, sign_in: SignIn, add: AddJob, error: str, told: str
) -> None:
    job = await add(await sign_in(), State.DEAD, error=error)
    assert (await client.get(f"/api/v1/jobs/{job.id}")).json()["error"] == told
    page = (await client.get(f"/jobs/{job.id}")).text
    assert told in page
    assert "blog.py" not in page


async def test_the_errors_of_real_jobs_are_told_like_that(probe_app: FastAPI) -> None:
    from project.core.identity import Principal
    from project.core.web.jobs import read_job

    runtime, user = probe_app.state.runtime, Principal(uuid4(), "ann@example.com", "Ann", uuid4())
    jobs = Jobs(runtime)
    async with runtime.unit_of_work() as db:
        ids = [await enqueue(db, "probe.boom", key="a", times=9, owner=user.id)]
        ids += [await enqueue(db, "probe.hopeless", owner=user.id)]
    await jobs.run()
    async with runtime.unit_of_work(write=False) as db:
        errors = [(await read_job(db, user, each)).error for each in ids]
    assert errors == [FAILED, "The address does not exist."]


async def test_the_button_leads_back_to_the_page_it_stood_on(either_page: Page, sign_in: SignIn, add: AddJob) -> None:
    job = await add(await sign_in())
    page = await either_page.open(f"/jobs/{job.id}").submit("Cancel")
    assert page.url == f"/jobs/{job.id}"
    assert [node.text().strip() for node in page.document.css(".job-state")] == ["Cancelled"]


async def test_the_operations_are_documented(client: httpx2.AsyncClient) -> None:
    paths = (await client.get("/api/openapi.json")).json()["paths"]
    assert paths["/api/v1/jobs/{job_id}"]["get"]["tags"] == ["jobs"]
    assert paths["/api/v1/jobs/{job_id}/cancel"]["post"]["tags"] == ["jobs"]


@pytest.fixture
async def site(backend: Databases, make_settings: MakeSettings) -> AsyncIterator[FastAPI]:
    """The probe app, served; jobs run when a test says so."""
    async with backend.copy() as url:
        app = create_app(make_settings(DATABASE_URL=url, INSTALLED_APPS=INSTALLED))
        app.state.runtime.runs_jobs = False
        async with serving(app) as app.state.address:
            yield app


async def test_the_page_follows_a_job_until_it_ends(site: FastAPI) -> None:
    runtime, user = site.state.runtime, await add_user(site)
    async with runtime.unit_of_work() as db:
        job_id = await enqueue(db, "probe.count", total=2, owner=user.id)
    async with reading(site, f"/jobs/{job_id}/events", user=user) as reader:
        assert drawn(await reader.frame()) == ("Waiting", "")
        await Jobs(runtime).run()
        seen = [drawn(frame) async for frame in frames(reader)]
    assert seen[-1] == ("Done", "2 / 2")


async def test_a_job_tells_that_it_begins_how_far_it_is_and_that_it_ends(probe_app: FastAPI) -> None:
    runtime = probe_app.state.runtime
    async with runtime.unit_of_work() as db:
        job_id = await enqueue(db, "probe.count", total=2, owner=uuid4())
    async with runtime.bus.subscribe(topic(job_id)) as told:
        await Jobs(runtime).run()
        told.close()
        assert [event async for event in told] == [CHANGED] * 3


async def test_cancelling_is_seen_at_once(site: FastAPI) -> None:
    runtime, user = site.state.runtime, await add_user(site)
    async with runtime.unit_of_work() as db:
        job_id = await enqueue(db, "probe.count", total=2, owner=user.id)
    async with reading(site, f"/jobs/{job_id}/events", user=user) as reader:
        await reader.frame()
        async with runtime.unit_of_work() as db:
            await figures.cancel(db, job_id)
        assert [drawn(frame) async for frame in frames(reader)] == [("Cancelled", "")]


async def frames(reader: Any) -> AsyncIterator[list[str]]:
    while (frame := await reader.frame()) and not frame[0].startswith("event: end"):
        yield frame


def drawn(frame: list[str]) -> tuple[str, str]:
    """The state in words, and how far it is."""
    html = "\n".join(frame)
    found = re.search(r'class="badge[^>]*>([^<]+)<', html), re.search(r"(\d+ / \d+)<", html)
    return (found[0][1] if found[0] else "", found[1][1] if found[1] else "")


# The numbers


async def test_the_figures_of_a_table_with_a_bit_of_everything(db: AsyncSession, add: AddJob) -> None:
    minute, day = timedelta(minutes=1), timedelta(days=1)
    assert await job_figures(db) == Figures(0, 0, 0.0, 0, away=False)
    await add(due_at=now() + day)
    assert (await job_figures(db)).oldest_seconds == 0
    await add(due_at=now() - minute / 2)
    await add(state=State.RUNNING, lease_until=now() + minute)
    await add(state=State.DEAD, finished_at=now() - day / 2)
    await add(state=State.DEAD, finished_at=now() - 2 * day)
    found = await job_figures(db)
    assert (found.queued, found.running, found.dead, found.away) == (2, 1, 1, False)
    assert 29 < found.oldest_seconds < 60


@pytest.mark.parametrize(
    ("sign_of_life", "away"),
    [
        (None, True),
        ({"state": State.RUNNING, "lease_until": timedelta(seconds=20)}, False),
        ({"state": State.RUNNING, "lease_until": timedelta(seconds=-20)}, True),
        ({"state": State.RUNNING, "lease_until": timedelta(seconds=20), "queue": "slow"}, True),
        ({"state": State.DONE, "finished_at": timedelta(seconds=-20)}, False),
        ({"state": State.DONE, "finished_at": timedelta(seconds=-90)}, True),
        ({"state": State.CANCELLED, "finished_at": timedelta(seconds=-20)}, True),
    ],
)
async def test_the_worker_is_away_when_a_queue_is_due_and_nobody_works_on_it(
    client: httpx2.AsyncClient, add: AddJob, sign_of_life: dict[str, Any] | None, away: bool
) -> None:
    await add(due_at=now() - timedelta(seconds=61))
    if sign_of_life:
        await add(
            **{key: now() + value if isinstance(value, timedelta) else value for key, value in sign_of_life.items()}
        )
    ready = await client.get("/health/ready")
    assert ready.status_code == 200
    assert ready.json()["status"] == ("degraded" if away else "ok")
    assert ready.json()["parts"]["worker"] == ("away" if away else "ok")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-3, "0.0 s"),
        (0.26, "0.3 s"),
        (59.4, "59.4 s"),
        (61, "1 min 1 s"),
        (3599.8, "1 h 0 min"),
        (93_784, "1 d 2 h"),
    ],
)
def test_durations_are_short(seconds: float, words: str) -> None:
    assert duration(seconds) == words
