"""Where a log-in or a sign-up leads: where the person wanted to go, and never off this site."""

from urllib.parse import quote, urljoin, urlsplit

import httpx2
import pytest
from fastapi import FastAPI

from apps.accounts.testing import PASSWORD, MakeUser, SignIn, links_for
from project.core import AsyncSession
from project.core.testing.pages import Page
from project.core.testing.plugin import NewClient
from project.core.web.redirects import safe_next

pytestmark = pytest.mark.any_database

ANN = {"email": "ann@example.com", "password": PASSWORD}
SITE = "http://127.0.0.1:8000"
OFF = [
    *("//evil.example", "///evil.example", "////evil.example", "/\\evil.example", "\\\\evil.example"),
    *("\\/evil.example", "https://evil.example", "https:evil.example", "https:/evil.example"),
    *("http:///evil.example", "HTTPS://EVIL.EXAMPLE", "javascript:alert(1)", "JaVaScRiPt:alert(1)"),
    *("java\nscript:alert(1)", "data:text/html,x", "vbscript:x", "blob:x", "//user@evil.example"),
    *("//127.0.0.1:8000@evil.example", "http://127.0.0.1:8000@evil.example/", "//evil.example:80"),
    *("\t//evil.example", "/\t/evil.example", "%09//evil.example", "/\n/evil.example", "/\r/evil.example"),
    *(" //evil.example", "/x\r\nLocation: https://evil.example", "/x\r\nSet-Cookie: a=b", "/\x00/evil.example"),
    *("/\x0b/evil.example", "\ufeff//evil.example", "/\u2028/evil.example", "/\u3000/evil.example"),
    *("//evil\u3002example", "\uff0f\uff0fevil.example", "/.//evil.example", "/..//evil.example"),
    *("/./\\evil.example", "/a/..//evil.example", "//[::1", "//[::1]/", "@evil.example", "evil.example"),
    *("?next=//evil.example", "#//evil.example", "ftp://evil.example", "//%65vil.example", ".evil.example"),
]


def stays(location: str) -> bool:
    """Whether a browser that is told so on this site is still on it: it joins, and takes a backslash for a slash."""
    seen = "".join(char for char in location if char not in "\t\r\n").strip().replace("\\", "/")
    place = urlsplit(urljoin(f"{SITE}/accounts/login", seen))
    return f"{place.scheme}://{place.netloc}" == SITE


@pytest.mark.parametrize("off", [*OFF[:6], *OFF[27:29]], ids=ascii)
async def test_no_log_in_and_no_sign_up_leads_off_the_site(
    new_client: NewClient, app: FastAPI, make_user: MakeUser, off: str
) -> None:
    await make_user()
    for data, page in ((ANN, "login"), (ANN | {"email": "bob@example.com"}, "signup")):
        answer = await new_client(app).post(f"/accounts/{page}", data=data | {"next": off})
        assert answer.status_code == 303
        assert stays(answer.headers["location"]), answer.headers["location"]
        assert not {"a", "Set-Cookie: a"} & set(answer.cookies)
    htmx = await new_client(app).post("/accounts/login", data=ANN | {"next": off}, headers={"HX-Request": "true"})
    assert stays(htmx.headers["hx-redirect"])


async def test_no_spelling_of_another_site_is_followed(
    client: httpx2.AsyncClient, new_client: NewClient, app: FastAPI, sign_in: SignIn
) -> None:
    tab = new_client(app)
    await sign_in(into=tab)
    for off in OFF:
        shown = await client.get("/accounts/login", params={"next": off})
        assert "evil" not in shown.text or stays(safe_next(off)), off
        assert stays(safe_next(off)), off
        for page in ("login", "signup"):
            for answer in (
                await tab.get(f"/accounts/{page}", params={"next": off}),
                await tab.get(f"/accounts/{page}?next={quote(off, safe='')}"),
            ):
                assert answer.status_code == 303
                assert stays(answer.headers["location"]), answer.headers["location"]


@pytest.mark.parametrize("here", ["/accounts/profile", "/a?b=c&d=//e", "/ü?q=ä", "/%2F%2Fe", "/x#top", "/a//b"])
async def test_a_sign_up_leads_where_one_wanted_to_go(client: httpx2.AsyncClient, here: str) -> None:
    answer = await client.post("/accounts/signup", data=ANN | {"next": here})
    assert answer.status_code == 303
    assert answer.headers["location"] == quote(here, safe="/%?&=#:@")
    assert stays(answer.headers["location"])


async def test_where_one_wanted_to_go_is_kept_from_page_to_page(either_page: Page) -> None:
    page = await either_page.open("/accounts/profile").click("Create an account")
    assert (page.heading, page.url) == ("Create your account", "/accounts/signup?next=%2Faccounts%2Fprofile")
    await page.fill("E-mail", ANN["email"]).fill("Password", "short").submit("Sign up")
    await page.fill("Password", PASSWORD).submit("Sign up")
    assert (page.url, page.messages) == ("/accounts/profile", ["Welcome! Your account is ready."])


async def test_it_is_kept_until_the_link_in_the_mail_has_opened_the_account(
    either_page: Page, confirming: None, app: FastAPI, client: httpx2.AsyncClient, db: AsyncSession
) -> None:
    from sqlmodel import select

    from apps.accounts.models import User

    page = await either_page.open("/accounts/signup?next=/accounts/password")
    await page.fill("E-mail", ANN["email"]).fill("Password", PASSWORD).submit("Sign up")
    assert page.url == "/accounts/mailbox"
    user = (await db.exec(select(User))).one()
    await page.open((await links_for(app, user))["/accounts/verify"])
    await page.fill("The password you chose when you signed up", PASSWORD).submit("Confirm")
    assert page.url == "/accounts/login"
    await page.fill("E-mail", ANN["email"]).fill("Password", PASSWORD).submit("Log in")
    assert page.url == "/accounts/password"
    await client.post("/accounts/logout")
    assert 'value="/accounts/password"' not in (await client.get("/accounts/login")).text


@pytest.mark.parametrize(
    "planted", ["//evil.example", "https%3A//evil.example", "%2F%2Fevil.example", "/%09/evil.example"]
)
async def test_a_planted_cookie_leads_nowhere(client: httpx2.AsyncClient, planted: str) -> None:
    shown = await client.get("/accounts/login", headers={"Cookie": f"next={planted}"})
    assert "evil.example" not in shown.text
