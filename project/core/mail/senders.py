"""Senders: where MAIL_URL says that mail goes. Each bounds its time, and none tells the password."""

import asyncio
import os
import re
import secrets
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP as WIRE
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from aiosmtplib import (
    SMTP,
    SMTPAuthenticationError,
    SMTPDataError,
    SMTPException,
    SMTPRecipientsRefused,
    SMTPResponseException,
)

from project.core.conf import Settings
from project.core.db.models import now
from project.core.errors import Invalid, Unavailable
from project.core.log import get_logger

log = get_logger(__name__)
LOOPBACK = {"localhost", "127.0.0.1", "::1"}
SECONDS, STEP = 30, 10  # for a whole mail, and for one answer of the server


class Sender(Protocol):
    """Sends one mail. `str(sender)` says where mail goes, for people."""

    async def send(self, mail: EmailMessage) -> None:
        """Hand the mail on; raises Unavailable to try again later, Invalid when it can never be delivered."""


def sender_from(settings: Settings) -> Sender:
    """The sender that MAIL_URL names."""
    parts = urlsplit(settings.MAIL_URL.get_secret_value())
    match parts.scheme or ("file" if settings.DEBUG else ""):
        case "smtp" | "smtps":
            user, password = unquote(parts.username or ""), unquote(parts.password or "")
            tls = parts.scheme == "smtps"
            port = parts.port or (465 if tls else 587 if user else 25)
            return Smtp(parts.hostname or "", port, tls, settings.mail_host, user, password)
        case "file":
            inbox = f"{settings.SITE_URL}/_dev/mail" if settings.DEBUG else ""
            return Files(settings.DATA_DIR / (unquote(parts.path) or "mail"), inbox)
        case "console":
            return Console()
        case "memory":
            return Memory()
    return Nowhere()


@dataclass(frozen=True)
class Smtp:
    """A mail server. What it refuses for good raises Invalid, everything else Unavailable; both with its words."""

    host: str
    port: int
    tls: bool
    local: str
    user: str = ""
    password: str = field(default="", repr=False)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    async def send(self, mail: EmailMessage) -> None:
        """Connect, encrypt where offered, log in, send: 30 seconds at most. No credentials without TLS."""
        near = self.host in LOOPBACK
        smtp = SMTP(
            hostname=self.host,
            port=self.port,
            local_hostname=self.local,
            timeout=STEP,
            use_tls=self.tls,
            start_tls=False if near else None,
        )
        try:
            with self._refusals():
                async with asyncio.timeout(SECONDS):
                    await smtp.connect()
                    if self.user:
                        if not near and smtp.get_transport_info("sslcontext") is None:
                            raise Unavailable(
                                f"{self} offers no TLS, so it gets no password: use smtps://, or its port."
                            )
                        await smtp.login(self.user, self.password)
                    await smtp.send_message(mail)
            with suppress(SMTPException):  # it has the mail: a server that says no good-bye must not get it again
                await smtp.quit(timeout=2)
        finally:
            smtp.close()

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except SMTPRecipientsRefused as refused:
            raise self._refusal(refused.recipients[0]) from None
        except SMTPDataError as refused:
            raise self._refusal(refused) from None
        except SMTPAuthenticationError as refused:  # without its words, which may repeat what it was sent
            raise Unavailable(f"{self} refuses the user or password of MAIL_URL ({refused.code}).") from None
        except SMTPResponseException as refused:
            raise Unavailable(f"{self} answers {refused.code} {_words(refused.message)}") from None
        except TimeoutError:
            raise Unavailable(f"{self} does not answer in time.") from None
        except (SMTPException, ssl.SSLError, OSError) as error:
            raise Unavailable(f"{self} cannot be used: {_words(str(error))}") from None

    def _refusal(self, refused: SMTPResponseException) -> Invalid | Unavailable:
        kind = Invalid if refused.code >= 500 else Unavailable
        return kind(f"{self} refuses this mail: {refused.code} {_words(refused.message)}")


def _words(text: str) -> str:
    return re.sub(r"[^ -~]+", " ", text)[:300]  # it goes to terminals and into rows, whatever its bytes were


@dataclass(frozen=True)
class Files:
    """One .eml per mail in a folder, the newest last by name; readable by its owner only."""

    folder: Path
    inbox: str = ""

    def __str__(self) -> str:
        return str(self.folder)

    async def send(self, mail: EmailMessage) -> None:
        """Write the file, whole or not at all; in development the log says where to read it."""
        key = str(mail["Message-ID"]).strip("<>").partition("@")[0]
        name = f"{now():%Y%m%dT%H%M%S%f}-{key}"
        await asyncio.to_thread(self._write, name, mail.as_bytes(policy=WIRE))
        if self.inbox:
            log.info("a mail was written", read=f"{self.inbox}/{name}")

    def _write(self, name: str, content: bytes) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = self.folder / f".{secrets.token_hex(8)}"
        try:
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(content)
            part.replace(self.folder / f"{name}.eml")
        finally:
            part.unlink(missing_ok=True)


class Console:
    """Standard output: who, what, and the text."""

    def __str__(self) -> str:
        return "the console"

    async def send(self, mail: EmailMessage) -> None:
        """Print it, off the event loop."""
        text = mail.get_body(("plain",))
        lines = [f"To: {mail['To']}", f"Subject: {mail['Subject']}", "", text.get_content() if text else ""]
        await asyncio.to_thread(sys.stdout.write, "\n".join(lines) + "\n")
        await asyncio.to_thread(sys.stdout.flush)


class Memory(list[EmailMessage]):
    """A list, for tests."""

    def __str__(self) -> str:
        return "memory"

    async def send(self, mail: EmailMessage) -> None:
        """Keep it."""
        self.append(mail)


class Nowhere:
    """No MAIL_URL: nothing can be sent."""

    def __str__(self) -> str:
        return "nowhere"

    async def send(self, mail: EmailMessage) -> None:
        """Refuse; raises Unavailable."""
        raise Unavailable("No mail can be sent: set MAIL_URL, such as smtp://user:password@host:587.")
