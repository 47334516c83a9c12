"""What the fetcher can do; every voice calls these."""

from collections.abc import Sequence

from apps.fetcher.client import Fetched, Limits, Transport, fetch_all


async def fetch_now(urls: Sequence[str], limits: Limits, transport: Transport) -> list[Fetched]:
    """Fetch while somebody waits: a result for each URL, in their order; equal ones are fetched once."""
    found = {each.url: each async for each in fetch_all(urls, limits, transport)}
    return [found[url] for url in urls]
