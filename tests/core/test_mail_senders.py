"""Where mail goes: a mail server that refuses, hangs or offers no TLS, files, the console."""

import asyncio
import logging
import ssl
import subprocess
from contextlib import suppress
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from time import monotonic
from uuid import UUID, uuid4

import pytest
from structlog.testing import capture_logs

from project.core.errors import Invalid, Unavailable
from project.core.mail import Mailer, Message, senders
from project.core.testing.plugin import MakeSettings, Manage
from tests.core.mail_server import MailServer, mail_server

KEY = UUID(int=7)
TO = "ann@example.com"
LOGIN = "ann:se%2Fsame@"


class Far:
    """No host counts as this machine."""

    def __contains__(self, host: str) -> bool:
        return False


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server is this machine, and treated like any other."""
    monkeypatch.setattr(senders, "LOOPBACK", Far())


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """What a server needs to speak TLS as 127.0.0.1, believed by this process."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    words = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=here"
    more = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*words.split(), *more], check=True, capture_output=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


@pytest.fixture
def send(make_settings: MakeSettings) -> "Send":
    """Send one mail by a server."""
    return Send(make_settings)


class Send:
    """Sends one mail by a server, with what stands before its host in MAIL_URL."""

    def __init__(self, make_settings: MakeSettings) -> None:
        self.make_settings = make_settings

    async def __call__(self, server: MailServer, login: str = "", scheme: str = "smtp") -> None:
        url = f"{scheme}://{login}127.0.0.1:{server.port}"
        mailer = Mailer(self.make_settings(MAIL_URL=url), [], str)
        await mailer.send(Message(TO, "Hi", "Hi\n", "<p>Hi</p>\n", KEY))


async def test_a_mail_server_gets_the_mail(send: Send) -> None:
    async with mail_server() as server:
        await send(server, LOGIN)
    mail = message_from_bytes(server.mails[0], policy=policy.default)
    assert (mail["To"], mail["Subject"]) == (TO, "Hi")
    assert server.heard == ["EHLO", "AUTH", "MAIL", "RCPT", "DATA", "QUIT"]


async def test_it_is_encrypted_where_that_is_offered(far: None, tls: ssl.SSLContext, send: Send) -> None:
    async with mail_server(tls) as server:
        await send(server, LOGIN)
    assert server.heard == ["EHLO", "STARTTLS", *server.encrypted]
    assert server.encrypted == ["EHLO", "AUTH", "MAIL", "RCPT", "DATA", "QUIT"]


async def test_no_password_leaves_without_tls(far: None, send: Send) -> None:
    async with mail_server() as server:
        with pytest.raises(Unavailable, match="offers no TLS"):
            await send(server, LOGIN)
        await send(server)
    assert "AUTH" not in server.heard
    assert len(server.mails) == 1


