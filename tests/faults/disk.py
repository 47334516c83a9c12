"""The disk of the database full, on a small tmpfs: writes are refused, reads go on, and space alone heals it.

Run by hand: .venv/bin/python -m tests.faults.disk [scenario ...]. Linux only; PostgreSQL's part needs root. The script
starts itself again in a mount namespace of its own, so that nothing is left mounted.
"""

import asyncio
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGTERM

from tests.faults.cluster import STRAINED, cluster
from tests.faults.lab import Lab, lab
from tests.faults.ledger import getting, posting, visitors
from tests.faults.processes import Served
from tests.faults.report import Report, run

ENTRIES = "/api/v1/strained/entries"
SIZE = 20_000  # of one entry's rows, so that new pages are needed all the time
FULL_SECONDS, USUAL_SECONDS = 5.0, 2.0
SQLITE_MB, POSTGRESQL_MB = 16, 128
WRITERS, READERS = 10, 3
HERE = "c.relnamespace = 'public'::regnamespace"
HEAPS = f"SELECT v.* FROM pg_class c, LATERAL verify_heapam(c.oid) v WHERE c.relkind = 'r' AND {HERE}"
BTREES = f"pg_class c JOIN pg_am a ON a.oid = c.relam AND a.amname = 'btree' AND {HERE}"
INDEXES = f"SELECT bt_index_check(c.oid, true) FROM {BTREES}"


@contextmanager
def small_disk(megabytes: int) -> Iterator[Path]:
    """A folder on a disk of its own."""
    with tempfile.TemporaryDirectory(prefix="disk-") as folder:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=755", "none", folder], check=True)
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)


def fill(disk: Path) -> Path:
    """Take all the space that is left."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (65_536, 4096, 1):
            while True:
                try:
                    file.write(b"x" * size)
                except OSError:
                    break
    return filler


async def survive(report: Report, one: Lab, site: Served, disk: Path) -> None:
    """Writers and readers while the disk is filled, stays full, and has space again."""
    cookie, pids = await one.cookie(), site.workers
    async with (
        visitors(site.url, posting(ENTRIES, size=SIZE), cookie=cookie, count=WRITERS) as writers,
        visitors(site.url, getting(ENTRIES), cookie=cookie, count=READERS) as readers,
        visitors(site.url, getting("/accounts/sessions"), cookie=cookie, count=READERS) as pages,
    ):
        await asyncio.sleep(USUAL_SECONDS)
        filler = fill(disk)
        full = time.perf_counter()
        await asyncio.sleep(FULL_SECONDS)
        filler.unlink()
        free = time.perf_counter()
        await asyncio.sleep(USUAL_SECONDS + 5)
    report.note("answers to writers", writers.told)
    meanwhile = writers.between(full, free)
    report.fits("while it was full", "503, 507", meanwhile.told, holds=bool(meanwhile.only(503, 507)))
    report.equal("answers to writers other than 201, 503, 507", set(), set(writers.answers) - {201, 503, 507})
    report.equal("answers to readers", ({200}, {200}), (set(readers.answers), set(pages.answers)))
    report.at_most("first write after there is space", 5, writers.first_good(free))
    late = [each for each in writers.only(503, 507) if each.sent > free + 5]
    report.equal("refused later than 5 s after that", 0, len(late))
    report.equal("the same processes", (pids, True), (site.workers, site.alive))
    await one.until_ended(60)
    await one.demand_entries(report, writers)
    await one.demand_each_once(report, writers.accepted)


async def sqlite(report: Report) -> None:
    """SQLite on a full disk, one process that runs its jobs itself."""
    with small_disk(SQLITE_MB) as disk:
        async with lab("sqlite", redis=False, place=disk, INSTALLED_APPS=STRAINED) as one:
            site = await one.serve(count=1)
            await survive(report, one, site, disk)
            (path,) = [each for each in disk.glob("*.sqlite3") if each.name != "template.sqlite3"]
            with sqlite3.connect(path) as connection:
                report.equal("PRAGMA integrity_check", "ok", connection.execute("PRAGMA integrity_check").fetchone()[0])


async def postgresql(report: Report) -> None:
    """PostgreSQL whose data is on a full disk, and its log of changes (WAL) on another, as its manual advises."""
    if os.environ["LAB"] != "root":
        raise RuntimeError("run this one as root: PostgreSQL has to run as somebody else on the small disk")
    with small_disk(POSTGRESQL_MB) as disk, tempfile.TemporaryDirectory(prefix="wal-") as other:
        os.chmod(other, 0o777)  # noqa: PTH101, S103 - initdb makes its folder in it, as somebody else
        async with (
            cluster("--waldir", f"{other}/wal", "--wal-segsize", "4", place=disk) as server,
            lab("postgresql", redis=True, server=server.url, INSTALLED_APPS=STRAINED) as one,
        ):
            site, worker = await one.serve(), await one.worker()
            await survive(report, one, site, disk)
            report.equal("the worker still runs", True, worker.alive)
            site_url = one.env["DATABASE_URL"]
            await server.ask("CREATE EXTENSION amcheck", site_url)
            report.equal("broken rows (verify_heapam)", 0, len(await server.ask(HEAPS, site_url)))
            report.note("indexes that are whole (bt_index_check)", len(await server.ask(INDEXES, site_url)))


async def deaf(report: Report) -> None:
    """A log that cannot be written (/dev/full), while every request is logged: the site serves, and ends with 0."""
    async with lab("sqlite", redis=False, INSTALLED_APPS=STRAINED, LOG_LEVEL="INFO") as one:
        one.log = Path("/dev/full")
        site, cookie = await one.serve(count=1), await one.cookie()
        async with visitors(site.url, posting(ENTRIES), cookie=cookie) as visits:
            await asyncio.sleep(USUAL_SECONDS)
        report.equal("answers", {201}, set(visits.answers))
        report.note("p99", f"{visits.p99:.3f} s")
        report.equal("exit code", 0, await site.end(SIGTERM))


def main() -> None:
    """Outside: make a mount namespace and start again in it. Inside: fill disks."""
    if "LAB" not in os.environ:
        user = [] if os.geteuid() == 0 else ["-U", "-r"]
        words = ["unshare", *user, "-m", sys.executable, "-m", "tests.faults.disk", *sys.argv[1:]]
        kind = "user" if user else "root"
        raise SystemExit(subprocess.run(words, env=os.environ | {"LAB": kind}).returncode)
    run(sqlite, postgresql, deaf)


if __name__ == "__main__":
    main()
