"""A command comes in, typed with any Python; it goes on where its packages are, or ends with one sentence.

Only the standard library is used, and little of it before it is needed: every start of manage.py comes here.

    venv       the project's own .venv, by its stamp       packages   what an environment has and lacks
    build      making it from the hashed locks             installer  uv or pip, with progress and reasons
    assets     the browser's files                         dotenv     the development .env
    exclusive  two starts at once                          voice      calm lines and the one sentence
"""

import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

from project.core.management.environment.assets import assets_present, fetch_assets
from project.core.management.environment.packages import lacking, some_of
from project.core.management.environment.venv import BASE, DEV, Venv
from project.core.management.environment.voice import SetupStoppedError, say

__all__ = ["ROOT", "SetupStoppedError", "assets_present", "fetch_assets", "prepare", "stop_if_lacking"]
ROOT = Path(__file__).resolve().parents[4]

_TESTING = {"test", "ci"}
_SHOWING_PAGES = {"runserver"} | _TESTING
_MANAGING = {"migrate", "makemigrations", "createsuperuser", "changepassword", "check", "shell"}
_INTERACTIVE = _SHOWING_PAGES | _MANAGING  # a person typed them, on a machine to develop on

_MANAGE = "python manage.py" if os.name == "nt" else "python3 manage.py"
_USAGE = f"""\
Nothing is installed yet. The first command does that by itself, into .venv here (about 26 MB):

    {_MANAGE} runserver          the site, on http://127.0.0.1:8000
    {_MANAGE} createsuperuser    somebody for its admin
    {_MANAGE} test               all the tests (about 105 MB more)
    {_MANAGE} help               every command, once there is .venv
"""


def prepare(words: Sequence[str], root: Path = ROOT) -> None:
    """Return only where the command in `words` has its packages, and the files that a first run needs.

    On a bare clone that means to make `.venv` and to start over in it. MANAGE_NO_BOOTSTRAP=1 prevents it all.

    Raises:
        SystemExit: it cannot be done (one sentence says what to do), or on Windows: it was done, in a child.
    """
    if os.environ.get("MANAGE_NO_BOOTSTRAP", "0") not in ("", "0"):
        return
    command = next((word for word in words if not word.startswith("-")), "help")
    asks = command == "help" or not {"-h", "--help"}.isdisjoint(words)
    try:
        _settle(Venv(root), DEV if command in _TESTING and not asks else BASE, asks)
        if not asks:
            _furnish(command, root)
    except KeyboardInterrupt:
        say("\nStopped; the next start does it again.")
        sys.exit(130)
    except SetupStoppedError as stop:
        sys.exit(str(stop))
    except OSError as error:
        sys.exit(f"Nothing can be set up in the folder of the project: {error}.")


def stop_if_lacking(words: Sequence[str], root: Path = ROOT) -> None:
    """After a failed import: exit with one sentence if this Python lacks what pyproject.toml asks for."""
    lacks = lacking(root, sys.path, dev=not _TESTING.isdisjoint(words))
    own = Venv(root)
    if lacks and own.is_running() and not own.is_foreign():
        sys.exit(f"pyproject.toml wants {some_of(lacks)}, but the locks do not: type {_MANAGE} lock.")
    if lacks:
        sys.exit(_lacks(lacks))


def _settle(own: Venv, lock: str, asks: bool) -> None:
    """Return in a process that has the packages of `lock`, or start over in one that does."""
    inside = own.is_running() and not own.is_foreign()
    if own.holds(lock) or (asks and own.is_sound()):
        if not inside:
            own.enter()
        return
    if not inside:
        lacks = lacking(own.root, sys.path, dev=lock == DEV)
        if not lacks:
            return
        if _is_active(own):
            raise SetupStoppedError(_lacks(lacks))
    if own.is_foreign():
        _enter_foreign(own, lock)
    if asks:
        sys.stdout.write(_USAGE)
        sys.exit()
    from project.core.management.environment.build import build

    build(own, lock)
    own.enter()


def _enter_foreign(own: Venv, lock: str) -> NoReturn:
    lacks = lacking(own.root, own.import_path(), dev=lock == DEV)
    if not lacks:
        own.enter()
    pip = f"{own.python.relative_to(own.root)} -m pip"
    raise SetupStoppedError(
        f"The folder .venv, which somebody else made, lacks {some_of(lacks)}: "
        f'type {pip} install -e ".[dev]", or delete the folder and type the same command again.'
    )


def _is_active(own: Venv) -> bool:
    """Whether the person chose an environment, by activating it or by running its Python."""
    named = os.environ.get("VIRTUAL_ENV")
    elsewhere = named and Path(named).is_dir() and Path(named).resolve() != own.path.resolve()
    return sys.prefix != sys.base_prefix or bool(elsewhere)


def _lacks(names: list[str]) -> str:
    pip = "pip" if find_spec("pip") else "uv pip"
    return f'{sys.executable} lacks {some_of(names)}: type {pip} install -e ".[dev]" for this environment.'


def _furnish(command: str, root: Path) -> None:
    """Write the development `.env` and fetch the browser's files, if nobody has and this `command` may."""
    from project.core.management.environment import dotenv

    if command in _INTERACTIVE and dotenv.is_wanted(root) and dotenv.write(root):
        say("Wrote .env for development: DEBUG=true and a random SECRET_KEY.")
    if command in _SHOWING_PAGES and not assets_present(root):
        say("Fetching htmx for the pages (0.2 MB).")
        try:
            fetch_assets(root)
        except (SetupStoppedError, OSError) as stop:
            say(f"The pages will do without htmx until the next start, as it could not be fetched: {stop}")
