"""Jobs before people's eyes: the owner's part of a page moves by itself, and staff tries a dead one again."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI
from playwright.async_api import expect
from sqlmodel import select

from apps.accounts.models import User
from project.core.db.models import now, uuid7
from project.core.jobs import Job, State
from project.core.jobs.table import CHANGED, topic
from project.core.live import publish
from project.core.runtime import Runtime
from tests.browser.visitors import PLAIN, SCRIPTED, Look, Visit, of_look


@pytest.fixture
def runtime(site: FastAPI) -> Runtime:
    found: Runtime = site.state.runtime
    return found


async def add(runtime: Runtime, state: State, email: str = "", **values: Any) -> UUID:
    """A row as another worker holds or left it."""
    async with runtime.unit_of_work() as db:
        owner = (await db.exec(select(User.id).where(User.email == email))).first()
        usual: dict[str, Any] = {"name": "demo.export", "arguments": {}, "due_at": now(), "created_at": now()}
        job = Job(id=uuid7(), owner=owner, state=state, worker="elsewhere", **usual | values)
        db.add(job)
    return job.id


async def change(runtime: Runtime, job_id: UUID, **values: Any) -> None:
    async with runtime.unit_of_work() as db:
        job = await db.get_one(Job, job_id)
        for name, value in values.items():
            setattr(job, name, value)
        await publish(db, topic(job_id), CHANGED)


@of_look(SCRIPTED)
async def test_the_bar_moves_by_itself_until_the_owner_cancels(visit: Visit, runtime: Runtime, look: Look) -> None:
    visitor = await visit(look, who="member")
    page = visitor.page
    job_id = await add(runtime, State.RUNNING, visitor.email, total=9, done=1, lease_until=now() + timedelta(hours=1))
    await page.goto(f"/jobs/{job_id}")
    cancel = page.get_by_role("button", name="Cancel")
    await cancel.focus()
    await change(runtime, job_id, done=4, note="Sending pages")
    await expect(page.get_by_role("progressbar", name="Sending pages")).to_have_attribute("value", "4")
    await expect(cancel).to_be_focused()
    await visitor.press(cancel)
    await expect(page.locator(".job")).to_contain_text("Cancelling")
    await expect(cancel).to_have_count(0)
    await change(runtime, job_id, state=State.CANCELLED, lease_until=None)
    await expect(page.locator(".job")).to_contain_text("Cancelled")
    await expect(page.get_by_role("progressbar")).to_have_count(0)


async def test_without_javascript_a_link_shows_how_far_it_is_by_now(visit: Visit, runtime: Runtime) -> None:
    visitor = await visit(PLAIN, who="member")
    page = visitor.page
    job_id = await add(runtime, State.RUNNING, visitor.email, total=9, done=1, lease_until=now() + timedelta(hours=1))
    await page.goto(f"/jobs/{job_id}")
    await change(runtime, job_id, state=State.DONE, done=9, lease_until=None)
    await visitor.press(page.get_by_role("link", name="Refresh"))
    await expect(page.locator(".job")).to_contain_text("Done")
    await expect(page.get_by_role("link", name="Refresh")).to_have_count(0)


@of_look(SCRIPTED)
async def test_staff_tries_a_dead_job_again_after_being_asked(visit: Visit, runtime: Runtime, look: Look) -> None:
    job_id = await add(runtime, State.DEAD, name="core.sweep", failures=5, finished_at=now())
    visitor = await visit(look, who="staff")
    page = visitor.page
    await page.goto("/admin/")
    await visitor.press(page.get_by_role("term").filter(has_text="Dead in the last day").locator("+ dd a"))
    await visitor.press(page.locator(f"a[href$='{job_id}']").filter(has_text="core.sweep"))
    await visitor.press(page.get_by_role("link", name="Try again"))
    await visitor.press(page.get_by_role("button", name="Try again"))
    await expect(page.get_by_role("status")).to_have_text("1 job will be tried again.")
    await expect(page.get_by_role("heading", name="Jobs")).to_be_visible()
    async with runtime.unit_of_work(write=False) as db:
        assert (await db.get_one(Job, job_id)).state != State.DEAD
