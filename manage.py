#!/usr/bin/env python3
"""The terminal's door: brings its own environment on a fresh machine, then runs the command you typed."""

import sys
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from project.settings import Settings


def settings() -> "Settings":
    from project.settings import Settings

    return Settings.load()


def manage(words: "list[str]") -> None:
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    from project.core.management import environment

    environment.prepare(words)
    try:
        from project.core.management import main

        main(settings, words)
    except ModuleNotFoundError:
        environment.stop_if_lacking(words)
        raise


if __name__ == "__main__":
    if sys.version_info < (3, 11):  # noqa: UP036 - an old Python must be able to read this file up to here
        sys.exit(f"This needs Python 3.11 or newer, not {sys.version.split()[0]}: try python3.13 manage.py.")
    manage(sys.argv[1:])
