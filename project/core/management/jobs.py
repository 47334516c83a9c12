"""Jobs from the terminal: look at them, try them again, cancel them, delete what has ended."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING
from uuid import UUID

import click

from project.core.management import command
from project.core.runtime import Runtime

if TYPE_CHECKING:
    from project.core.db.session import AsyncSession
    from project.core.jobs import Job

STATES = click.Choice(["queued", "running", "done", "dead", "cancelled"])
COLUMNS = ("id", "name", "state", "queue", "failed", "created", "took", "error")


@click.group(epilog="Example: manage.py jobs list --state dead")
def jobs() -> None:
    """See the jobs, try them again, cancel or delete them."""


@command("list")
@click.option("--state", type=STATES, help="Only those in this state.")
@click.option("--name", help='Only those of this name, such as "blog.publish".')
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many at most.")
async def list_jobs(runtime: Runtime, state: str | None, name: str | None, limit: int) -> None:
    """List the newest jobs."""
    from sqlmodel import col, select

    from project.core.jobs import Job, figures

    wanted = select(Job).order_by(col(Job.id).desc()).limit(limit)
    for column, value in ((col(Job.state), state), (col(Job.name), name)):
        wanted = wanted if value is None else wanted.where(column == value)
    async with runtime.unit_of_work(write=False) as db:
        found = (await db.exec(wanted)).all()
    if not found:
        click.echo("No jobs.")
        return
    rows: list[Sequence[str]] = [COLUMNS]
    for job in found:
        told = (job.id, job.name, job.state, job.queue, job.failures, f"{job.created_at:%Y-%m-%d %H:%M:%S}")
        rows.append((*map(str, told), figures.ran(job), " ".join(job.error.split())[:60]))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@command("show")
@click.argument("job_id", metavar="ID")
async def show(runtime: Runtime, job_id: str) -> None:
    """Show all of one job, secrets masked. ID may be the beginning of one."""
    from project.core.jobs import figures
    from project.core.jobs.queue import find
    from project.core.log import masked

    async with runtime.unit_of_work(write=False) as db:
        job = await find(db, await _id(db, job_id))
    first = {"id": job.id, "name": job.name, "state": job.state.value, "error": job.error}
    last = {
        "waited": figures.waited(job),
        "took": figures.ran(job),
        "arguments": figures.readable(job.arguments),
        "result": figures.readable(job.result),
    }
    told = first | job.model_dump(exclude={"key", *first, *last}) | last
    for name, value in masked("", told).items():
        text = "" if value is None else str(value)
        click.echo(f"{name:<14}" + text.replace("\n", f"\n{'':<14}") if text else name)


@command("retry")
@click.argument("job_ids", nargs=-1, metavar="[ID]...")
@click.option("--all-dead", is_flag=True, help="All dead letters.")
@click.option("--name", help="With --all-dead: only those of this name.")
async def retry(runtime: Runtime, job_ids: Sequence[str], all_dead: bool, name: str | None) -> None:
    """Let dead or cancelled jobs begin anew, with all their tries."""
    from sqlmodel import col, select

    from project.core.jobs import Job, State, retry

    if bool(job_ids) == all_dead or (name and not all_dead):
        raise click.UsageError("Give the ids of jobs, or --all-dead, which may have a --name.")
    if all_dead:
        dead = select(Job.id).where(Job.state == State.DEAD, *([col(Job.name) == name] if name else []))
        async with runtime.unit_of_work(write=False) as db:
            job_ids = [str(each) for each in (await db.exec(dead)).all()]
    await _each(runtime, job_ids, retry, "to be tried again")


@command("cancel")
@click.argument("job_ids", nargs=-1, required=True, metavar="ID...")
async def cancel(runtime: Runtime, job_ids: Sequence[str]) -> None:
    """Cancel jobs that wait or run."""
    from project.core.jobs import figures

    await _each(runtime, job_ids, figures.cancel, "cancelled")


@command("purge")
@click.option("--state", type=click.Choice(["done", "dead", "cancelled"]), required=True, help="What to delete.")
@click.option("--days", type=click.FloatRange(0), default=0, help="Only what ended at least so many days ago.")
@click.option("--noinput", is_flag=True, help="Do not ask first.")
async def purge(runtime: Runtime, state: str, days: float, noinput: bool) -> None:
    """Delete jobs that have ended."""
    import sqlalchemy as sa
    from sqlmodel import col, select

    from project.core.jobs import Job
    from project.core.jobs.table import db_now

    old = (col(Job.state) == state) & (col(Job.finished_at) <= db_now(-days * 86_400))
    if not noinput:
        async with runtime.unit_of_work(write=False) as db:
            count = (await db.exec(select(sa.func.count()).select_from(Job).where(old))).one()
        click.confirm(f"Delete {_counted(count, state)}?", abort=True)
    async with runtime.unit_of_work() as db:
        gone = (await db.exec(sa.delete(Job).where(old))).rowcount
    click.echo(f"{_counted(gone, state)} deleted.")


async def _each(
    runtime: Runtime, job_ids: Sequence[str], change: "Callable[[AsyncSession, UUID], Awaitable[Job]]", words: str
) -> None:
    """Change each in a transaction of its own; what is refused is said, and ends the command with 1."""
    from project.core.errors import DomainError

    refused = 0
    for given in job_ids:
        try:
            async with runtime.unit_of_work() as db:
                await change(db, await _id(db, given))
        except DomainError as refusal:
            refused += 1
            click.echo(f"{given}: {refusal.message}", err=True)
    click.echo(f"{_counted(len(job_ids) - refused)} {words}.")
    if refused:
        raise click.exceptions.Exit(1)


async def _id(db: "AsyncSession", given: str) -> UUID:
    """The id that begins so; raises NotFound when none does, Conflict when several do."""
    from sqlmodel import select

    from project.core.errors import Conflict, NotFound
    from project.core.jobs import Job, figures

    found: Sequence[UUID] = (await db.exec(select(Job.id).where(figures.begins(Job.id, given)).limit(2))).all()
    if not found:
        raise NotFound(f"There is no job whose id begins with {given!r}.")
    if len(found) > 1:
        raise Conflict(f"Several jobs have an id that begins with {given!r}: give more of it.")
    return found[0]


def _counted(count: int, kind: str = "") -> str:
    return f"{count} {kind} {'job' if count == 1 else 'jobs'}".replace("  ", " ")


for _command in (list_jobs, show, retry, cancel, purge):
    jobs.add_command(_command)
