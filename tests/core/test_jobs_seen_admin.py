"""Jobs in the admin: found, looked at without their secrets, tried again, cancelled, deleted; counted on the index."""

import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from html import unescape
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from fastapi import FastAPI
from sqlmodel import select

from apps.accounts.testing import SignIn, every
from project.core.db.engine import on_commit
from project.core.db.models import now, uuid7
from project.core.db.session import AsyncSession
from project.core.jobs import Job, State, figures
from project.core.runtime import Runtime
from project.core.testing.jobs import Jobs

pytestmark = pytest.mark.any_database

LIST = "/admin/jobs/list"
AddJob = Callable[..., Awaitable[Job]]


@pytest.fixture
async def staff(client: httpx2.AsyncClient, sign_in: SignIn) -> httpx2.AsyncClient:
    """A client of somebody who is staff and may do everything with jobs."""
    await sign_in("staff@example.com", is_staff=True, permissions=every("core.job"))
    return client


@pytest.fixture
def add(db: AsyncSession) -> AddJob:
    """Add a row as a worker might have left it."""

    async def add(name: str = "blog.publish", state: State = State.DONE, **values: Any) -> Job:
        usual: dict[str, Any] = {"arguments": {}, "due_at": now(), "created_at": now()}
        job = Job(name=name, state=state, **usual | values)
        db.add(job)
        await db.commit()
        return job

    return add


def names(page: httpx2.Response) -> list[str]:
    return sorted(re.findall(r'/admin/jobs/details/[^"]+">([^<]+)</a>', page.text))


def said(page: httpx2.Response) -> list[str]:
    return [unescape(each) for each in re.findall(r'class="alert[^"]*"[^>]*>([^<]*)<', page.text)]


async def states(db: AsyncSession) -> dict[str, State]:
    found = (await db.exec(select(Job).execution_options(populate_existing=True))).all()
    return {job.name: job.state for job in found}


async def test_the_list_is_filtered_by_state_queue_and_name(staff: httpx2.AsyncClient, add: AddJob) -> None:
    await add("core.sweep", State.QUEUED)
    await add("core.send_mail", State.DEAD, error="TimeoutError: " + "too long " * 20)
    await add("blog.publish", queue="slow")
    assert len(names(await staff.get(LIST))) == 3
    assert names(await staff.get(f"{LIST}?state=dead")) == ["core.send_mail"]
    assert names(await staff.get(f"{LIST}?queue=slow")) == ["blog.publish"]
    assert names(await staff.get(f"{LIST}?name=core.sweep")) == ["core.sweep"]
    page = (await staff.get(LIST)).text
    assert {"core.sweep", "core.send_mail", "default"} <= set(re.findall(r"(?:name|queue)=([\w.]+)\"", page))
    assert names(await staff.get(f"{LIST}?state=nonsense")) == []


async def test_search_takes_names_and_beginnings_of_ids(staff: httpx2.AsyncClient, add: AddJob) -> None:
    job = await add("blog.publish", owner=uuid4())
    await add("core.sweep", id=UUID(int=job.id.int ^ 1 << 127))
    for term in ("publish", str(job.id), str(job.id)[:13], job.id.hex[:20].upper(), str(job.owner)):
        assert names(await staff.get(LIST, params={"search": term})) == ["blog.publish"], term
    assert names(await staff.get(LIST, params={"search": "no such job"})) == []


async def test_the_details_hide_secrets_and_tell_the_timing(staff: httpx2.AsyncClient, add: AddJob) -> None:
    began = now() - timedelta(seconds=90)
    link = "https://example.com/reset?token=hush-one"
    job = await add(
        state=State.DEAD,
        arguments={"post": 7, "api_token": "hush-two", "mail": {"link": link, "passwords": ["hush-three"]}},
        result={"session_key": "hush-four", "sent": 3},
        note="password=hush-five",
        error="ValueError in blog.py, line 3: it broke",
        request_id="a1b2c3",
        done=3,
        total=9,
        due_at=began - timedelta(seconds=5),
        started_at=began,
        finished_at=began + timedelta(seconds=75),
    )
    text = unescape((await staff.get(f"/admin/jobs/details/{job.id}")).text)
    assert "hush" not in text
    for told in ('"post": 7', '"sent": 3', "ValueError in blog.py, line 3", "a1b2c3", "3 of 9", "5.0 s", "1 min 15 s"):
        assert told in text, told


