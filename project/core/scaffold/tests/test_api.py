"""Things over JSON."""

import httpx2

from apps.accounts.testing import MakeUser, SignIn
from project.core import AsyncSession
from project.core.scaffold.tests.walks import EXAMPLE, add_thing

URL = "/api/v1/scaffold/things"


async def test_a_thing_is_added_read_changed_and_deleted(client: httpx2.AsyncClient, sign_in: SignIn) -> None:
    await sign_in()
    added = await client.post(URL, json=EXAMPLE)
    assert added.status_code == 201
    assert added.json() | EXAMPLE == added.json()
    url = added.headers["location"]
    assert (await client.get(url)).json() == added.json()
    changed = await client.patch(url, json={"title": "Goodbye"})
    assert changed.json() | {"title": "Goodbye"} == changed.json()
    refused = await client.patch(url, json={"title": "x" * 100_000})
    assert (refused.status_code, [error["field"] for error in refused.json()["errors"]]) == (422, ["title"])
    assert (await client.delete(url)).status_code == 204
    assert (await client.get(url)).status_code == 404


async def test_things_are_found_sorted_and_paged(client: httpx2.AsyncClient, sign_in: SignIn, db: AsyncSession) -> None:
    ann = await sign_in()
    for title in ("Bread", "Apples", "Pears"):
        await add_thing(db, ann, title=title)

    async def titles(**query: str) -> list[str]:
        return [each["title"] for each in (await client.get(URL, params=query)).json()["items"]]

    assert await titles(sort="title") == ["Apples", "Bread", "Pears"]
    assert await titles(q="PEAR") == ["Pears"]
    part = (await client.get(URL, params={"sort": "-title", "limit": 2})).json()
    assert (part["total"], [each["title"] for each in part["items"]]) == (3, ["Pears", "Bread"])
    assert [each["title"] for each in (await client.get(part["next"])).json()["items"]] == ["Apples"]
    assert (await client.get(URL, params={"sort": "secret"})).status_code == 422


async def test_others_find_nothing(
    client: httpx2.AsyncClient, sign_in: SignIn, make_user: MakeUser, db: AsyncSession
) -> None:
    url = f"{URL}/{await add_thing(db, await make_user('bob@example.com'))}"
    assert (await client.get(URL)).status_code == 401
    await sign_in()
    assert (await client.get(URL)).json()["total"] == 0
    assert (await client.get(url)).status_code == 404
    assert (await client.patch(url, json={"title": "Mine"})).status_code == 404
    assert (await client.delete(url)).status_code == 404
