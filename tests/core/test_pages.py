"""Pages: whole or block, redirects with messages, and addresses that stay on this site."""

import httpx2
import pytest
from fastapi import FastAPI, Request, Response

from apps.accounts.testing import PASSWORD
from project.core import redirect
from project.core.web.flash import Flash, leave, waiting
from project.core.web.htmx import tell_htmx
from project.core.web.redirects import safe_next

pytestmark = pytest.mark.any_database

SIGN_UP = {"email": "ann@example.com", "password": PASSWORD}


@pytest.mark.parametrize(
    ("headers", "whole"),
    [
        ({}, True),
        ({"HX-Request": "true"}, False),
        ({"HX-Request": "true", "HX-Boosted": "true"}, True),
        ({"HX-Request": "true", "HX-History-Restore-Request": "true"}, True),
    ],
)
async def test_htmx_gets_the_block_and_everybody_else_the_page(
    probe: httpx2.AsyncClient, headers: dict[str, str], whole: bool
) -> None:
    answer = await probe.get("/probe/children", headers=headers)
    assert ("<html" in answer.text) is whole
    assert "<form" in answer.text
    assert "HX-Request" in answer.headers["vary"]


async def test_head_is_answered_like_get(client: httpx2.AsyncClient) -> None:
    assert (await client.head("/")).status_code == 200
    assert (await client.head("/accounts/logout")).status_code == 405


async def test_a_form_refused_by_the_handler_comes_back_with_the_error_at_its_field(
    probe: httpx2.AsyncClient,
) -> None:
    answer = await probe.post("/probe/children", data={"parent_id": "1", "note": "twin"})
    assert answer.status_code == 409
    assert 'value="twin"' in answer.text
    assert "There is one like this already." in answer.text


async def test_a_message_survives_the_redirect_and_is_shown_once(client: httpx2.AsyncClient) -> None:
    await client.post("/accounts/signup", data=SIGN_UP)
    assert "Welcome!" in (await client.get("/")).text
    assert "Welcome!" not in (await client.get("/")).text


async def test_two_messages_before_a_page_are_both_shown(probe: httpx2.AsyncClient) -> None:
    await probe.post("/probe/notes", data={"body": "hello"})
    await probe.post("/accounts/signup", data=SIGN_UP)
    page = (await probe.get("/")).text
    assert ("Noted." in page, "Welcome!" in page) == (True, True)


async def test_a_forged_message_is_not_shown(client: httpx2.AsyncClient) -> None:
    client.cookies.set("flash", "eyJhbGciOiJub25lIn0.eyJtZXNzYWdlcyI6W1siZXJyb3IiLCJldmlsIl1dfQ.")
    answer = await client.get("/")
    assert answer.status_code == 200
    assert "evil" not in answer.text


async def test_a_refusal_htmx_does_not_swap_in_reaches_it_as_words(probe: httpx2.AsyncClient) -> None:
    often = {"parent_id": "1", "note": "often"}
    page = await probe.post("/probe/children", data=often)
    told = await probe.post("/probe/children", data=often, headers={"HX-Request": "true"})
    assert (page.status_code, told.status_code, told.headers["retry-after"]) == (429, 429, "7")
    assert 'name="note"' in page.text
    assert 'id="trouble-message">Ten a minute are enough.' in told.text


async def test_a_message_arrives_beside_a_fragment(probe: httpx2.AsyncClient) -> None:
    answer = await probe.post("/probe/notes/fragment", data={"body": "hello"}, headers={"HX-Request": "true"})
    beside = answer.text.partition('<div id="flashes" hx-swap-oob=')[2]
    assert ("Noted &lt;here&gt;." in beside, "<html" in answer.text) == (True, False)
    whole = await probe.post("/probe/notes/fragment", data={"body": "hello"})
    assert ("Noted &lt;here&gt;." in whole.text, "hx-swap-oob" in whole.text) == (True, False)


async def test_a_message_left_for_the_next_page_waits_until_a_whole_page_shows_it(probe: httpx2.AsyncClient) -> None:
    await probe.post("/probe/notes", data={"body": "hello"})
    assert "Noted." not in (await probe.get("/probe/notes", headers={"HX-Request": "true"})).text
    boosted = await probe.get("/probe/notes", headers={"HX-Request": "true", "HX-Boosted": "true"})
    assert "Noted." in boosted.text
    assert "Noted." not in (await probe.get("/probe/notes")).text


