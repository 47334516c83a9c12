"""The terminal's commands: a lazy group, so that help and completion import nothing of the site.

A core command is a module of this folder with a click command of the same name; an app's commands come
from its plug.
"""

import asyncio
import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from project.core.management import catalogue

if TYPE_CHECKING:
    from project.core.conf import Settings
    from project.core.runtime import Runtime


class CommandError(click.ClickException):
    """A command cannot go on; one sentence says what to do. Exit code 1, or 2 for wrong usage."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        vars(self)["exit_code"] = code


class Site:
    """What commands share: the settings and the runtime, made when the first command asks."""

    def __init__(self, load_settings: Callable[[], "Settings"]) -> None:
        self._load = load_settings

    @functools.cached_property
    def settings(self) -> "Settings":
        """The project's settings; raises ConfigurationError, which ends the process with advice."""
        return self._load()

    @functools.cached_property
    def runtime(self) -> "Runtime":
        """The runtime, not yet entered."""
        from project.core.runtime import Runtime

        return Runtime(self.settings)


def command(name: str | None = None, **attrs: Any) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a function a command of manage.py; click's options and arguments go below this line.

    The function's first parameter is the Runtime: entered for an async function, as built for a plain one.
    """

    def make(function: Callable[..., Any]) -> click.Command:
        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            runtime = click.get_current_context().find_object(Site).runtime  # type: ignore[union-attr]
            if inspect.iscoroutinefunction(function):
                return asyncio.run(_entered(runtime, function, *args, **kwargs))
            return function(runtime, *args, **kwargs)

        decorate: Callable[..., click.Command] = click.command(name, **attrs)
        return decorate(run)

    return make


async def _entered(runtime: "Runtime", function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

    from project.core.db.session import lacks_table
    from project.core.errors import DomainError

    try:
        async with runtime:
            return await function(runtime, *args, **kwargs)
    except DomainError as refusal:
        raise CommandError(refusal.message) from refusal
    except (DBAPIError, ConnectionError, TimeoutError) as error:
        if lacks_table(error):
            raise CommandError("The database has no tables yet: run `python3 manage.py migrate` first.") from error
        if isinstance(error, DBAPIError) and not isinstance(error, OperationalError | InterfaceError):
            raise
        reason = f"The database cannot be reached ({type(error).__name__})"
        raise CommandError(f"{reason}: is it running, and is DATABASE_URL right?") from error


class Manager(click.Group):
    """Finds a command by name without importing the others."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in catalogue.CORE:
            return catalogue.load_core(cmd_name)
        site: Site = ctx.obj
        return site.runtime.registry.commands.get(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        found = self.get_command(ctx, name)
        if found is None:
            from project.core.errors import nearest

            site: Site = ctx.obj
            known = [*catalogue.CORE, *site.runtime.registry.commands]
            raise CommandError(f"There is no command {name!r}.{nearest(name, known)} `manage.py help` lists all.", 2)
        return name, found, args[1:]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        site: Site = ctx.obj
        for title, rows in catalogue.listed(lambda: site.runtime.registry.apps).items():
            with formatter.section(title):
                formatter.write_dl(rows)


@click.group(cls=Manager, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.pass_context
def manage(ctx: click.Context) -> None:
    """Run the site and look after it."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main(load_settings: Callable[[], "Settings"], argv: list[str]) -> None:
    """Run one command; ends the process with its exit code."""
    words = [*argv[1:2], "--help"] if argv[:1] == ["help"] else argv
    manage.main(words, prog_name="manage.py", obj=Site(load_settings))