async def test_a_dead_job_is_tried_again_by_post_and_the_workers_hear_of_it(
    staff: httpx2.AsyncClient, add: AddJob, db: AsyncSession, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    rung: list[str] = []
    monkeypatch.setattr(runtime.queue.bell, "ring", rung.append)
    job = await add(state=State.DEAD, failures=5, queue="slow", error="boom")
    url, before = f"/admin/jobs/action/retry?pks={job.id}", f"{LIST}?queue=slow"
    assert (await staff.get(url)).status_code == 405
    assert await states(db) == {"blog.publish": State.DEAD}
    assert rung == []
    answer = await staff.post(url, headers={"Referer": str(staff.base_url.join(before))})
    assert (answer.status_code, answer.headers["location"]) == (303, before)
    await db.refresh(job)
    assert (job.state, job.failures, job.error) == (State.QUEUED, 0, "")
    assert rung == ["slow"]
    assert said(await staff.get(answer.headers["location"])) == ["1 job will be tried again."]
    assert said(await staff.get(answer.headers["location"])) == []


async def test_another_sites_page_changes_nothing(staff: httpx2.AsyncClient, add: AddJob, db: AsyncSession) -> None:
    job = await add(state=State.DEAD)
    for do in ("retry", "cancel"):
        answer = await staff.post(f"/admin/jobs/action/{do}?pks={job.id}", headers={"Origin": "https://evil.example"})
        assert answer.status_code == 403
    assert await states(db) == {"blog.publish": State.DEAD}


async def test_a_refusal_is_one_sentence_on_the_list_and_nothing_of_the_choice_is_done(
    staff: httpx2.AsyncClient, add: AddJob, db: AsyncSession
) -> None:
    dead, done = await add("a.dead", State.DEAD), await add("a.done")
    for do, pks, sentence in [
        ("retry", f"{dead.id},{done.id}", "Only a dead or cancelled job can be tried again."),
        ("cancel", f"{done.id}", "Only a job that waits or runs can be cancelled."),
        ("retry", f"{dead.id},{uuid7()}", "There is nothing here, or it is not yours."),
        ("retry", "no-id", "There is nothing here, or it is not yours."),
        ("retry", "", "Choose the jobs first."),
    ]:
        answer = await staff.post(f"/admin/jobs/action/{do}", params={"pks": pks}, follow_redirects=True)
        assert (answer.url.path, said(answer)) == (LIST, [sentence])
    assert await states(db) == {"a.dead": State.DEAD, "a.done": State.DONE}


async def test_a_job_whose_twin_waits_already_is_not_tried_again(
    staff: httpx2.AsyncClient, add: AddJob, db: AsyncSession
) -> None:
    dead = await add("a.dead", State.DEAD, key="same")
    await add("a.twin", State.QUEUED, key="same")
    answer = await staff.post(f"/admin/jobs/action/retry?pks={dead.id}", follow_redirects=True)
    assert said(answer) == ["Another job like this one waits or runs already."]
    assert await states(db) == {"a.dead": State.DEAD, "a.twin": State.QUEUED}


async def test_what_waits_is_cancelled_at_once_and_what_runs_is_asked_to_stop(
    staff: httpx2.AsyncClient, add: AddJob, db: AsyncSession
) -> None:
    waits, runs = await add("a.waits", State.QUEUED), await add("a.runs", State.RUNNING)
    await staff.post(f"/admin/jobs/action/cancel?pks={waits.id},{runs.id}")
    await db.refresh(waits)
    await db.refresh(runs)
    assert (waits.state, runs.state, runs.cancel_asked) == (State.CANCELLED, State.RUNNING, True)
    assert "cancelling" in (await staff.get(LIST)).text


@pytest.mark.parametrize(
    ("state", "offered"),
    [
        (State.QUEUED, ["Stop for good"]),
        (State.RUNNING, ["Stop for good"]),
        (State.DONE, ["Delete"]),
        (State.DEAD, ["Try again", "Delete"]),
        (State.CANCELLED, ["Try again", "Delete"]),
    ],
)
async def test_the_details_offer_what_can_be_done_and_ask_first(
    staff: httpx2.AsyncClient, add: AddJob, state: State, offered: list[str]
) -> None:
    page = (await staff.get(f"/admin/jobs/details/{(await add(state=state)).id}")).text
    buttons = re.findall(r'href="([^"]+/jobs/(?:confirm/\w+|delete)\?pks=[^"]+)">\s*([\w ]+?)\s*</a>', page)
    assert [label for _, label in buttons] == offered
    for address, label in buttons:
        asked = (await staff.get(unescape(address))).text
        assert re.search(rf'<form[^>]* method="post"[^>]*>.*<button[^>]*>{label}</button>', asked, re.S)


async def test_whoever_may_only_look_is_offered_nothing_to_do(
    client: httpx2.AsyncClient, sign_in: SignIn, add: AddJob
) -> None:
    await sign_in("reader@example.com", is_staff=True, permissions=["core.job.view"])
    job = await add(state=State.DEAD)
    for path in ("list", f"details/{job.id}"):
        page = (await client.get(f"/admin/jobs/{path}")).text
        assert str(job.id) in page
        assert not re.search(r"/jobs/(delete|action|edit)|Try again", page), path


async def test_nobody_writes_a_job_by_hand_or_exports_its_arguments(staff: httpx2.AsyncClient, add: AddJob) -> None:
    job = await add()
    for method, path in [
        ("GET", "create"),
        ("POST", "create"),
        ("GET", f"edit/{job.id}"),
        ("POST", f"edit/{job.id}"),
        ("GET", "export/csv"),
        ("GET", "export/json"),
    ]:
        assert (await staff.request(method, f"/admin/jobs/{path}")).status_code == 403, path


async def test_only_what_has_ended_is_deleted(staff: httpx2.AsyncClient, add: AddJob, db: AsyncSession) -> None:
    jobs = {state: await add(f"a.{state}", state) for state in State}
    for state, job in jobs.items():
        answer = await staff.delete(f"/admin/jobs/delete?pks={job.id}")
        assert answer.status_code == (200 if state in figures.ENDED else 409), state
        assert ("Cancel it first." in answer.text) == (state not in figures.ENDED)
    assert await states(db) == {"a.queued": State.QUEUED, "a.running": State.RUNNING}


async def test_the_index_counts_and_its_numbers_lead_to_the_rows(staff: httpx2.AsyncClient, add: AddJob) -> None:
    for name, state, values in [
        ("a.new", State.QUEUED, {}),
        ("a.later", State.QUEUED, {"due_at": now() + timedelta(days=1)}),
        ("a.runs", State.RUNNING, {"lease_until": now() + timedelta(seconds=9)}),
        ("a.dead", State.DEAD, {"finished_at": now()}),
        ("a.forgotten", State.DEAD, {"finished_at": now() - timedelta(days=2)}),
    ]:
        await add(name, state, **values)
    page = await staff.get("/admin/")
    told = re.findall(r'<dt>([^<]+)</dt><dd><a href="([^"]+)">([^<]+)</a>', page.text)
    assert [(label, number) for label, _, number in told if label != "Oldest waiting"] == [
        ("Jobs queued", "2"),
        ("Jobs running", "1"),
        ("Dead in the last day", "1"),
    ]
    found = [names(await staff.get(unescape(link))) for _, link, _ in told]
    assert found == [["a.later", "a.new"], ["a.runs"], ["a.later", "a.new"], ["a.dead", "a.forgotten"]]
    assert "No worker seems to run" not in page.text


async def test_the_index_warns_when_nobody_takes_what_is_due(staff: httpx2.AsyncClient, add: AddJob) -> None:
    await add(state=State.QUEUED, due_at=now() - timedelta(seconds=90))
    page = (await staff.get("/admin/")).text
    assert "No worker seems to run" in page
    assert "1 min 30 s" in page


async def test_what_an_admin_view_leaves_for_the_commit_happens_after_it(
    app: FastAPI, staff: httpx2.AsyncClient, add: AddJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    happened: list[str] = []

    async def remember(db: AsyncSession, job_id: UUID) -> Job:
        async def note() -> None:
            happened.append(f"after, {db.in_transaction()}")

        on_commit(db, note)
        happened.append("before")
        if job_id.int == 1:
            raise RuntimeError("a bug")
        return await db.get_one(Job, job_id)

    monkeypatch.setattr(figures, "cancel", remember)
    await staff.post(f"/admin/jobs/action/cancel?pks={(await add()).id}")
    assert happened == ["before", "after, False"]
    assert (await staff.post(f"/admin/jobs/action/cancel?pks={UUID(int=1)}")).status_code == 500
    assert happened == ["before", "after, False", "before"]


async def test_a_job_tried_again_in_the_admin_runs(
    staff: httpx2.AsyncClient, add: AddJob, jobs: Jobs, db: AsyncSession
) -> None:
    job = await add("core.sweep", State.DEAD)
    await staff.post(f"/admin/jobs/action/retry?pks={job.id}")
    assert await jobs.run() == [State.DONE]
