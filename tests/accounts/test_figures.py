"""The home page's numbers: counted anew for each visitor."""

from datetime import timedelta

import httpx2
import pytest

from apps.accounts import figures
from apps.accounts.models import Session
from apps.accounts.testing import MakeUser, SignIn
from project.core import AsyncSession, Runtime, now


async def test_the_figures_count_accounts_new_ones_and_sessions_that_still_count(
    db: AsyncSession, runtime: Runtime, sign_in: SignIn, make_user: MakeUser
) -> None:
    ann = await sign_in("ann@example.com")
    await make_user("old@example.com", created_at=now() - timedelta(days=8))
    db.add(Session(token_hash="over", user_id=ann.id, expires_at=now() - timedelta(seconds=1)))
    rested, later = now() - timedelta(hours=13), now() + timedelta(days=1)
    db.add(Session(token_hash="idle", user_id=ann.id, last_seen_at=rested, expires_at=later))
    await db.flush()
    found = await figures(db, runtime)
    assert (found.accounts, found.new, found.sessions) == (2, 1, 1)


async def test_the_home_page_shows_them_in_words_that_fit_the_number(
    client: httpx2.AsyncClient, make_user: MakeUser
) -> None:
    nobody = await client.get("/")
    assert "<dt>accounts</dt><dd>0</dd>" in nobody.text
    await make_user()
    assert "<dt>account</dt><dd>1</dd>" in (await client.get("/")).text


@pytest.mark.usefixtures("confirming")
async def test_a_sign_up_that_waits_for_its_link_is_not_counted(
    db: AsyncSession, runtime: Runtime, make_user: MakeUser
) -> None:
    await make_user()
    await make_user("bob@example.com", is_verified=True)
    assert (await figures(db, runtime)).accounts == (await figures(db, runtime)).new == 1


async def test_a_visitor_in_production_is_welcomed_without_the_words_for_developers(client: httpx2.AsyncClient) -> None:
    page = (await client.get("/")).text
    assert "Welcome to Uptempo." in page
    assert "manage.py" not in page
    assert 'href="/admin"' not in page