async def test_a_server_that_cannot_prove_its_name_gets_nothing(
    far: None, tls: ssl.SSLContext, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    async with mail_server(tls) as server:
        with pytest.raises(Unavailable, match="certificate"):
            await send(server, LOGIN)
    assert server.heard == ["EHLO", "STARTTLS"]


@pytest.mark.parametrize(
    ("answers", "refusal", "words"),
    [
        ({"RCPT": "550 5.1.1 no such\tuser"}, Invalid, "refuses this mail: 550 5.1.1 no such user"),
        ({"RCPT": "550 Empf\xe4nger\x1b[2J"}, Invalid, "550 Empf nger [2J"),
        ({"RCPT": "451 4.7.1 come back later"}, Unavailable, "451 4.7.1 come back later"),
        ({"DATA": "554 spam"}, Invalid, "554 spam"),
        ({"BODY": "552 too big"}, Invalid, "552 too big"),
        ({"BODY": "452 disk full"}, Unavailable, "452 disk full"),
        ({"MAIL": "550 who are you"}, Unavailable, "550 who are you"),
        ({"": "554 go away"}, Unavailable, "554 go away"),
        ({"AUTH": "454 not now"}, Unavailable, "454"),
        ({"EHLO": "nonsense"}, Unavailable, "nonsense"),
    ],
)
async def test_what_is_refused_for_good_is_told_apart_from_what_may_work_later(
    send: Send, answers: dict[str, str], refusal: type[Exception], words: str
) -> None:
    async with mail_server(None, **answers) as server:
        with pytest.raises(refusal) as refused:
            await send(server, LOGIN)
    assert type(refused.value) is refusal
    assert words in str(refused.value)


@pytest.mark.parametrize("where", ["", "EHLO", "AUTH", "RCPT", "DATA"])
async def test_a_server_that_hangs_is_given_up_in_time(send: Send, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(senders, "SECONDS", 0.2)
    began = monotonic()
    async with mail_server(None, **{where: None}) as server:
        with pytest.raises(Unavailable, match="does not answer in time"):
            await send(server, LOGIN)
    assert monotonic() - began < 2


async def test_a_server_that_has_the_mail_does_not_get_it_again(send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    """It hangs at the good-bye, or says something rude: the mail is sent all the same."""
    monkeypatch.setattr(senders, "SECONDS", 0.2)
    for answer in (None, "500 what?"):
        async with mail_server(QUIT=answer) as server:
            await send(server)
        assert len(server.mails) == 1


async def test_an_outage_is_no_reason_to_give_up(send: Send) -> None:
    async with mail_server() as server:
        pass
    with pytest.raises(Unavailable, match="cannot be used"):
        await send(server)


async def test_the_password_is_told_to_nobody(
    send: Send, make_settings: MakeSettings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    told = []
    async with mail_server() as server:
        with pytest.raises(Unavailable) as refused:
            await send(server, "ann:sesame@")
    error: BaseException | None = refused.value
    while error is not None:
        told.append(repr(error))
        error = error.__cause__
    assert "(535)" in told[0]
    mailer = Mailer(make_settings(MAIL_URL="smtp://ann:sesame@mail.example.com"), [], str)
    told += [repr(mailer.sender), str(mailer.sender), caplog.text, repr(make_settings(MAIL_URL="smtp://a:sesame@b"))]
    assert "sesame" not in "".join(told)
    assert "YW5u" not in "".join(told)  # the same in base64


async def test_a_file_holds_the_mail_for_its_owner_alone(make_settings: MakeSettings, tmp_path: Path) -> None:
    mailer = Mailer(make_settings(MAIL_URL="file:", DATA_DIR=tmp_path), [], str)
    for key in (uuid4(), KEY):
        await mailer.send(Message(TO, "Hi", "Hi\n", "<p>Hi</p>\n", key))
    files = sorted((tmp_path / "mail").iterdir())
    assert [path.suffix for path in files] == [".eml"] * 2
    assert files[1].stem.endswith(f"-{KEY}")
    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "mail", files[0])] == [0o700, 0o600]
    assert message_from_bytes(files[0].read_bytes(), policy=policy.default)["To"] == TO


@pytest.mark.parametrize(("url", "folder"), [("file:letters", "data/letters"), ("file:{}/a%20b", "a b")])
async def test_a_file_url_may_name_a_folder(make_settings: MakeSettings, tmp_path: Path, url: str, folder: str) -> None:
    settings = make_settings(MAIL_URL=url.format(tmp_path), DATA_DIR=tmp_path / "data")
    assert str(senders.sender_from(settings)) == str(tmp_path / folder)


async def test_a_half_written_file_is_never_seen(
    make_settings: MakeSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, target: Path) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    sender = senders.Files(tmp_path / "mail")
    with suppress(OSError):
        await sender.send(EmailMessage())
    assert list((tmp_path / "mail").iterdir()) == []


async def test_in_development_mail_is_kept_and_the_log_says_where_without_its_link(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    mailer = Mailer(make_settings(DEBUG=True, DATA_DIR=tmp_path), [], str)
    with capture_logs() as lines:
        await mailer.send(Message(TO, "Hi", "https://example.com/sesame\n", "<p>Hi</p>\n", KEY))
    (path,) = (tmp_path / "mail").iterdir()
    assert [line["read"] for line in lines] == [f"http://127.0.0.1:8000/_dev/mail/{path.stem}"]
    assert "sesame" not in str(lines)


async def test_the_console_shows_who_and_what(make_settings: MakeSettings, capsys: pytest.CaptureFixture[str]) -> None:
    await Mailer(make_settings(MAIL_URL="console:"), [], str).send(Message(TO, "Grüße", "Hallo Ännchen\n", "", KEY))
    assert capsys.readouterr().out == f"To: {TO}\nSubject: Grüße\n\nHallo Ännchen\n\n"


async def test_the_loop_goes_on_while_a_file_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    going, real = asyncio.Event(), senders.Files._write
    loop = asyncio.get_running_loop()

    def slow(self: senders.Files, name: str, content: bytes) -> None:
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result(5)
        going.set()
        real(self, name, content)

    monkeypatch.setattr(senders.Files, "_write", slow)
    await senders.Files(tmp_path).send(EmailMessage())
    assert going.is_set()


def test_sendtestemail_says_where_it_went_or_what_the_server_said(manage: Manage, tmp_path: Path) -> None:
    good = manage("sendtestemail", TO, MAIL_URL=f"file:{tmp_path}/sent")
    assert (good.exit_code, good.output) == (0, f"A mail to {TO} went to {tmp_path}/sent.\n")
    (path,) = (tmp_path / "sent").iterdir()
    assert "Test mail from Uptempo" in path.read_text()
    bad = manage("sendtestemail", TO, MAIL_URL="smtp://ann:sesame@127.0.0.1:1")
    assert bad.exit_code == 1
    assert "127.0.0.1:1 cannot be used" in bad.output
    assert "sesame" not in bad.output
    nowhere = manage("sendtestemail", "ann@example.com, eve@example.com")
    assert (nowhere.exit_code, nowhere.output) == (1, "Error: That is not one e-mail address.\n")
    assert "set MAIL_URL" in manage("sendtestemail", TO).output
