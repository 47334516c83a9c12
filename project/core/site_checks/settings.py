"""What the settings say: nothing is opened, nothing is asked."""

from collections.abc import Iterator
from ipaddress import ip_network

from project.core.checks import Finding, check
from project.core.runtime import Runtime

TOKEN_LENGTH = 20  # characters; whoever guesses has to ask the site each time
WIDEST = {4: 8, 6: 32}  # bits that a network of proxies has in common at least

ALONE = Finding(
    "core.E004",
    "{count} web processes (WEB_CONCURRENCY) without Redis: events and limits of one do not reach the others.",
    "Set REDIS_URL=redis://… or run one process.",
)
DEBUG = Finding("core.E101", "DEBUG is on.", "Set DEBUG=false in production.")
PLAIN = Finding(
    "core.E102",
    "SITE_URL is not https, so cookies are sent in the clear.",
    "Set SITE_URL=https://your.host (TLS may end at a proxy).",
)
SQLITE_SHARED = Finding(
    "core.E103",
    "SQLite with {count} web processes (WEB_CONCURRENCY).",
    "Set DATABASE_URL=postgresql://… or run one process.",
)
SQLITE = Finding(
    "core.W104",
    "SQLite with one process: supported, on one machine with a local disk.",
    "Back the file up; to grow beyond one process set DATABASE_URL=postgresql://…",
)
ANY_PROXY = Finding(
    "core.E106",
    "TRUSTED_PROXIES holds {network}, so nearly anybody may choose the address they are limited by.",
    "Name the proxy's address or its own network.",
)
NO_MAIL = Finding(
    "core.E110",
    "MAIL_URL names no mail server, so mail reaches nobody.",
    "Set MAIL_URL=smtp://user:password@host:587, then try it: python3 manage.py sendtestemail you@your.host",
)
WEAK_TOKEN = Finding(
    "core.E111",
    "METRICS_TOKEN is easy to guess.",
    "Make one with: python3 -c 'import secrets; print(secrets.token_urlsafe(32))'",
)
PLAIN_ORIGIN = Finding(
    "core.E112",
    "TRUSTED_ORIGINS holds {origin}: whoever is between a reader and that page may post here in the reader's name.",
    "Name https origins only.",
)
PLAIN_STATIC = Finding(
    "core.E113",
    "STATIC_URL is not https, so browsers refuse the styles and scripts of an https site.",
    "Set STATIC_URL=https://… or leave it out.",
)
FORMER_KEY = Finding(
    "core.W114",
    "SECRET_KEY_FALLBACKS holds the present SECRET_KEY, so the key was not changed.",
    "Make a new SECRET_KEY, or take this one out of SECRET_KEY_FALLBACKS.",
)
CHATTY = Finding(
    "core.W115",
    "LOG_LEVEL is DEBUG: libraries then write what they send and receive into the log.",
    "Set LOG_LEVEL=INFO.",
)


@check(ALONE, tags=["deployment", "redis"])
def parts_in_one_process(runtime: Runtime) -> Iterator[Finding]:
    """What works inside one process only, wherever it runs."""
    settings = runtime.settings
    if settings.WEB_CONCURRENCY > 1 and not settings.REDIS_URL.get_secret_value():
        yield ALONE.of(count=settings.WEB_CONCURRENCY)


@check(
    *(DEBUG, PLAIN, SQLITE_SHARED, SQLITE, ANY_PROXY, NO_MAIL),
    *(WEAK_TOKEN, PLAIN_ORIGIN, PLAIN_STATIC, FORMER_KEY, CHATTY),
    tags=["security", "settings"],
    deploy=True,
)
def in_production(runtime: Runtime) -> Iterator[Finding]:
    """What has to be set differently where people reach the site."""
    settings = runtime.settings
    token, keys = settings.METRICS_TOKEN.get_secret_value(), settings.keys
    if settings.DEBUG:
        yield DEBUG
    if not settings.secure:
        yield PLAIN
    if runtime.database.is_sqlite:
        yield SQLITE_SHARED.of(count=settings.WEB_CONCURRENCY) if settings.WEB_CONCURRENCY > 1 else SQLITE
    yield from (ANY_PROXY.of(network=each) for each in settings.TRUSTED_PROXIES if _is_wide(each))
    if not settings.MAIL_URL.get_secret_value().startswith("smtp"):
        yield NO_MAIL
    if token and (len(token) < TOKEN_LENGTH or len(set(token)) < TOKEN_LENGTH / 2):
        yield WEAK_TOKEN
    yield from (PLAIN_ORIGIN.of(origin=each) for each in settings.TRUSTED_ORIGINS if not each.startswith("https://"))
    if settings.secure and settings.static_origin.startswith("http:"):
        yield PLAIN_STATIC
    if keys[0] in keys[1:]:
        yield FORMER_KEY
    if settings.LOG_LEVEL == "DEBUG":
        yield CHATTY


def _is_wide(proxies: str) -> bool:
    """Whether nearly every address is in this network."""
    try:
        network = ip_network(proxies, strict=False)
    except ValueError:
        return proxies == "*"
    return network.prefixlen < WIDEST[network.version]
