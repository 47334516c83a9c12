"""The engine: URLs and limits come in, results go out as they arrive. It knows no database and no site."""

import asyncio
import random
import re
import time
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from hashlib import sha256

from yarl import URL

from apps.fetcher.body import BadBody, charset_of, inflater, title_of
from apps.fetcher.outcomes import Failure, FetchError, Outcome
from project.core import get_logger

log = get_logger(__name__)
REDIRECTS = {301, 302, 303, 307, 308}
PASSING = {429, 502, 503, 504}  # refusals that may be over in a moment
HEAD = 65_536  # bytes in which a title is looked for
BACKOFF = 0.5  # seconds before the first repetition; doubled for each that follows
LONGEST_URL = 2048
AHEAD = 1000  # results that may wait while whoever asked for them is busy
HOST = re.compile(r"\w+://([^/?#]*)")  # good enough to take turns by
STRANGE = re.compile(r"[\x00-\x20\x7f\\]")


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one call may do: requests at once in all and to one host, seconds, decoded bytes, repetitions.

    `delay` is the least time between the beginnings of two requests to one host; with it they go one at a time.
    """

    concurrency: int = 100
    per_host: int = 10
    delay: float = 0
    url_seconds: float = 20
    batch_seconds: float = 3600
    max_bytes: int = 5_000_000
    redirects: int = 5
    retries: int = 2


@dataclass(slots=True)
class Fetched:
    """What became of a URL. With an error the rest is what was known by then."""

    url: str
    final_url: str = ""
    status_code: int | None = None
    error: Failure | None = None
    redirects: list[str] = field(default_factory=list)
    attempts: int = 0
    elapsed_ms: int = 0
    size: int = 0
    content_type: str = ""
    charset: str | None = None
    title: str = ""
    sha256: str = ""

    @property
    def message(self) -> str:
        """The error in words, or nothing."""
        return self.error.message if self.error else ""

    @property
    def outcome(self) -> Outcome:
        """Answered well, answered with a refusal, or not at all."""
        if self.error or self.status_code is None:
            return Outcome.FAILED
        return Outcome.REFUSED if self.status_code >= 400 else Outcome.OK


@dataclass(slots=True)
class Answer:
    """The head of an answer, and its body as it comes over the wire."""

    status: int
    headers: Mapping[str, str]
    chunks: AsyncIterator[bytes]


class Transport:
    """What requests go through; it hangs on the Runtime under this name, and tests hang their own there."""

    def turn(self, host: str) -> AbstractAsyncContextManager[None]:
        """Wait until this host may be asked by one more; whoever came first is let in first."""
        return nullcontext()

    def get(self, url: URL) -> AbstractAsyncContextManager[Answer]:
        """One GET, no redirect followed, nothing decoded. Raises FetchError when it may not be or does not work."""
        raise NotImplementedError


async def fetch_all(urls: Iterable[str], limits: Limits, transport: Transport) -> AsyncGenerator[Fetched, None]:
    """Fetch each URL once, and hand each result out when it is there; a failure is a result too.

    Use all of it, or close it (`contextlib.aclosing`): that stops what is under way.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + limits.batch_seconds
    waiting: dict[str, deque[str]] = defaultdict(deque)
    turns = asyncio.Queue[tuple[str, str]]()  # (host, url) whose turn it is: never more of a host than it may have
    found = asyncio.Queue[Fetched](AHEAD)
    distinct = list(dict.fromkeys(urls))
    for url in distinct:
        waiting[_host(url)].append(url)

    def next_of(host: str) -> None:
        if waiting[host]:
            turns.put_nowait((host, waiting[host].popleft()))

    async def work() -> None:
        while True:
            host, url = await turns.get()
            due = min(loop.time() + limits.delay, deadline)  # when time is up, the rest fails at once
            await found.put(await fetch(url, limits, transport, deadline))
            if limits.delay:
                loop.call_at(due, next_of, host)
            else:
                next_of(host)

    for _ in range(1 if limits.delay else limits.per_host):
        for host in waiting:
            next_of(host)
    workers = [asyncio.create_task(work()) for _ in range(min(limits.concurrency, len(distinct)))]
    try:
        for _ in distinct:
            yield await found.get()
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


