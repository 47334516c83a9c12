"""Whatever ends a session says so on the bus, so that no stream and no socket outlives it."""

from typing import Any
from uuid import uuid4

import httpx2
import pytest
from fastapi import FastAPI
from sqlmodel import select

from apps.accounts.models import Group, Membership, Session, User
from apps.accounts.testing import PASSWORD, MakeUser, SignIn, links_for
from project.core import AsyncSession, Runtime
from project.core.live import revoke
from project.core.live.events import encode
from project.core.live.revoking import REVOCATIONS
from project.core.testing.plugin import NewClient
from project.core.testing.recorded import RecordedBus

pytestmark = pytest.mark.any_database

API = "/api/v1/accounts"
NEW = "a brand new one"


def revoked(bus: RecordedBus) -> set[str]:
    return {user for topic, event in bus.published if topic == REVOCATIONS for user in event.data["users"]}


@pytest.mark.parametrize("way", ["one", "others", "token", "found token", "refresh token", "reuse"])
async def test_the_end_of_a_device_or_a_program_is_told(
    app: FastAPI, client: httpx2.AsyncClient, new_client: NewClient, sign_in: SignIn, bus: RecordedBus, way: str
) -> None:
    ann = await sign_in()
    form = {"username": ann.email, "password": PASSWORD}
    pair = (await client.post(f"{API}/token", data=form)).json()
    made = (await client.post(f"{API}/api-tokens", json={"name": "script"})).json()
    other = (await client.get(f"{API}/sessions")).json()["items"][1]["id"]
    bus.published.clear()
    used = pair["refresh_token"]
    match way:
        case "one":
            await client.delete(f"{API}/sessions/{other}")
        case "others":
            await client.delete(f"{API}/sessions")
        case "token":
            await client.delete(f"{API}/api-tokens/{made['id']}")
        case "found token" | "refresh token":
            token = used if way == "refresh token" else made["token"]
            await new_client(app).post(f"{API}/token/revoke", json={"token": token})
        case "reuse":
            shared = used.partition(".")[0]
            await new_client(app).post(f"{API}/token/refresh", json={"refresh_token": f"{shared}.{'0' * 64}"})
    assert revoked(bus) == {str(ann.id)}


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


async def test_a_changed_group_is_one_message_for_all_its_members(
    client: httpx2.AsyncClient, sign_in: SignIn, make_user: MakeUser, db: AsyncSession, bus: RecordedBus
) -> None:
    await sign_in(is_superuser=True)
    members = [await make_user(f"{number}@example.com") for number in range(3)]
    db.add(group := Group(name="Readers"))
    await db.flush()
    db.add_all(Membership(user_id=each.id, group_id=group.id) for each in members)
    await db.commit()
    bus.published.clear()
    data = {"name": "Others", "members": [str(each.id) for each in members], "save": "Save"}
    assert (await client.post(f"/admin/group/edit/{group.id}", data=data)).status_code == 302
    assert len([topic for topic, _ in bus.published if topic == REVOCATIONS]) == 1
    assert revoked(bus) == {str(each.id) for each in members}


async def test_a_message_about_many_people_is_never_too_large_to_be_sent(runtime: Runtime, bus: RecordedBus) -> None:
    people = [uuid4() for _ in range(1200)]
    async with runtime.unit_of_work() as db:
        await revoke(db, *people, topic="t" * 200)
    sent = [event for topic, event in bus.published if topic == REVOCATIONS]
    assert (len(sent), revoked(bus)) == (3, {str(each) for each in people})
    assert all(map(encode, sent))


@pytest.mark.parametrize("way", ["deactivate", "delete", "session", "token", "group", "no group"])
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
    theirs = new_client(app)
    bob: User = await sign_in("bob@example.com", into=theirs, permissions=["core.job.view"])
    token = (await theirs.post(f"{API}/api-tokens", json={"name": "script"})).json()["id"]
    row = (await db.exec(select(Session).where(Session.user_id == bob.id))).one()
    group = (await db.exec(select(Group))).one()
    bus.published.clear()
    if way == "deactivate":
        answer = await client.post(f"/admin/user/edit/{bob.id}", data={"name": "Bob"})
    elif way == "group":
        answer = await client.post(f"/admin/group/edit/{group.id}", data={"name": "Other", "members": [str(bob.id)]})
    else:
        pk = {"delete": ("user", bob.id), "session": ("session", row.id), "token": ("api-token", token)}
        kind, key = pk.get(way, ("group", group.id))
        answer = await client.delete(f"/admin/{kind}/delete?pks={key}")
    assert not answer.is_error
    assert revoked(bus) == {str(bob.id)}
