"""The terminal's commands. Importing this imports nothing else: a bare machine has only the standard library."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from project.core.management.cli import (
        CommandError as CommandError,
        Site as Site,
        command as command,
        main as main,
        progress as progress,
        say as say,
    )


def __getattr__(name: str) -> Any:
    if name not in ("CommandError", "Site", "command", "main", "progress", "say"):
        raise AttributeError(f"project.core.management has no name {name!r}")
    from project.core.management import cli

    return getattr(cli, name)
