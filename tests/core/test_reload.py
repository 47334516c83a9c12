"""Live reload: in development the browser hears of every change, and no open stream holds a restart up."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest

from project.core.closing import Closing
from project.core.testing.plugin import MakeSettings, NewClient, running
from project.core.web.dev import reload
from project.core.web.dev.reload import Watcher
from tests.core.conftest import SECONDS, Server, serving, until_it_answers

Events = AsyncIterator[tuple[str, dict[str, Any]]]


@asynccontextmanager
async def following(client: httpx2.AsyncClient) -> AsyncIterator[Events]:
    """The events of /_dev/reload as (kind, data); they end when the server ends the stream properly."""
    async with client.stream("GET", "/_dev/reload") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")

        async def events() -> Events:
            kind = ""
            async for line in answer.aiter_lines():
                name, _, value = line.partition(": ")
                kind = value if name == "event" else kind
                if name == "data":
                    yield kind, json.loads(value)

        yield events()


async def test_an_edit_reaches_the_browser_and_a_restart_ends_its_stream_at_once(
    site_copy: Path, server: Server
) -> None:
    url, process = server
    async with httpx2.AsyncClient(base_url=url, timeout=SECONDS) as client:
        await until_it_answers(client)
        with anyio.fail_after(SECONDS):
            async with following(client) as events:
                kind, hello = await anext(events)
                assert kind == "hello"
                style = site_copy / "static" / "css" / "site.css"
                style.write_text(style.read_text() + "\n/* edited */\n")
                kind, data = await anext(events)
                assert (kind, data["styles"]) == ("style", ["css/site.css"])
                assert "/* edited */" in (await client.get("/static/css/site.css")).text
                page = site_copy / "templates" / "home.html"
                page.write_text(page.read_text().replace("{% block content %}", "{% block content %}<b>edited</b>"))
                assert (await anext(events))[0] == "reload"
                assert "<b>edited</b>" in (await client.get("/")).text
                code = site_copy / "project" / "pages.py"
                code.write_text(code.read_text() + "\n# edited\n")
                assert [event async for event in events] == []
            await until_it_answers(client)
            async with following(client) as events:
                assert (await anext(events))[1]["stamp"] != hello["stamp"]
                process.send_signal(signal.SIGTERM)
                assert [event async for event in events] == []
                await anyio.to_thread.run_sync(process.wait)
    assert "timeout graceful shutdown exceeded" not in (site_copy / "stderr").read_text()


@pytest.mark.parametrize("options", [[], ["--noreload"]])
async def test_ctrl_c_does_not_wait_for_an_open_stream(
    site_copy: Path, site_environment: dict[str, str], options: list[str]
) -> None:
    with serving(site_copy, site_environment | {"LIVE_RELOAD": "true"}, *options) as (url, process):
        async with httpx2.AsyncClient(base_url=url, timeout=SECONDS) as client:
            await until_it_answers(client)
            with anyio.fail_after(SECONDS):
                async with following(client) as events:
                    await anext(events)
                    os.killpg(process.pid, signal.SIGINT)
                    assert [event async for event in events] == []
                    assert await anyio.to_thread.run_sync(process.wait) == 0
    assert "timeout graceful shutdown exceeded" not in (site_copy / "stderr").read_text()


@pytest.mark.parametrize(
    ("debug", "asked", "there"), [(True, True, True), (True, None, False), (True, False, False), (False, True, False)]
)
async def test_live_reload_is_there_in_development_where_it_is_asked_for(
    make_settings: MakeSettings, new_client: NewClient, tmp_path: Path, debug: bool, asked: bool | None, there: bool
) -> None:
    url = f"sqlite:///{tmp_path}/db.sqlite3"
    async with running(make_settings(DEBUG=debug, LIVE_RELOAD=asked, DATABASE_URL=url)) as app:
        client = new_client(app)
        assert ("core/reload.js" in (await client.get("/accounts/login")).text) is there
        if not there:
            with anyio.fail_after(SECONDS):
                assert (await client.get("/_dev/reload")).status_code == 404
        assert not hasattr(app.state, "watcher")


async def test_one_watcher_serves_all_listeners_and_only_while_there_are_any(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running_watches: list[tuple[Path, ...]] = []
    changes: asyncio.Queue[set[tuple[int, str]]] = asyncio.Queue()
    ended = asyncio.Event()

    async def watch(*folders: Path, stop_event: asyncio.Event) -> AsyncIterator[set[tuple[int, str]]]:
        running_watches.append(folders)
        while not stop_event.is_set():
            getter, stopper = asyncio.ensure_future(changes.get()), asyncio.ensure_future(stop_event.wait())
            await asyncio.wait({getter, stopper}, return_when=asyncio.FIRST_COMPLETED)
            stopper.cancel()
            if getter.done():
                yield getter.result()
            getter.cancel()
        ended.set()

    monkeypatch.setattr(reload, "awatch", watch)
    watcher = Watcher([tmp_path, tmp_path / "missing"])
    for _ in range(2):
        ended.clear()
        async with watcher.listen() as first:
            async with watcher.listen() as second:
                changes.put_nowait({(1, "/a.css")})
                assert [await first.get(), await second.get()] == [{Path("/a.css")}] * 2
            changes.put_nowait({(1, "/b.css")})
            assert await first.get() == {Path("/b.css")}
            assert second.empty()
            assert not ended.is_set()
        with anyio.fail_after(SECONDS):
            await ended.wait()
    assert running_watches == [(tmp_path,)] * 2


async def test_listeners_that_come_at_once_share_one_watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watches: list[tuple[Path, ...]] = []

    async def watch(*folders: Path, stop_event: asyncio.Event) -> AsyncIterator[set[tuple[int, str]]]:
        watches.append(folders)
        yield {(1, "/a.css")}
        await stop_event.wait()

    monkeypatch.setattr(reload, "awatch", watch)
    watcher, here = Watcher([tmp_path]), asyncio.Barrier(5)

    async def listen() -> int:
        async with watcher.listen() as queue:
            await here.wait()
            return queue.qsize()

    with anyio.fail_after(SECONDS):
        heard = await asyncio.gather(*[listen() for _ in range(5)])
    assert (len(watches), max(heard)) == (1, 1)


async def test_the_stamp_tells_edits_that_nobody_watched(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("one")
    watcher = Watcher([tmp_path, tmp_path / "missing"])
    before = await watcher.stamp()
    assert await watcher.stamp() == before
    os.utime(tmp_path / "a.html", (2e9, 2e9))
    assert await watcher.stamp() != before


async def test_a_disk_that_cannot_be_watched_breaks_no_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def watch(*folders: Path, stop_event: asyncio.Event) -> AsyncIterator[set[tuple[int, str]]]:
        if folders:
            raise OSError("no more inotify watches")
        yield set()

    monkeypatch.setattr(reload, "awatch", watch)
    watcher = Watcher([tmp_path])
    async with watcher.listen() as queue:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert queue.empty()
    assert "no more inotify watches" in caplog.text


async def test_what_stays_open_ends_when_the_process_closes() -> None:
    closing, queue = Closing(), asyncio.Queue[int]()
    queue.put_nowait(7)
    assert await closing.unless(queue.get()) == 7
    waiting = asyncio.create_task(closing.unless(queue.get()))
    await asyncio.sleep(0)
    assert not waiting.done()
    closing.set()
    assert await waiting is None
    assert await closing.unless(queue.get()) is None
    with pytest.raises(ZeroDivisionError):
        await Closing().unless(failing())


async def failing() -> None:
    _ = 1 / 0
