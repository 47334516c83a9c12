"""The inbox of development at /_dev/mail: what was sent, shown without letting it do anything."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import httpx2
import pytest
from fastapi import FastAPI

from project.core.mail import Message
from project.core.mail.senders import Memory
from project.core.testing.plugin import MakeSettings, NewClient, running


@pytest.fixture
async def site(make_settings: MakeSettings, tmp_path: Path) -> AsyncIterator[FastAPI]:
    """The site in development; the inbox asks no database."""
    async with running(
        make_settings(DEBUG=True, DATA_DIR=tmp_path, DATABASE_URL=f"sqlite:///{tmp_path}/none.sqlite3")
    ) as app:
        yield app


@pytest.fixture
def inbox(site: FastAPI, new_client: NewClient) -> httpx2.AsyncClient:
    """A client on it."""
    return new_client(site)


async def send(site: FastAPI, subject: str, html: str = "<p>Hi</p>", text: str = "Hi") -> str:
    """Send a mail; returns where it is shown."""
    await site.state.runtime.mail.send(Message("ann@example.com", subject, text, html, uuid4()))
    newest = max(site.state.runtime.mail.sender.folder.iterdir())
    return f"/_dev/mail/{newest.stem}"


async def test_it_lists_the_newest_first_and_opens_one(site: FastAPI, inbox: httpx2.AsyncClient) -> None:
    assert "No mail yet" in (await inbox.get("/_dev/mail")).text
    for subject in ("First <b>", "Second"):
        path = await send(site, subject, text="Look: https://example.com/go?a=1&b=2\n<script>")
    listed = (await inbox.get("/_dev/mail")).text
    assert listed.index("Second") < listed.index("First &lt;b&gt;")
    assert f'href="{path}"' in listed
    shown = (await inbox.get(path)).text
    assert 'href="https://example.com/go?a=1&amp;b=2"' in shown
    assert "&lt;script&gt;" in shown
    assert "@localhost" in shown  # the Message-ID, among the headers


async def test_the_html_of_a_mail_stands_in_a_frame_without_an_origin(site: FastAPI, inbox: httpx2.AsyncClient) -> None:
    html = "<p style='color:red'>Hi</p><script>alert(1)</script><img src='https://example.com/spy.gif'>\n"
    path = await send(site, "Hi", html)
    page = await inbox.get(path)
    assert f'src="{path}/html"' in page.text
    assert 'sandbox="allow-popups allow-popups-to-escape-sandbox"' in page.text
    assert "alert(1)" not in page.text
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    alone = await inbox.get(f"{path}/html")
    assert alone.text == html
    policy = [each.strip() for each in alone.headers["content-security-policy"].split(";")]
    assert policy[0] == "default-src 'none'"
    assert "sandbox allow-popups allow-popups-to-escape-sandbox" in policy
    assert not [each for each in policy if "script" in each or "https:" in each]
    assert alone.headers["x-frame-options"] == "SAMEORIGIN"


@pytest.mark.parametrize(
    "name", ["..%2F..%2Fsecret", "..%2fsecret", "%2e%2e", ".hidden", "nothing", "a%00b", "x" * 300, "secret.eml"]
)
async def test_no_other_file_is_read(inbox: httpx2.AsyncClient, tmp_path: Path, name: str) -> None:
    (tmp_path / "mail").mkdir()
    for file in (tmp_path / "secret.eml", tmp_path / "mail" / ".hidden.eml"):
        file.write_text("Subject: sesame\n\nsesame")
    for path in (f"/_dev/mail/{name}", f"/_dev/mail/{name}/html"):
        answer = await inbox.get(path)
        assert (answer.status_code, "sesame" in answer.text) == (404, False)
    assert "sesame" not in (await inbox.get("/_dev/mail")).text


async def test_it_says_where_mail_goes_that_is_not_kept_here(site: FastAPI, inbox: httpx2.AsyncClient) -> None:
    path = await send(site, "Hi")
    site.state.runtime.mail.sender = Memory()
    assert "Mail is not kept here" in (await inbox.get("/_dev/mail")).text
    assert (await inbox.get(path)).status_code == 404


async def test_it_is_absent_in_production(client: httpx2.AsyncClient) -> None:
    for path in ("/_dev/mail", "/_dev/mail/x", "/_dev/mail/x/html"):
        assert (await client.get(path)).status_code == 404
