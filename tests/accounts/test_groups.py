"""Groups: what their members may do, from the next request on, and who may give what to whom."""

import re
from base64 import b64encode
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import event
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.requests import HTTPConnection

from apps.accounts.groups_admin import TOO_MUCH, GroupAdmin, PermissionsField
from apps.accounts.identity import authenticate
from apps.accounts.models import Group, Membership, User
from apps.accounts.testing import MakeUser, SignIn, add_user, every, sign_in_as
from project.core import Runtime
from project.core.identity import Principal
from project.core.testing.plugin import NewClient

pytestmark = pytest.mark.any_database

GROUPS = every("accounts.group", "accounts.user")
STRONG = "accounts.session.delete"  # what the staff of these tests lack
SAVE = {"save": "Save"}


def asked_by(client: httpx2.AsyncClient) -> HTTPConnection:
    cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    return HTTPConnection({"type": "http", "headers": [(b"cookie", cookie.encode())]})


async def groups(db: AsyncSession) -> dict[str, set[str]]:
    return {name: set(names) for name, names in (await db.exec(select(Group.name, Group.permissions))).all()}


async def members(db: AsyncSession, group: Group) -> set[Any]:
    return set((await db.exec(select(Membership.user_id).where(Membership.group_id == group.id))).all())


@pytest.fixture
async def strong(db: AsyncSession) -> Group:
    """A group that may do more than the staff of these tests."""
    group = Group(name="Strong", permissions=[STRONG])
    db.add(group)
    await db.commit()
    return group


