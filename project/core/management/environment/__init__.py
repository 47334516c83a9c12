"""A command comes in, typed with any Python; it goes on where its packages are, or ends with one sentence.

Every start of manage.py comes here: only the standard library is used, and little of it before it is needed.
`venv` is the project's own .venv, `installer` is uv or pip, `assets` the browser's files, `dotenv` a first `.env`.
"""

import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from project.core.management.environment import dotenv
from project.core.management.environment.assets import assets_present, fetch_assets
from project.core.management.environment.installer import SetupStoppedError, say
from project.core.management.environment.venv import BASE, DEV, Venv, build, lacking

__all__ = ["ROOT", "SetupStoppedError", "assets_present", "fetch_assets", "prepare", "stop_if_lacking"]
ROOT = Path(__file__).resolve().parents[4]

_VALUED = {"--settings", "--verbosity", "-v"}  # the word after one of these is no command
_TESTING = {"test", "ci", "bench", "screenshots", "startapp"}  # and other work on the code
_SHOWING_PAGES = {"runserver"} | _TESTING
_INTERACTIVE = {"migrate", "makemigrations", "createsuperuser", "changepassword", "check", "shell"} | _SHOWING_PAGES
_USAGE = """\
Nothing is installed yet. The first command does that by itself, into .venv here (about 26 MB):

    python3 manage.py runserver          the site, on http://127.0.0.1:8000
    python3 manage.py createsuperuser    somebody for its admin
    python3 manage.py test               all the tests (about 105 MB more)
    python3 manage.py help               every command, once there is .venv
"""


def prepare(words: Sequence[str], root: Path = ROOT) -> None:
    """Return only where the command in `words` has its packages and files; SystemExit says in one sentence why not.

    On a bare clone that means to make `.venv` and to start over in it. MANAGE_NO_BOOTSTRAP=1 prevents it all.
    """
    if os.environ.get("MANAGE_NO_BOOTSTRAP", "0") not in ("", "0"):
        return
    pairs = zip(["", *words], words, strict=False)
    command = next((word for before, word in pairs if word[:1] != "-" and before not in _VALUED), "help")
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
    if lacks := lacking(root, dev=not _TESTING.isdisjoint(words)):
        unlocked = f".venv lacks {', '.join(lacks)}: type python3 manage.py lock if that is new, else delete .venv."
        sys.exit(unlocked if Venv(root).is_running() else _advice(lacks))


def _settle(own: Venv, lock: str, asks: bool) -> None:
    """Return in a process that has the packages of `lock`, or start over in one that does."""
    inside = own.is_running()
    if own.holds(lock) or (asks and own.held()[0]):
        if not inside:
            own.enter()
        return
    if not inside:
        lacks = lacking(own.root, dev=lock == DEV)
        if not lacks:
            return
        if _is_chosen(own):
            raise SetupStoppedError(_advice(lacks))
        if own.is_foreign():
            own.enter()
    if asks:
        sys.stdout.write(_USAGE)
        sys.exit()
    build(own, lock)
    own.enter()


def _is_chosen(own: Venv) -> bool:
    """Whether the environment we run in is somebody's own affair: active, in a foreign `.venv`, or on Windows."""
    active = Path(os.environ.get("VIRTUAL_ENV") or own.path).resolve()
    elsewhere = active.is_dir() and active != own.path.resolve()
    return elsewhere or sys.prefix != sys.base_prefix or Path(sys.executable) == own.python or os.name == "nt"


def _advice(lacks: list[str]) -> str:
    names = ", ".join(lacks[:3]) + ", …" * (len(lacks) > 3)
    pip = "pip" if find_spec("pip") else "uv pip"
    return f'{sys.executable} lacks {names}: type {pip} install -e ".[dev]" for this environment.'


def _furnish(command: str, root: Path) -> None:
    """Write the development `.env` and fetch the browser's files, if nobody has and this `command` may."""
    if command in _INTERACTIVE and dotenv.write(root):
        say("Wrote .env for development: DEBUG=true and a random SECRET_KEY.")
    if command in _SHOWING_PAGES and not assets_present(root):
        say("Fetching htmx for the pages (0.2 MB).")
        try:
            fetch_assets(root)
        except (SetupStoppedError, OSError) as stop:
            say(f"The pages will do without htmx until the next start, as it could not be fetched: {stop}")