async def test_a_boosted_form_is_led_on_like_a_plain_one(probe: httpx2.AsyncClient) -> None:
    boosted = {"HX-Request": "true", "HX-Boosted": "true"}
    answer = await probe.post("/probe/notes", data={"body": "hello"}, headers=boosted)
    assert (answer.status_code, answer.headers["location"]) == (303, "/probe/notes")
    assert "HX-Boosted" in answer.headers["vary"]


def test_htmx_is_told_what_to_do_besides() -> None:
    told = tell_htmx(Response(), push_url="/a", retarget="#list", reswap="none", trigger={"saved": {"id": 1}})
    assert {name: value for name, value in told.headers.items() if name.startswith("hx-")} == {
        "hx-push-url": "/a",
        "hx-retarget": "#list",
        "hx-reswap": "none",
        "hx-trigger": '{"saved": {"id": 1}}',
    }
    assert tell_htmx(Response(), refresh=True, trigger="saved").headers["hx-refresh"] == "true"


def test_htmx_is_told_nothing_that_a_header_cannot_hold() -> None:
    assert tell_htmx(Response(), push_url="/é").headers["hx-push-url"] == "/%C3%A9"
    for bad in ["#a\r\nSet-Cookie: x=1", "#é"]:
        with pytest.raises(ValueError, match="ASCII"):
            tell_htmx(Response(), retarget=bad)


def test_a_message_of_an_unknown_kind_is_refused_where_it_is_said() -> None:
    with pytest.raises(ValueError, match="'danger' is none of them"):
        redirect("/", flash="x", kind="danger")


async def test_messages_too_long_for_a_cookie_are_cut_and_the_oldest_dropped(app: FastAPI) -> None:
    request = Request({"type": "http", "app": app, "headers": []})
    for _ in range(3):
        response = Response()
        leave(request, response, Flash("info", "д" * 600))
        cookie = response.headers["set-cookie"].partition(";")[0]
        assert len(cookie) < 4000
        request = Request({"type": "http", "app": app, "headers": [(b"cookie", cookie.encode())]})
    assert waiting(request)[-1].text.startswith("д" * 100)


async def test_htmx_is_led_on_by_its_own_header(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/accounts/signup", data=SIGN_UP, headers={"HX-Request": "true"})
    assert (answer.status_code, answer.headers["hx-redirect"]) == (204, "/")


@pytest.mark.parametrize("good", ["/", "/a", "/a/b?c=d#e", "/%2F%2Fe"])
def test_a_path_on_this_site_is_followed(good: str) -> None:
    assert safe_next(good) == good


@pytest.mark.parametrize(
    "bad",
    [
        "",
        None,
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "https://evil.example",
        "https:evil.example",
        "http:///evil.example",
        "javascript:alert(1)",
        "data:text/html,x",
        "//user@evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        "/a\r\nSet-Cookie: x=1",
        " //evil.example",
        "evil.example",
        "/ /evil",
        "/\x00",
        "ftp://x",
        "//[::1",
        "/\u2028x",
    ],
)
def test_any_other_address_leads_home(bad: str | None) -> None:
    assert safe_next(bad) == "/"


async def test_an_address_with_letters_of_any_language_is_followed(client: httpx2.AsyncClient) -> None:
    await client.post("/accounts/signup", data=SIGN_UP)
    await client.post("/accounts/logout")
    sent = await client.get("/admin/user/details/%E4%B8%AD")
    page = await client.get(sent.headers["location"])
    assert 'value="/admin/user/details/' in page.text
    answer = await client.post("/accounts/login", data=SIGN_UP | {"next": "/中?q=é"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/%E4%B8%AD?q=%C3%A9")


async def test_stored_text_is_escaped(client: httpx2.AsyncClient) -> None:
    payload = "<img src=x onerror=alert(1)><b hx-get='/x'>"
    await client.post("/accounts/signup", data=SIGN_UP | {"name": payload})
    page = (await client.get("/accounts/profile")).text
    assert "<img src=x" not in page
    assert "<b hx-get" not in page


def test_a_redirect_by_path_stays_on_this_site() -> None:
    with pytest.raises(ValueError, match="another site"):
        redirect("//evil.example")
