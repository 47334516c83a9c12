"""A mail server in this process: it hears, answers as it is told to, and keeps what it gets."""

import asyncio
import ssl
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

GREETING = "220 here"


@dataclass
class MailServer:
    """What it says to a command in place of 250; None means that it says nothing, ever."""

    answers: dict[str, str | None] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None
    port: int = 0
    heard: list[str] = field(default_factory=list)
    encrypted: list[str] = field(default_factory=list)
    mails: list[bytes] = field(default_factory=list)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """What is said in one connection."""
        command = ""
        line = GREETING.encode()
        while line:
            answer = self.answers.get(command, self._usual(command, line.decode().strip()))
            if answer is None:
                break
            writer.write(answer.encode("latin-1") + b"\r\n")
            if command == "STARTTLS":
                assert self.tls
                await writer.start_tls(self.tls)
            if command == "DATA" and answer.startswith("354"):
                self.mails.append((await reader.readuntil(b"\r\n.\r\n"))[:-3])
                writer.write((self.answers.get("BODY") or "250 kept").encode() + b"\r\n")
            line = await reader.readline()
            command = line.decode().split()[0].upper() if line else "the end"
            self.heard += [command] if line else []
            self.encrypted += [command] if line and writer.get_extra_info("sslcontext") else []
        if line:
            await reader.read()  # silent until the other side goes

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, closed at its end."""
        with suppress(ConnectionError, ssl.SSLError):
            await self.talk(reader, writer)
        writer.close()
        with suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()

    def _usual(self, command: str, line: str) -> str:
        if command == "EHLO":
            return "\r\n".join(["250-here", *(["250-STARTTLS"] if self.tls else []), "250 AUTH PLAIN"])
        if command == "AUTH":
            good = b64decode(line.split()[2]) == b"\0ann\0se/same"
            return "235 welcome" if good else f"535 wrong, you said {line}"
        return {"": GREETING, "DATA": "354 go on", "STARTTLS": "220 go on"}.get(command, "250 ok")


@asynccontextmanager
async def mail_server(
    tls: ssl.SSLContext | None = None, port: int = 0, /, **answers: str | None
) -> AsyncIterator[MailServer]:
    """Run one on that port, or a free one."""
    server, visits = MailServer(answers, tls), set[asyncio.Task[None]]()

    def visit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visits.add(asyncio.create_task(server.serve(reader, writer)))

    listening = await asyncio.start_server(visit, "127.0.0.1", port)
    server.port = listening.sockets[0].getsockname()[1]
    yield server
    listening.close()
    await asyncio.gather(*visits)
