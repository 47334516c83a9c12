"""Whatever ends a session says so on the bus, so that no stream and no socket outlives it."""

from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from sqlmodel import select

from apps.accounts.models import Session, User
from apps.accounts.testing import PASSWORD, SignIn, links_for
from project.core import AsyncSession
from project.core.live.revoking import REVOCATIONS
from project.core.testing.plugin import NewClient, RecordedBus

API = "/api/v1/accounts"
NEW = "a brand new one"


def revoked(bus: RecordedBus) -> set[str]:
    return {event.data["user"] for topic, event in bus.published if topic == REVOCATIONS}


@pytest.mark.parametrize(
    ("method", "path", "data"),
    [
        ("POST", "logout", None),
        ("POST", "password/change", {"current_password": PASSWORD, "new_password": NEW}),
        ("DELETE", "me", {"password": PASSWORD}),
    ],
    ids=["logout", "password", "deletion"],
)
async def test_what_one_does_oneself_is_told(
    client: httpx2.AsyncClient, sign_in: SignIn, bus: RecordedBus, method: str, path: str, data: dict[str, Any] | None
) -> None:
    ann = await sign_in()
    bus.published.clear()
    assert (await client.request(method, f"{API}/{path}", json=data)).is_success
    assert revoked(bus) == {str(ann.id)}


async def test_a_reset_is_told(app: FastAPI, client: httpx2.AsyncClient, sign_in: SignIn, bus: RecordedBus) -> None:
    ann = await sign_in()
    token = (await links_for(app, ann))["/accounts/reset"].partition("token=")[2]
    bus.published.clear()
    answer = await client.post(f"{API}/password/reset", json={"token": token, "new_password": NEW})
    assert answer.is_success
    assert revoked(bus) == {str(ann.id)}


@pytest.mark.parametrize("way", ["deactivate", "delete", "session"])
async def test_what_staff_does_is_told(
    app: FastAPI,
    client: httpx2.AsyncClient,
    new_client: NewClient,
    sign_in: SignIn,
    db: AsyncSession,
    bus: RecordedBus,
    way: str,
) -> None:
    await sign_in("boss@example.com", is_superuser=True)
    bob: User = await sign_in("bob@example.com", into=new_client(app))
    row = (await db.exec(select(Session).where(Session.user_id == bob.id))).one()
    bus.published.clear()
    if way == "deactivate":
        await client.post(f"/admin/user/edit/{bob.id}", data={"name": "Bob"})
    else:
        pk = {"delete": ("user", bob.id), "session": ("session", row.id)}[way]
        await client.delete(f"/admin/{pk[0]}/delete?pks={pk[1]}")
    assert revoked(bus) == {str(bob.id)}