async def fetch(url: str, limits: Limits, transport: Transport, deadline: float | None = None) -> Fetched:
    """Fetch one URL, again where that may help; `deadline` is on the loop's clock. Never raises for the URL's sake."""
    loop = asyncio.get_running_loop()
    fetched, began = Fetched(url), loop.time()
    try:
        async with asyncio.timeout_at(deadline), transport.turn(_host(url)):
            began = loop.time()  # the URL's own time: what others take of the turns is not part of it
            end = began + limits.url_seconds
            async with asyncio.timeout_at(end):
                pause = await _attempt(fetched, limits, transport)
                while pause is not None and loop.time() + pause < min(end, deadline or end):
                    await asyncio.sleep(pause)
                    pause = await _attempt(fetched, limits, transport)
    except TimeoutError:
        fetched.error = Failure.TIMEOUT
    except Exception:
        log.exception("fetcher.failed")
        fetched.error = Failure.FAILED
    fetched.elapsed_ms = round(1000 * (loop.time() - began))
    return fetched


def _host(url: str) -> str:
    found = HOST.match(url)
    return found[1].lower() if found else ""


async def _attempt(fetched: Fetched, limits: Limits, transport: Transport) -> float | None:
    """Try once; returns the seconds to wait when trying again may help. Only GET is sent, which is safe to repeat."""
    fetched.attempts += 1
    fetched.error, fetched.status_code, retry_after = None, None, 0.0
    fetched.redirects.clear()
    try:
        retry_after = await _follow(fetched, limits, transport)
    except FetchError as error:
        fetched.error = error.failure
    except BadBody:
        fetched.error = Failure.BAD_RESPONSE
    passing = fetched.status_code in PASSING if fetched.error is None else fetched.error is Failure.DISCONNECTED
    if not passing or fetched.attempts > limits.retries:
        return None
    backoff = BACKOFF * 2.0 ** (fetched.attempts - 1)
    return max(retry_after, backoff * random.uniform(0.5, 1))  # noqa: S311 - it keeps clients apart, no secret


async def _follow(fetched: Fetched, limits: Limits, transport: Transport) -> float:
    """Follow the redirects by hand, and read the answer at their end; returns its Retry-After in seconds."""
    url = _parsed(fetched.url)
    while True:
        fetched.final_url = str(url)
        async with transport.get(url) as answer:
            fetched.status_code = answer.status
            if answer.status < 200:  # nothing final, and no protocol that was asked for
                raise FetchError(Failure.BAD_RESPONSE)
            location = answer.headers.get("Location", "") if answer.status in REDIRECTS else ""
            if not location:
                await _read(fetched, answer, limits)
                return _seconds(answer.headers.get("Retry-After", "")) if answer.status in PASSING else 0.0
        if len(fetched.redirects) == limits.redirects:
            raise FetchError(Failure.TOO_MANY_REDIRECTS)
        fetched.redirects.append(fetched.final_url)
        url = _redirected(url, location)


async def _read(fetched: Fetched, answer: Answer, limits: Limits) -> None:
    """Read, inflate, count and hash the body; of its bytes only the head is kept."""
    kind = answer.headers.get("Content-Type", "")[:200].encode("ascii", "replace").decode()
    fetched.content_type = kind.partition(";")[0].strip().lower()
    inflate = inflater(answer.headers.get("Content-Encoding", ""))
    digest, head, received, fetched.size = sha256(), bytearray(), 0, 0
    async for chunk in answer.chunks:
        received += len(chunk)
        for number, piece in enumerate(inflate.feed(chunk)):
            fetched.size += len(piece)
            if max(fetched.size, received) > limits.max_bytes:
                raise FetchError(Failure.TOO_LARGE)
            digest.update(piece)
            head += piece[: HEAD - len(head)]
            if number:
                await asyncio.sleep(0)  # much may come out of few bytes: others have their turn meanwhile
    if received:
        inflate.end()
    fetched.sha256 = digest.hexdigest()
    if fetched.content_type.startswith("text/") or fetched.content_type == "application/xhtml+xml":
        fetched.charset = charset_of(kind, bytes(head[:1024]))
        if "html" in fetched.content_type:
            fetched.title = title_of(bytes(head), fetched.charset)


def _parsed(text: str) -> URL:
    try:
        url = URL(text)
    except ValueError:
        raise FetchError(Failure.INVALID_URL) from None
    if not url.scheme or len(text) > LONGEST_URL or STRANGE.search(text):
        raise FetchError(Failure.INVALID_URL)
    return url


def _redirected(url: URL, location: str) -> URL:
    try:
        target = url.join(URL(location)).with_fragment(None)
    except ValueError:
        raise FetchError(Failure.BAD_REDIRECT) from None
    text = str(target)  # in ASCII, but for the zone of an IPv6 address: there it may be no text at all
    downgraded = url.scheme == "https" and target.scheme == "http"
    if downgraded or len(text) > LONGEST_URL or not text.isascii() or STRANGE.search(text):
        raise FetchError(Failure.BAD_REDIRECT)
    return target


def _seconds(retry_after: str) -> float:
    """A Retry-After header, which is seconds or a date."""
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after)
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (ValueError, OverflowError):
        return 0.0
