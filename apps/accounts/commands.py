"""Terminal commands: the first account for the admin, and a way back in."""

import os
import sys

import click
from fastapi_users import InvalidPasswordException
from fastapi_users.exceptions import UserAlreadyExists
from pydantic import ValidationError

from apps.accounts import notices, sessions
from apps.accounts.kinds import Kind
from apps.accounts.manager import UserManager
from apps.accounts.schemas import UserCreate, normalise_email
from project.core import Runtime, command
from project.core.management import CommandError
from project.core.management.runserver import make_first_tables
from project.core.web.validation import field_errors

TRIES = 3


@command(epilog="Example: manage.py createsuperuser --email you@example.com")
@click.option("--email", "--username", "email", help="Instead of asking.")
@click.option(
    "--noinput", "--no-input", is_flag=True, help="Ask nothing: SUPERUSER_EMAIL and SUPERUSER_PASSWORD say it all."
)
@click.option("--if-missing", is_flag=True, help="An existing account of that e-mail is fine and stays as it is.")
async def createsuperuser(runtime: Runtime, email: str | None, noinput: bool, if_missing: bool) -> None:
    """Create an account that may use the admin."""
    await make_first_tables(runtime.settings)
    email = email or os.environ.get("SUPERUSER_EMAIL") or ("" if noinput else click.prompt("E-mail"))
    if if_missing and await _exists(runtime, email):
        click.echo(f"{normalise_email(email)} exists already.")
        return
    data = _account(email, _password(noinput))
    async with runtime.unit_of_work() as db:
        manager = UserManager(db, runtime)
        try:
            user = await manager.create(data)
        except UserAlreadyExists:
            raise CommandError(
                f"There is an account {data.email} already; `manage.py changepassword` sets its password."
            ) from None
        except InvalidPasswordException as error:
            raise CommandError(str(error.reason)) from None
        await manager.user_db.update(user, {"is_staff": True, "is_superuser": True, "is_verified": True})
    click.echo(f"{data.email} may use the admin now.")


@command(epilog="Example: manage.py changepassword you@example.com")
@click.argument("email")
async def changepassword(runtime: Runtime, email: str) -> None:
    """Set an account's password, end its sessions, revoke its API tokens; its owner is told by mail."""
    if not await _exists(runtime, email):
        raise CommandError(f"There is no account {email!r}.")
    data = _account(email, _password(noinput=False))
    async with runtime.unit_of_work() as db:
        manager = UserManager(db, runtime)
        user = await manager.get_by_email(email)
        try:
            await manager.set_password(user, data.password.get_secret_value())
        except InvalidPasswordException as error:
            raise CommandError(str(error.reason)) from None
        await sessions.end_all(db, user.id)
        await notices.tell(db, user.id, Kind.PASSWORD_CHANGED, None, "at the terminal")
    click.echo(f"The password of {data.email} is changed; its sessions are ended.")


async def _exists(runtime: Runtime, email: str) -> bool:
    async with runtime.unit_of_work(write=False) as db:
        return await UserManager(db, runtime).user_db.get_by_email(email) is not None


def _password(noinput: bool) -> str:
    given = os.environ.get("SUPERUSER_PASSWORD")
    if given is not None:
        return given
    if noinput:
        raise CommandError("Set SUPERUSER_EMAIL and SUPERUSER_PASSWORD, or leave --noinput out.", 2)
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    for _ in range(TRIES):
        first = click.prompt("Password", hide_input=True)
        if first == click.prompt("Password again", hide_input=True):
            return str(first)
        click.echo("They differ; once more.")
    raise CommandError("The two passwords differed three times; nothing is changed.")


def _account(email: str, password: str) -> UserCreate:
    try:
        return UserCreate.model_validate({"email": email, "password": password})
    except ValidationError as error:
        lines = [f"{each.field}: {each.message}" for each in field_errors(error.errors(include_url=False))]
        raise CommandError(" ".join(lines)) from None