@pytest.fixture
def statements(runtime: Runtime) -> Iterator[list[str]]:
    """The SQL that was sent, begin and end of transactions apart."""
    seen: list[str] = []

    def note(conn: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith(("SELECT", "INSERT", "UPDATE", "DELETE")):
            seen.append(statement)

    engines = {id(each): each for each in (runtime.database.engine.sync_engine,)}
    for engine in engines.values():
        event.listen(engine, "before_cursor_execute", note)
    yield seen
    for engine in engines.values():
        event.remove(engine, "before_cursor_execute", note)


# Who may what


def somebody(**values: Any) -> Principal:
    return Principal(uuid4(), "ann@example.com", "", uuid4(), **values)


def test_a_permission_is_had_or_not() -> None:
    user = somebody(permissions=frozenset({"blog.post.change"}))
    assert user.can("blog.post.change")
    assert not user.can("blog.post.view")
    assert not user.can("blog.post")
    assert not somebody(is_staff=True).can("blog.post.change")
    assert somebody(is_superuser=True).can("blog.post.change")


async def test_who_asks_and_what_they_may_is_one_query(
    app: FastAPI,
    client: httpx2.AsyncClient,
    sign_in: SignIn,
    make_user: MakeUser,
    db: AsyncSession,
    statements: list[str],
) -> None:
    user = await sign_in(permissions=["blog.post.view", "blog.post.change"])
    await make_user("bob@example.com", permissions=["blog.post.delete"])
    second = Group(name="Second", permissions=["blog.post.view", "old.app.words"])
    db.add_all([second, Group(name="Nobody's", permissions=["blog.post.delete"]), Group(name="Empty")])
    await db.flush()
    db.add(Membership(user_id=user.id, group_id=second.id))
    await db.commit()
    statements.clear()
    found = await authenticate(app.state.runtime, asked_by(client))
    assert found is not None
    assert found.permissions == {"blog.post.view", "blog.post.change", "old.app.words"}
    assert len(statements) == 1, statements


async def test_whoever_is_in_no_group_has_no_permission(
    app: FastAPI, client: httpx2.AsyncClient, sign_in: SignIn
) -> None:
    await sign_in(is_staff=True)
    found = await authenticate(app.state.runtime, asked_by(client))
    assert found is not None
    assert found.permissions == frozenset()


async def test_whoever_is_not_active_is_nobody(
    app: FastAPI, client: httpx2.AsyncClient, sign_in: SignIn, db: AsyncSession
) -> None:
    user = await sign_in(permissions=["accounts.user.view"], is_superuser=True)
    row = await db.get_one(User, user.id)
    row.is_active = False
    await db.commit()
    assert await authenticate(app.state.runtime, asked_by(client)) is None


@pytest.mark.parametrize("change", ["permissions", "membership", "group"])
async def test_a_change_counts_from_the_next_request_on(
    client: httpx2.AsyncClient, sign_in: SignIn, db: AsyncSession, change: str
) -> None:
    await sign_in(permissions=["accounts.user.view"])
    assert (await client.get("/api/v1/accounts/users")).status_code == 200
    group = (await db.exec(select(Group))).one()
    if change == "permissions":
        group.permissions = ["accounts.user.change"]
    else:
        await db.delete(group if change == "group" else (await db.exec(select(Membership))).one())
    await db.commit()
    assert (await client.get("/api/v1/accounts/users")).status_code == 403


async def test_an_account_goes_with_its_memberships_and_leaves_the_group(
    client: httpx2.AsyncClient, sign_in: SignIn, make_user: MakeUser, db: AsyncSession
) -> None:
    bob = await make_user("bob@example.com", permissions=["accounts.user.view"])
    await sign_in(is_superuser=True)
    assert (await client.delete(f"/admin/user/delete?pks={bob.id}")).status_code == 200
    assert (await db.exec(select(Membership))).all() == []
    assert len(await groups(db)) == 1


# Groups in the admin


async def test_a_superuser_makes_a_group_and_its_members_may_at_once(
    app: FastAPI, client: httpx2.AsyncClient, new_client: NewClient, sign_in: SignIn, db: AsyncSession
) -> None:
    theirs = new_client(app)
    bob = await sign_in("bob@example.com", into=theirs)
    await sign_in(is_superuser=True)
    page = (await client.get("/admin/group/create")).text
    for name in ("accounts.user.view", "accounts.session.delete", "core.job.change", "core.sent_mail.view"):
        assert f'value="{name}"' in page
    for name in ("accounts.user.add", "core.job.add", "core.sent_mail.change"):  # what nobody can do there
        assert f'value="{name}"' not in page
    data = {"name": "Readers", "members": [str(bob.id)], "permissions": ["accounts.user.view", "core.job.view"]}
    assert (await client.post("/admin/group/create", data=data | SAVE)).status_code == 302
    assert await groups(db) == {"Readers": {"accounts.user.view", "core.job.view"}}
    assert (await theirs.get("/api/v1/accounts/users")).status_code == 200
    group = (await db.exec(select(Group))).one()
    page = (await client.get(f"/admin/group/edit/{group.id}")).text
    assert page.count(" checked") == 2
    details = (await client.get(f"/admin/group/details/{group.id}")).text
    assert "Accounts › People: See" in details
    assert "System › Jobs: See" in details
    assert "bob@example.com" in details
    assert (await client.post(f"/admin/group/edit/{group.id}", data={"name": "Readers"} | SAVE)).status_code == 302
    assert await groups(db) == {"Readers": set()}
    assert (await theirs.get("/api/v1/accounts/users")).status_code == 403


async def test_a_permission_that_no_app_knows_is_kept_and_does_nothing(
    client: httpx2.AsyncClient, sign_in: SignIn, db: AsyncSession
) -> None:
    await sign_in(is_superuser=True, permissions=["gone.thing.view", "core.job.view"])
    group = (await db.exec(select(Group))).one()
    assert "gone.thing.view (no app knows it any more)" in (await client.get(f"/admin/group/details/{group.id}")).text
    data = {"name": "Kept", "permissions": ["core.sent_mail.view"]} | SAVE
    assert (await client.post(f"/admin/group/edit/{group.id}", data=data)).status_code == 302
    assert await groups(db) == {"Kept": {"gone.thing.view", "core.sent_mail.view"}}
    assert (await client.get("/admin/")).status_code == 200


@pytest.mark.parametrize("name", ["no.such.thing", "*", "", "accounts.user.view,core.job.view", "accounts.user.VIEW"])
async def test_a_permission_that_is_not_offered_is_refused(
    client: httpx2.AsyncClient, sign_in: SignIn, db: AsyncSession, name: str
) -> None:
    await sign_in(is_superuser=True)
    data = {"name": "Odd", "permissions": ["core.job.view", name]} | SAVE
    assert (await client.post("/admin/group/create", data=data)).status_code == 422
    assert await groups(db) == {}


# Who may give what: staff who may change groups and people, and nothing beyond


@pytest.fixture
async def me(sign_in: SignIn) -> User:
    return await sign_in("staff@example.com", is_staff=True, permissions=GROUPS)


async def test_nobody_is_offered_what_they_do_not_have(client: httpx2.AsyncClient, me: User) -> None:
    page = (await client.get("/admin/group/create")).text
    assert 'value="accounts.user.view"' in page
    assert STRONG not in page
    assert "core.job" not in page


async def test_nobody_makes_a_group_that_may_more_than_they(
    client: httpx2.AsyncClient, me: User, db: AsyncSession
) -> None:
    data = {"name": "Mine", "members": [str(me.id)], "permissions": ["accounts.user.view", STRONG]} | SAVE
    assert (await client.post("/admin/group/create", data=data)).status_code == 422
    data["permissions"] = ["accounts.user.view"]
    assert (await client.post("/admin/group/create", data=data)).status_code == 302
    assert (await groups(db))["Mine"] == {"accounts.user.view"}


async def test_nobody_gives_their_own_group_what_they_do_not_have(
    client: httpx2.AsyncClient, me: User, db: AsyncSession
) -> None:
    group = (await db.exec(select(Group))).one()
    for given in (STRONG, "core.job.change"):
        data = {"name": "Mine", "members": [str(me.id)], "permissions": [*GROUPS, given]} | SAVE
        assert (await client.post(f"/admin/group/edit/{group.id}", data=data)).status_code == 422
    assert set(*(await groups(db)).values()) == set(GROUPS)


async def test_what_a_form_lets_through_is_asked_again_before_it_is_saved(
    client: httpx2.AsyncClient, me: User, db: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PermissionsField, "pre_validate", lambda *_: None)
    data = {"name": "Mine", "members": [str(me.id)], "permissions": [STRONG]} | SAVE
    assert (await client.post("/admin/group/create", data=data)).status_code == 403
    assert "Mine" not in await groups(db)


@pytest.mark.parametrize(("given", "status"), [(STRONG, 422), ("accounts.user.view", 303)])
async def test_a_file_of_groups_gives_nobody_what_its_importer_does_not_have(
    client: httpx2.AsyncClient, me: User, db: AsyncSession, monkeypatch: pytest.MonkeyPatch, given: str, status: int
) -> None:
    monkeypatch.setattr(PermissionsField, "pre_validate", lambda *_: None)  # the form is not what stops it
    monkeypatch.setattr(GroupAdmin, "can_import", True)
    columns = property(lambda _: ["name", "permissions"])
    monkeypatch.setattr(GroupAdmin, "_import_prop_names", columns, raising=False)
    kept = b64encode(f"name,permissions\nMine,{given}\n".encode()).decode()
    look = await client.post("/admin/group/import", data={"kept": kept})
    plan = re.search(r'name="plan" value="(\w+)"', look.text)
    answer = await client.post("/admin/group/import", data={"kept": kept, "plan": plan[1] if plan else ""})
    assert answer.status_code == status
    assert (TOO_MUCH in answer.text) == ("Mine" not in await groups(db)) == (given == STRONG)


async def test_a_group_that_may_more_is_out_of_reach(
    client: httpx2.AsyncClient, me: User, strong: Group, db: AsyncSession
) -> None:
    page = (await client.get("/admin/group/list")).text
    assert f"/admin/group/details/{strong.id}" in page
    assert f"/admin/group/edit/{strong.id}" not in page
    assert f"pks={strong.id}" not in page
    data = {"name": "Mine", "members": [str(me.id)], "permissions": []} | SAVE
    for answer in (
        await client.get(f"/admin/group/edit/{strong.id}"),
        await client.post(f"/admin/group/edit/{strong.id}", data=data),
        await client.delete(f"/admin/group/delete?pks={strong.id}"),
    ):
        assert answer.status_code == 403
    assert (await groups(db))["Strong"] == {STRONG}
    assert await members(db, strong) == set()


async def test_a_group_that_became_stronger_since_it_was_looked_at_is_out_of_reach(
    client: httpx2.AsyncClient, me: User, db: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the question whether the form may be sent and the saving, somebody else gives the group more."""
    group = Group(name="Weak", permissions=["accounts.user.view"])
    db.add(group)
    await db.commit()
    form = GroupAdmin.scaffold_form

    async def meanwhile(self: GroupAdmin, rules: list[str] | None = None) -> Any:
        group.permissions = [STRONG]
        await db.commit()
        return await form(self, rules)

    monkeypatch.setattr(GroupAdmin, "scaffold_form", meanwhile)
    data = {"name": "Weak", "members": [str(me.id)], "permissions": []} | SAVE
    answer = await client.post(f"/admin/group/edit/{group.id}", data=data)
    assert answer.status_code == 403
    assert "You cannot give what you may not do yourself" in answer.text
    assert await members(db, group) == set()
    assert (await groups(db))["Weak"] == {STRONG}


async def test_a_group_that_is_out_of_reach_when_it_is_deleted_stays(
    client: httpx2.AsyncClient, me: User, strong: Group, db: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def before(*_: Any) -> bool:
        """When it was asked for the first time, the group was weak."""
        return True

    monkeypatch.setattr(GroupAdmin, "check_can_delete", before)
    assert (await client.delete(f"/admin/group/delete?pks={strong.id}")).status_code == 403
    assert "Strong" in await groups(db)


async def test_a_person_is_put_into_no_group_by_their_own_form(
    client: httpx2.AsyncClient, me: User, strong: Group, make_user: MakeUser, db: AsyncSession
) -> None:
    bob = await make_user("bob@example.com")
    sent = {"name": "Changed", "is_active": "y", "is_verified": "y", "is_staff": "y", "is_superuser": "y"}
    more = dict.fromkeys(("groups", "group", "groups-0", "memberships", "members", "Group"), str(strong.id))
    rights = dict.fromkeys(("permissions", "user_permissions", "permissions-0", "granted"), STRONG)
    for user in (me, bob):
        assert (await client.post(f"/admin/user/edit/{user.id}", data=sent | more | rights | SAVE)).status_code == 302
    assert await members(db, strong) == set()
    people = select(User.name, User.is_staff, User.is_superuser).order_by(User.email)
    assert [tuple(each) for each in (await db.exec(people)).all()] == [
        ("Changed", False, False),
        ("Changed", True, False),
    ]
    assert (await client.delete(f"/admin/session/delete?pks={uuid4()}")).status_code == 403


async def test_whoever_may_not_see_people_has_no_list_of_them_to_choose_from(
    client: httpx2.AsyncClient, sign_in: SignIn, db: AsyncSession
) -> None:
    me = await sign_in("staff@example.com", is_staff=True, permissions=every("accounts.group"))
    page = (await client.get("/admin/group/create")).text
    assert 'name="members"' not in page
    assert (await client.get("/admin/group/ajax/lookup?name=members&term=staff")).status_code == 403
    data = {"name": "Mine", "members": [str(me.id)], "permissions": []} | SAVE
    assert (await client.post("/admin/group/create", data=data)).status_code == 302
    group = (await db.exec(select(Group).where(Group.name == "Mine"))).one()
    assert await members(db, group) == set()


async def test_the_members_are_searched_by_those_who_may_see_people(client: httpx2.AsyncClient, me: User) -> None:
    assert 'name="members"' in (await client.get("/admin/group/create")).text
    answer = await client.get("/admin/group/ajax/lookup?name=members&term=staff")
    assert [each["text"] for each in answer.json()["results"]] == ["staff@example.com"]


async def test_without_a_script_the_members_stay_and_others_are_added_by_name(
    client: httpx2.AsyncClient, me: User, make_user: MakeUser, db: AsyncSession
) -> None:
    bob, eve = await make_user("bob@example.com"), await make_user("eve@example.com", name="Eve")
    db.add(group := Group(name="Readers"))
    await db.flush()
    db.add(Membership(user_id=bob.id, group_id=group.id))
    await db.commit()
    url = f"/admin/group/edit/{group.id}"
    page = (await client.get(url)).text
    assert f'<option value="{bob.id}" selected>bob@example.com</option>' in page
    assert re.search("<noscript>.*by email or name.*</noscript>", page)
    data: dict[str, Any] = {
        "name": "Readers",
        "members": [str(bob.id)],
        "members-named": " EVE@example.com \r\n\r\nstaff@example.com",
    }
    assert (await client.post(url, data=data | SAVE)).status_code == 302
    assert await members(db, group) == {bob.id, eve.id, me.id}
    for name in ("nobody@example.com", "%", "example.com"):
        answer = await client.post(url, data=data | {"members-named": name} | SAVE)
        assert (answer.status_code, "Nothing is called" in answer.text) == (422, True)
    await make_user("eve2@example.com", name="Eve")
    answer = await client.post(url, data=data | {"members-named": "Eve"} | SAVE)
    assert (answer.status_code, "Several are called" in answer.text) == (422, True)
    assert await members(db, group) == {bob.id, eve.id, me.id}


async def test_names_tell_nothing_to_whoever_may_not_see_people(
    client: httpx2.AsyncClient, sign_in: SignIn, make_user: MakeUser, db: AsyncSession
) -> None:
    await make_user("bob@example.com")
    await sign_in("staff@example.com", is_staff=True, permissions=every("accounts.group"))
    answers = []
    for name in ("bob@example.com", "nobody@example.com"):
        data: dict[str, Any] = {"name": f"With {name}", "members-named": name, "permissions": []}
        answers.append((await client.post("/admin/group/create", data=data | SAVE)).status_code)
    assert answers == [302, 302]
    assert len((await db.exec(select(Membership))).all()) == 1


async def test_without_the_permission_for_groups_nothing_of_them_is_there(
    client: httpx2.AsyncClient, sign_in: SignIn, strong: Group, db: AsyncSession
) -> None:
    me = await sign_in("staff@example.com", is_staff=True, permissions=[*every("accounts.user"), STRONG])
    data = {"name": "Mine", "members": [str(me.id)], "permissions": []} | SAVE
    for method, path in (
        ("GET", "list"),
        ("GET", f"details/{strong.id}"),
        ("POST", f"edit/{strong.id}"),
        ("POST", "create"),
        ("DELETE", f"delete?pks={strong.id}"),
        ("GET", "export/csv"),
    ):
        answer = await client.request(method, f"/admin/group/{path}", data=data if method == "POST" else None)
        assert answer.status_code == 403, path
        assert "Strong" not in answer.text
    assert await members(db, strong) == set()


async def test_two_processes_agree_at_once(live_app: FastAPI, new_client: NewClient, runtime: Runtime) -> None:
    """What the one grants, the other knows: nothing is kept between requests."""
    client = new_client(live_app)
    await sign_in_as(client, live_app, await add_user(live_app, permissions=["accounts.user.view"]))
    assert (await client.get("/api/v1/accounts/users")).status_code == 200
    other = Runtime(live_app.state.runtime.settings)
    async with other, other.unit_of_work() as db:
        (await db.exec(select(Group))).one().permissions = []
    assert (await client.get("/api/v1/accounts/users")).status_code == 403
