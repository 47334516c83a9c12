"""fastapi-users' own flows on our manager: hooks, reset tokens that count once, hashing off the loop."""

import threading
from typing import Any

import pytest
from fastapi import Request
from fastapi_users import InvalidPasswordException, exceptions
from fastapi_users.schemas import BaseUserUpdate

from apps.accounts.manager import HASHER, UserManager
from apps.accounts.models import User
from apps.accounts.schemas import UserCreate
from apps.accounts.testing import PASSWORD, MakeUser
from project.core import AsyncSession, Runtime

pytestmark = pytest.mark.any_database

NEW = "a brand new one"


class Hooked(UserManager):
    """A project's own manager, with hooks."""

    def __init__(self, db: AsyncSession, runtime: Runtime) -> None:
        super().__init__(db, runtime)
        self.happened: list[Any] = []

    async def on_after_register(self, user: User, request: Request | None = None) -> None:
        self.happened.append(user.email)

    async def on_after_forgot_password(self, user: User, token: str, request: Request | None = None) -> None:
        self.happened.append(token)


@pytest.fixture
def manager(db: AsyncSession, runtime: Runtime) -> Hooked:
    return Hooked(db, runtime)


async def reset_token(manager: Hooked, user: User) -> str:
    await manager.forgot_password(user)
    token: str = manager.happened[-1]
    return token


async def test_a_sign_up_calls_the_hook(manager: Hooked) -> None:
    await manager.create(UserCreate.model_validate({"email": "ann@example.com", "password": PASSWORD}))
    assert manager.happened == ["ann@example.com"]


async def test_a_reset_token_sets_the_password_once(manager: Hooked, make_user: MakeUser) -> None:
    token = await reset_token(manager, await make_user())
    user = await manager.reset_password(token, NEW)
    assert HASHER.verify_and_update(NEW, user.hashed_password)[0]
    with pytest.raises(exceptions.InvalidResetPasswordToken):
        await manager.reset_password(token, "yet another one")


async def test_a_reset_token_dies_with_the_password_it_was_made_for(manager: Hooked, make_user: MakeUser) -> None:
    user = await make_user()
    token = await reset_token(manager, user)
    await manager.set_password(user, NEW)
    with pytest.raises(exceptions.InvalidResetPasswordToken):
        await manager.reset_password(token, "yet another one")


@pytest.mark.parametrize("token", ["", "x.y.z", "a" * 5000])
async def test_any_other_token_is_refused(manager: Hooked, token: str) -> None:
    with pytest.raises(exceptions.InvalidResetPasswordToken):
        await manager.reset_password(token, NEW)


async def test_a_verification_token_is_no_reset_token(manager: Hooked, make_user: MakeUser) -> None:
    user, made = await make_user(), []

    async def keep(user: User, token: str, request: Request | None = None) -> None:
        made.append(token)

    manager.on_after_request_verify = keep  # type: ignore[method-assign]
    await manager.request_verify(user)
    with pytest.raises(exceptions.InvalidResetPasswordToken):
        await manager.reset_password(made[0], NEW)
    assert (await manager.verify(made[0])).is_verified


async def test_inactive_people_get_no_reset(manager: Hooked, make_user: MakeUser) -> None:
    with pytest.raises(exceptions.UserInactive):
        await manager.forgot_password(await make_user(is_active=False))


async def test_an_update_checks_and_hashes_the_password(manager: Hooked, make_user: MakeUser) -> None:
    user = await make_user()
    changed = await manager.update(BaseUserUpdate(password=NEW), user, safe=True)
    assert HASHER.verify_and_update(NEW, changed.hashed_password)[0]
    with pytest.raises(InvalidPasswordException):
        await manager.update(BaseUserUpdate(password="ann@example.com"), user, safe=True)


async def test_no_flow_hashes_on_the_event_loop(
    manager: Hooked, make_user: MakeUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: set[str] = set()
    for name in ("hash", "verify_and_update"):
        real = getattr(manager.password_helper, name)

        def watched(*words: str, real: Any = real) -> Any:
            threads.add(threading.current_thread().name)
            return real(*words)

        monkeypatch.setattr(manager.password_helper, name, watched)
    user = await manager.create(UserCreate.model_validate({"email": "bob@example.com", "password": PASSWORD}))
    await manager.update(BaseUserUpdate(password=NEW), user, safe=True)
    await manager.reset_password(await reset_token(manager, user), "yet another one")
    assert threads
    assert all(name.startswith("hash") for name in threads)
