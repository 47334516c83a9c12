"""A mail: one template as HTML and as text, to one person, with nothing smuggled into its headers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi.routing import APIRoute
from starlette.routing import NoMatchFound

from project.core.asgi import create_app
from project.core.errors import ConfigurationError, Invalid, Unavailable
from project.core.mail import Mailer, Message
from project.core.runtime import Runtime
from project.core.testing.mailbox import Mailbox
from project.core.testing.plugin import MakeSettings

KEY = UUID(int=7)
WELCOME = """{% extends "core/mail/base.html" %}
{% block subject %}Welcome, {{ name }}{% endblock %}
{% block body %}
    {{ mail.paragraph(_("Hello ") ~ name ~ ", a sentence that is too long for one line of a mail in plain text.") }}
    {{ mail.button(_("Log in"), url("accounts:login")) }}
    {{ mail.small(_("Bye.")) }}
{% endblock %}
"""


def message(**changes: Any) -> Message:
    """A small one."""
    usual: dict[str, Any] = {"to": "ann@example.com", "subject": "Hi", "text": "Hi", "html": "<p>Hi", "key": KEY}
    return Message(**(usual | changes))


@pytest.fixture
def make_mailer(make_settings: MakeSettings, tmp_path: Path) -> Callable[..., Mailer]:
    """A mailer whose one app has the template mail/shop/welcome.html; names change settings."""

    def make(**values: object) -> Mailer:
        folder = tmp_path / "templates" / "mail" / "shop"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "welcome.html").write_text(WELCOME)
        mailer = Mailer(make_settings(**values), [tmp_path], lambda name: f"https://shop.example.com/{name}?a=1&b=2")
        mailer.sender = Mailbox()
        return mailer

    return make


@pytest.fixture
def mailer(make_mailer: Callable[..., Mailer]) -> Mailer:
    """The usual one."""
    return make_mailer(SITE_NAME="Bücher & Co", SITE_URL="https://shop.example.com")


def welcome(mailer: Mailer, name: str = "Ann") -> Message:
    """The mail of the template."""
    return mailer.render("mail/shop/welcome.html", "ann@example.com", {"name": name}, KEY)


def test_the_text_is_wrapped_and_the_link_has_a_line_of_its_own(mailer: Mailer) -> None:
    assert welcome(mailer).text.splitlines() == [
        "Hello Ann, a sentence that is too long for one line of a mail in plain",
        "text.",
        "",
        "Log in:",
        "https://shop.example.com/accounts:login?a=1&b=2",
        "",
        "Bye.",
        "",
        "Bücher & Co · shop.example.com",
    ]


def test_html_escapes_what_people_wrote_and_text_leaves_it_as_it_is(mailer: Mailer) -> None:
    mail = welcome(mailer, '<script>"&')
    assert "&lt;script&gt;&#34;&amp;" in mail.html
    assert "<script" not in mail.html
    assert "Bücher &amp; Co</a>" in mail.html
    assert 'href="https://shop.example.com/accounts:login?a=1&amp;b=2"' in mail.html
    assert 'Hello <script>"&,' in mail.text
    assert mail.subject == 'Welcome, <script>"&'


def test_a_template_of_the_site_takes_the_place_of_an_apps(
    mailer: Mailer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "site" / "templates" / "mail" / "shop" / "welcome.html"
    own.parent.mkdir(parents=True)
    own.write_text('{% extends "core/mail/base.html" %}{% block subject %}Ours{% endblock %}')
    monkeypatch.setattr("project.core.mail.mailer.ROOT", tmp_path / "site")
    assert welcome(mailer).subject == "Ours"


async def test_a_mail_sent_again_is_the_same_mail(mailer: Mailer) -> None:
    ids = [await mailer.send(welcome(mailer)) for _ in range(2)]
    assert ids == [f"<{KEY}@shop.example.com>"] * 2
    assert await mailer.send(message(key=uuid4())) not in ids


@pytest.mark.parametrize("line", ["", "x" * 2000])
async def test_both_bodies_arrive_as_they_were_written(mailer: Mailer, line: str) -> None:
    assert isinstance(mailer.sender, Mailbox)
    await mailer.send(message(subject="Grüße " * 30, text=f"ß\n.\n{line}\n", html=f"<p>ß{line}</p>\n"))
    wire = mailer.sender[0].as_bytes()
    assert wire.isascii()
    assert max(map(len, wire.splitlines())) < 998
    assert (mailer.sender.only().text, mailer.sender.only().html) == (f"ß\n.\n{line}\n", f"<p>ß{line}</p>\n")
    assert [part.get_content_type() for part in mailer.sender[0].iter_parts()] == ["text/plain", "text/html"]


@pytest.mark.parametrize(
    "bad", ["\r\nBcc: eve@example.com", "\nX: y", "\0", "\x1b[2J", "\x85", "\u2028", "\x7f", "\ud800"]
)
def test_nothing_is_smuggled_into_a_header(bad: str) -> None:
    for where in ({"subject": f"Hi{bad}there"}, {"to": f"ann@example.com{bad}"}, {"to": f"a{bad}nn@example.com"}):
        with pytest.raises(Invalid):
            message(**where)


@pytest.mark.parametrize(
    "word", ["=?utf-8?q?a=0D=0ABcc:_eve@example.com?=", "=?utf-8?b?YQ0KQmNjOiBldmVAZXhhbXBsZS5jb20=?="]
)
async def test_nor_by_encoded_words_which_the_standard_library_decodes(mailer: Mailer, word: str) -> None:
    with pytest.raises(Invalid, match="encoded words"):
        await mailer.send(message(subject=f"Welcome, {word}"))
    await mailer.send(message(subject="What =? does ?= mean?  (Two blanks)"))


@pytest.mark.parametrize(
    "to",
    [
        "",
        "ann",
        "ann@example.com,eve@example.com",
        "ann@example.com eve@example.com",
        "Ann <ann@example.com>",
        '"ann,eve"@example.com',
        "ann@example.com;eve@example.com",
        "=?utf-8?q?a=0D=0AX-Y=3A_z?=@example.com",
    ],
)
def test_a_mail_goes_to_one_address(to: str) -> None:
    with pytest.raises(Invalid):
        message(to=to)


async def test_an_address_in_other_letters_is_written_as_servers_read_it(mailer: Mailer) -> None:
    assert isinstance(mailer.sender, Mailbox)
    await mailer.send(message(to="ann@bücher.example.com"))
    assert mailer.sender.only().to == "ann@xn--bcher-kva.example.com"


@pytest.mark.parametrize(
    ("settings", "sender"),
    [
        ({"SITE_NAME": "Shop, Ltd", "SITE_URL": "https://shop.example.com"}, '"Shop, Ltd" <noreply@shop.example.com>'),
        ({"SITE_URL": "http://127.0.0.1:8000"}, "Uptempo <noreply@localhost>"),
        ({"SITE_URL": "https://bücher.example.com"}, "Uptempo <noreply@xn--bcher-kva.example.com>"),
        ({"MAIL_FROM": "Ann <ann@example.com>"}, "Ann <ann@example.com>"),
    ],
)
async def test_who_it_comes_from(make_mailer: Callable[..., Mailer], settings: dict[str, str], sender: str) -> None:
    mailer = make_mailer(**settings)
    assert isinstance(mailer.sender, Mailbox)
    await mailer.send(message())
    assert str(mailer.sender[0]["From"]) == sender


@pytest.mark.parametrize(
    "value",
    [
        "mail.example.com",
        "http://mail.example.com",
        "smtp://",
        "smtp:mail",
        "smtp://ann:se/same@mail.example.com",
        "smtp://ann:1/same@mail.example.com",
        "smtp://ann:same@mail.example.com:port",
        "smtp://mail.example.com?same",
        "file://folder",
    ],
)
def test_a_mail_url_that_cannot_be_read_is_refused_without_its_password(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    usual = make_settings()
    monkeypatch.setenv("SECRET_KEY", usual.keys[0])
    monkeypatch.setenv("MAIL_URL", value)
    with pytest.raises(ConfigurationError) as refused:
        type(usual).load()
    assert str(refused.value).startswith("MAIL_URL must be smtp://user:password@host:587")
    assert "same" not in str(refused.value)


def test_a_sender_that_is_no_address_is_refused(make_settings: MakeSettings) -> None:
    with pytest.raises(ValueError, match="MAIL_FROM"):
        make_settings(MAIL_FROM="somebody")


async def test_without_a_mail_server_sending_says_what_to_set(make_settings: MakeSettings) -> None:
    with pytest.raises(Unavailable, match="set MAIL_URL"):
        await Mailer(make_settings(), [], str).send(message())


def test_a_process_without_a_web_app_knows_the_addresses(make_settings: MakeSettings) -> None:
    runtime = Runtime(make_settings(SITE_URL="https://shop.example.com"))
    assert runtime.url("accounts:login") == "https://shop.example.com/accounts/login"
    assert runtime.url("home") == "https://shop.example.com/"
    assert runtime.url("get_user", user_id=KEY) == f"https://shop.example.com/api/v1/accounts/users/{KEY}"
    with pytest.raises(NoMatchFound):
        runtime.url("accounts:nowhere")


async def test_these_addresses_are_those_the_site_answers_at(make_settings: MakeSettings) -> None:
    runtime = Runtime(make_settings(SITE_URL="https://shop.example.com"))
    site = create_app(runtime.settings)
    routers = [router for app in runtime.registry.apps for router in (app.api, app.pages) if router]
    plain = [
        each.name for router in routers for each in router.routes if isinstance(each, APIRoute) and "{" not in each.path
    ]
    assert len(plain) > 5
    for name in plain:
        assert runtime.url(name) == f"https://shop.example.com{site.url_path_for(name)}"
