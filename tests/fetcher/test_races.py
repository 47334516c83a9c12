"""Many at the same moment: one effect for one key, and no more than the quotas allow."""

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest

from apps.accounts.testing import add_user, sign_in_as
from project.core.testing.jobs import Jobs
from project.core.testing.plugin import Databases, MakeSettings, NewClient, running

BATCHES = "/api/v1/fetcher/batches"
FETCH = "/api/v1/fetcher/fetch"
URLS = ["words", "more words", "no address"]


@pytest.fixture
async def crowd(
    backend: Databases, make_settings: MakeSettings, new_client: NewClient, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[httpx2.AsyncClient, Jobs]]:
    """Ann on a site of its own, where requests have transactions of their own; 7 URLs in a day, 2 batches at once."""
    monkeypatch.setenv("FETCHER_URLS_PER_DAY", "7")
    monkeypatch.setenv("FETCHER_MAX_BATCHES", "2")
    async with backend.copy() as url, running(make_settings(DATABASE_URL=url)) as app:
        client = new_client(app)
        await sign_in_as(client, app, await add_user(app))
        yield client, Jobs(app.state.runtime)


Crowd = tuple[httpx2.AsyncClient, Jobs]


async def test_ten_posts_with_one_key_make_one_batch(crowd: Crowd) -> None:
    client, jobs = crowd
    key = {"Idempotency-Key": "mine-1"}
    answers = await asyncio.gather(*(client.post(BATCHES, json={"urls": URLS}, headers=key) for _ in range(10)))
    batch = answers[0].json()
    assert {(each.status_code, each.headers["Location"], each.text) for each in answers} == {
        (201, f"{BATCHES}/{batch['id']}", answers[0].text)
    }
    assert (await client.get(BATCHES)).json()["total"] == 1
    await jobs.only("fetcher.run_batch")
    assert (await client.post(BATCHES, json={"urls": URLS[:1]}, headers=key)).status_code == 422


async def test_the_quota_of_a_day_is_kept_by_all_at_once(crowd: Crowd) -> None:
    client, _ = crowd
    answers = await asyncio.gather(*(client.post(BATCHES, json={"urls": URLS}) for _ in range(6)))
    assert sorted(each.status_code for each in answers) == [201] * 2 + [429] * 4
    for batch in (await client.get(BATCHES)).json()["items"]:
        await client.delete(f"{BATCHES}/{batch['id']}")
    refused = await client.post(BATCHES, json={"urls": URLS})
    assert (refused.status_code, "1 are left" in refused.json()["detail"]) == (429, True), "deleting gives nothing back"
    assert 0 < int(refused.headers["Retry-After"]) <= 86_400
    fetched = await asyncio.gather(*(client.get(FETCH, params={"urls": URLS[:1]}) for _ in range(3)))
    assert sorted(each.status_code for each in fetched) == [200, 429, 429]


async def test_one_deletes_and_the_others_find_nothing(crowd: Crowd) -> None:
    client, _ = crowd
    address = (await client.post(BATCHES, json={"urls": URLS})).headers["Location"]
    asked = [*(client.delete(address) for _ in range(4)), *(client.post(f"{address}/cancel") for _ in range(4))]
    codes = [each.status_code for each in await asyncio.gather(*asked)]
    assert sorted(codes[:4]) == [204, 404, 404, 404]
    assert set(codes[4:]) <= {200, 404}


async def test_one_tries_again_and_the_others_are_told_so(crowd: Crowd) -> None:
    client, jobs = crowd
    address = (await client.post(BATCHES, json={"urls": URLS})).headers["Location"]
    await jobs.run()
    answers = await asyncio.gather(*(client.post(f"{address}/retry") for _ in range(4)))
    assert sorted(each.status_code for each in answers) == [200, 409, 409, 409]
    await jobs.run()
    assert [(await client.get(address)).json()[name] for name in ("status", "done", "failed")] == ["done", 3, 3]


async def test_a_batch_that_is_tried_again_is_no_further_one(crowd: Crowd) -> None:
    client, _ = crowd
    stopped, _, third = [await client.post(BATCHES, json={"urls": URLS[:1]}) for _ in range(3)]
    assert third.status_code == 429
    await client.post(f"{stopped.headers['Location']}/cancel")
    assert (await client.post(f"{stopped.headers['Location']}/retry")).status_code == 200


async def test_only_so_many_batches_of_a_person_are_under_way(crowd: Crowd) -> None:
    client, jobs = crowd
    answers = await asyncio.gather(*(client.post(BATCHES, json={"urls": URLS[:1]}) for _ in range(5)))
    assert sorted(each.status_code for each in answers) == [201] * 2 + [429] * 3
    await jobs.run()
    assert (await client.post(BATCHES, json={"urls": URLS[:1]})).status_code == 201
