"""One mailbox, one account: however it is spelt, whichever door it comes through, and however many come at once."""

import json
from typing import Any
from urllib.parse import quote, quote_from_bytes

import anyio
import httpx2
import pytest
from sqlmodel import select

from apps.accounts.models import User
from apps.accounts.schemas import normalise_email
from apps.accounts.testing import PASSWORD, MakeUser
from project.core import AsyncSession
from project.core.testing.jobs import Jobs
from project.core.testing.mailbox import Mailbox

pytestmark = pytest.mark.any_database

API = "/api/v1/accounts"
STORED = "zoë.k@bücher.example"
SAME = [
    *("zoë.k@bücher.example", "ZOË.K@BÜCHER.EXAMPLE", "Zoë.K@Bücher.Example", "zOë.k@bücher.eXAMPLE"),
    *("zoë.k@xn--bcher-kva.example", "zoë.k@XN--BCHER-KVA.EXAMPLE", "ZOË.k@xn--bcher-kva.Example"),
    *("zoe\u0308.k@bücher.example", "zoë.k@bu\u0308cher.example", "ZOE\u0308.K@BU\u0308CHER.example"),
    *("zoë.k@xn--BCHER-kva.example", "zoë.\u212a@bücher.example", "zoë.k@bücher.\u212f\u02e3ample"),
    *(" zoë.k@bücher.example", "zoë.k@bücher.example ", "\tzoë.k@bücher.example\n", "\u00a0zoë.k@bücher.example\u00a0"),
    *("\u3000zoë.k@bücher.example\u3000", "\u2003zoë.k@bücher.example", "zoë.k@bücher.example\u2028"),
    *(
        "ｚoë.k@bücher.example",
        "ｚｏë．ｋ＠ｂüｃｈｅｒ．ｅｘａｍｐｌｅ",
        "zoë.k＠bücher.example",
        "zoë．k@bücher.example",
    ),
    *("zoë.k@bücher。example", "zoë.k@bücher．example", "zoë.k@bücher｡example", "𝐳oë.k@bücher.example"),
    *("ⓩoë.k@bücher.example", "zⓞë.k@bücher.example", "𝕫𝕠ë.𝕜@bücher.example", "zoë.ᵏ@bücher.example"),
    *("zoë.k@bücher.exam\uff50le", "zoë.k@bücher.exampl\u1d49", "ZOË.Ｋ@Bücher.Example"),
]
ODD = [
    *("zo\xeb.k@b\xfccher.example.", "zo\xeb.k@b\xfccher..example", ".zo\xeb.k@b\xfccher.example"),
    *("zo\xeb..k@b\xfccher.example", "zo\xeb.k.@b\xfccher.example", '"zo\xeb.k"@b\xfccher.example'),
    *("zo\xeb.k@[127.0.0.1]", "zo\xeb.k(x)@b\xfccher.example", "(x)zo\xeb.k@b\xfccher.example"),
    *("<zo\xeb.k@b\xfccher.example>", "Zo\xeb <zo\xeb.k@b\xfccher.example>"),
    *("zo\xeb.k@b\xfccher.example,b@x.example", "zo\xeb.k@b\xfccher.example;b@x.example"),
    *("zo\xeb.k@b\xfccher.example b", "zo\xeb\u200b.k@b\xfccher.example", "zo\xeb.k\xad@b\xfccher.example"),
    *("\ufeffzo\xeb.k@b\xfccher.example", "zo\xeb.k@b\xfccher\u200d.example"),
    *("zo\xeb.k@b\xfccher.example\r\nBcc: b@x.example", "zo\xeb.k\x00@b\xfccher.example"),
    *("zo\xeb.k@@b\xfccher.example", "zo\xeb.k", "@b\xfccher.example", "\u202ezo\xeb.k@b\xfccher.example"),
    *("zo\xeb k@b\xfccher.example", "zo\xeb.k@b\xfccher .example", "\ud800zo\xeb.k@b\xfccher.example"),
    *("zo\xeb.k@\udfff.example"),
]


def test_the_spellings_are_many() -> None:
    assert len(set(SAME)) >= 32
    assert {normalise_email(each) for each in SAME} == {STORED}
    assert normalise_email(STORED) == STORED


@pytest.mark.parametrize("typed", SAME[::4], ids=ascii)
async def test_every_spelling_of_a_mailbox_is_the_one_account(
    client: httpx2.AsyncClient, make_user: MakeUser, db: AsyncSession, typed: str
) -> None:
    await make_user(STORED)
    data = {"email": typed, "password": PASSWORD}
    assert (await client.post(f"{API}/users", json=data)).status_code == 409
    assert (await client.post("/accounts/signup", data=data)).status_code == 409
    assert (await client.post(f"{API}/login", json=data)).json()["email"] == STORED
    assert (await client.post(f"{API}/token", data={"username": typed, "password": PASSWORD})).status_code == 200
    assert (await client.post("/accounts/login", data=data)).status_code == 303
    assert (await db.exec(select(User.email))).all() == [STORED]


@pytest.mark.parametrize("typed", ODD, ids=ascii)
async def test_what_is_no_address_makes_no_second_account(
    client: httpx2.AsyncClient, make_user: MakeUser, db: AsyncSession, typed: str
) -> None:
    await make_user(STORED)
    body = json.dumps({"email": typed, "password": PASSWORD})
    data: Any = {"content": body, "headers": {"Content-Type": "application/json"}}
    assert (await client.post(f"{API}/users", **data)).status_code in (409, 422)
    raw = f"email={quote_from_bytes(typed.encode('utf-8', 'surrogatepass'))}&password={quote(PASSWORD)}"
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert (await client.post("/accounts/signup", content=raw, headers=form)).status_code in (409, 422)
    for door in ("login", "password/forgot", "verify/request"):
        assert (await client.post(f"{API}/{door}", **data)).status_code in (200, 202, 422), door
    assert (await db.exec(select(User.email))).all() == [STORED]


async def test_many_spellings_at_once_make_one_account(live_client: httpx2.AsyncClient) -> None:
    statuses: list[int] = []

    async def sign_up(typed: str) -> None:
        answer = await live_client.post(f"{API}/users", json={"email": typed, "password": PASSWORD})
        statuses.append(answer.status_code)

    async with anyio.create_task_group() as tasks:
        for typed in SAME[:12]:
            tasks.start_soon(sign_up, typed)
    assert sorted(statuses) == [201] + [409] * 11


@pytest.mark.parametrize("typed", SAME[::6], ids=ascii)
async def test_a_link_goes_to_the_address_that_is_stored(
    client: httpx2.AsyncClient, make_user: MakeUser, jobs: Jobs, mailbox: Mailbox, typed: str
) -> None:
    await make_user(STORED)
    assert (await client.post(f"{API}/password/forgot", json={"email": typed})).status_code == 202
    await jobs.run()
    assert mailbox.only().to == STORED
