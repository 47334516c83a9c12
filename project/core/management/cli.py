"""The terminal's commands: a lazy group, so that help and completion import nothing of the site.

A core command is a module of this folder with a click command of the same name; an app's commands come
from its plug.
"""

import asyncio
import functools
import inspect
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import IO, TYPE_CHECKING, Any

import click

from project.core import __version__
from project.core.management import catalogue

if TYPE_CHECKING:
    from project.core.conf import Settings
    from project.core.runtime import Runtime


class CommandError(click.ClickException):
    """A command cannot go on; one sentence says what to do. Exit code 1, or 2 for wrong usage."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        vars(self)["exit_code"] = code
        self._context = click.get_current_context(silent=True)  # it is gone when the sentence is shown

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the sentence; before it, with --traceback, how it came to this."""
        context = self._context
        if context and _site(context).traceback:
            traceback.print_exception(self)
        words = f"{click.style('Error:', fg='red')} {self.format_message()}"
        click.echo(words, file=file, err=True, color=context.color if context else None)


class Site:
    """What commands share: the settings and the runtime, made when the first command asks; and how they shall speak."""

    def __init__(self, load_settings: Callable[[], "Settings"]) -> None:
        self._load = load_settings
        self.verbosity = 1
        self.traceback = False

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
    with in_words():
        async with runtime:
            return await function(runtime, *args, **kwargs)


@contextmanager
def in_words() -> Iterator[None]:
    """Make a sentence of what a command may fail with: a refusal, or a database that is away or has no tables."""
    from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

    from project.core.db.session import lacks_table
    from project.core.errors import DomainError

    try:
        yield
    except BrokenPipeError:  # whoever reads what is printed has enough
        raise
    except DomainError as refusal:
        raise CommandError(refusal.message) from refusal
    except (DBAPIError, ConnectionError, TimeoutError) as error:
        if lacks_table(error):
            raise CommandError("The database has no tables yet: run `python3 manage.py migrate` first.") from error
        if isinstance(error, DBAPIError) and not isinstance(error, OperationalError | InterfaceError):
            raise
        if isinstance(error, TimeoutError):
            raise CommandError("The database did not answer in time: is it away, or does somebody hold it?") from error
        reason = f"The database cannot be reached ({type(error).__name__})"
        raise CommandError(f"{reason}: is it running, and is DATABASE_URL right?") from error


def say(text: str, level: int = 1, *, nl: bool = True) -> None:
    """Print what a command tells beside its answer; `level` is the least --verbosity that wants to hear it."""
    if _site(click.get_current_context()).verbosity >= level:
        click.echo(text, nl=nl)


def progress(length: int | None, label: str, *, shown: bool = True) -> Any:
    """A progress bar on standard error, where somebody watches: `with progress(9, "Loading") as bar: bar.update(1)`.

    None where nobody knows how much it will be.
    """
    watched = shown and sys.stderr.isatty() and _site(click.get_current_context()).verbosity > 0
    endless = count() if length is None else None
    return click.progressbar(endless, length, label, file=sys.stderr, hidden=not watched)


def _site(ctx: click.Context) -> Site:
    found = ctx.find_object(Site)
    if found is None:
        raise RuntimeError("commands run below manage.py's own group")
    return found


def _verbose(ctx: click.Context, _: click.Parameter, value: int | None) -> None:
    if value is not None:
        _site(ctx).verbosity = value
    if value == 3:
        logging.basicConfig(format="%(message)s")
        logging.getLogger("sqlalchemy.engine").setLevel(logging.INFO)


def _traced(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    _site(ctx).traceback |= value


def _coloured(ctx: click.Context, option: click.Parameter, value: bool) -> None:
    if value:
        ctx.color = ctx.find_root().color = option.name == "force_color"


SHARED = [
    click.Option(["--settings"], metavar="MODULE", help="Other settings, such as project.staging.", expose_value=False),
    click.Option(
        ["-v", "--verbosity"],
        type=click.IntRange(0, 3),
        callback=_verbose,
        help="0 is silent, 1 is usual, 3 shows each SQL statement.",
        expose_value=False,
    ),
    click.Option(
        ["--traceback"], is_flag=True, callback=_traced, help="Show where an error came from.", expose_value=False
    ),
    click.Option(["--no-color"], is_flag=True, callback=_coloured, help="As NO_COLOR does.", expose_value=False),
    click.Option(["--force-color"], is_flag=True, callback=_coloured, help="In a pipe, too.", expose_value=False),
]


def _with_shared(command: click.Command) -> click.Command:
    """The command, which also takes what every command takes; not one that hands its words on to another program."""
    taken = {name for each in command.params for name in each.opts}
    if not command.context_settings.get("ignore_unknown_options"):
        command.params += [each for each in SHARED if taken.isdisjoint(each.opts)]
        if command.epilog and command.epilog[0] != "\b":
            command.epilog = f"\b\n{command.epilog}"  # an example is copied as one line
    for inner in command.commands.values() if isinstance(command, click.Group) else ():
        _with_shared(inner)
    return command


def _chosen_settings(words: Sequence[str]) -> str | None:
    """What --settings names, wherever it stands: an app's command is found only after the settings are read."""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == "--":
            break
        if word == "--settings" or word.startswith("--settings="):
            return word.partition("=")[2] or following
    return None


class Manager(click.Group):
    """Finds a command by name without importing the others."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if chosen := _chosen_settings(args):
            os.environ["SETTINGS_MODULE"] = chosen
        return super().parse_args(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        name = catalogue.ALIASES.get(cmd_name, cmd_name)
        if name in catalogue.CORE:
            return _with_shared(catalogue.load_core(name))
        found = _site(ctx).runtime.registry.commands.get(name)
        return found and _with_shared(found)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        found = self.get_command(ctx, name)
        if found is None:
            from project.core.errors import nearest

            known = [*catalogue.CORE, *_site(ctx).runtime.registry.commands]
            raise CommandError(f"There is no command {name!r}.{nearest(name, known)} `manage.py help` lists all.", 2)
        return name, found, args[1:]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, rows in catalogue.listed(lambda: _site(ctx).runtime.registry.apps).items():
            with formatter.section(title):
                formatter.write_dl(rows)


@click.group(cls=Manager, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(version)s")
@click.pass_context
def manage(ctx: click.Context) -> None:
    """Run the site and look after it."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


_with_shared(manage)


def main(load_settings: Callable[[], "Settings"], argv: list[str]) -> None:
    """Run one command; ends the process with its exit code."""
    words = [*argv[1:2], "--help"] if argv[:1] == ["help"] else argv
    color = False if os.environ.get("NO_COLOR") else None
    manage.main(words, prog_name="manage.py", obj=Site(load_settings), color=color)
