"""The crawler finds what differs between a form sent as HTML and as htmx, and says where."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx2
import pytest
from fastapi import FastAPI, Request
from sqlalchemy import insert, update
from sqlmodel import col
from starlette.responses import HTMLResponse, RedirectResponse, Response

from apps.accounts.models import User
from apps.accounts.testing import MakeUser
from project.core.runtime import Runtime
from project.core.testing import crawler
from project.core.testing.crawler import ELSEWHERE, Crawler
from project.core.testing.plugin import NewClient
from project.core.testing.rows import rows_of
from tests.core.probe.models import Parent
from tests.core.test_page_driver import CONFIG

pytestmark = pytest.mark.any_database

Save = Callable[..., Awaitable[Response]]
FORM = """<form method="post" action="/odd/save" hx-post="/odd/save" hx-target="this" hx-swap="outerHTML">
    <label>Name <input name="name" required maxlength="20"></label><button>Save</button></form>"""


class Odd:
    """A page with one form; what happens to it is set by each test."""

    def __init__(self, app: FastAPI, new_client: NewClient) -> None:
        self.app, self.new_client, self.form = app, new_client, FORM
        app.add_api_route("/odd", self.page)
        app.add_api_route("/odd/save", self.save, methods=["POST"])
        app.add_api_route("/odd/other", self.other, methods=["POST"])

    async def page(self, said: str = "") -> Response:
        return HTMLResponse(self.html(self.form, f"<p role=status>{said}</p>" if said else ""))

    def html(self, form: str, flash: str = "") -> str:
        return (
            f"<title>Odd</title>{CONFIG}<div id=flashes>{flash}</div><h1>Odd</h1>{form}"
            "<template id=trouble data-unknown=Odd.><p role=alert></p></template>"
        )

    async def save(self, request: Request) -> Response:
        """An honest form: a name is needed and kept."""
        name = str((await request.form()).get("name"))
        if not name or len(name) > 20:
            form = self.form.replace("<input", "<input aria-invalid=true aria-describedby=name-notes")
            form = form.replace("</label>", "</label><div id=name-notes><i class=field-error>No.</i></div>")
            return HTMLResponse(form if request.headers.get("hx-request") else self.html(form), 422)
        await self.keep()
        return self.move(request)

    async def other(self, request: Request) -> Response:
        return self.move(request)

    def move(self, request: Request, to: str = "/odd?said=Saved") -> Response:
        if request.headers.get("hx-request"):
            return Response(status_code=204, headers={"HX-Redirect": to})
        return RedirectResponse(to, 303)

    async def keep(self) -> None:
        async with self.app.state.runtime.unit_of_work() as db:
            await db.execute(insert(Parent))

    async def problems(self) -> list[str]:
        async def nobody(_: httpx2.AsyncClient) -> None:
            pass

        elsewhere = ("/accounts", "/probe", *ELSEWHERE)
        return (await Crawler(self.app, self.new_client, {"nobody": nobody}, elsewhere=elsewhere).run()).problems


@pytest.fixture
def odd(probe_app: FastAPI, new_client: NewClient) -> Odd:
    """The odd page, beside the probe app."""
    return Odd(probe_app, new_client)


def replaced(odd: Odd, path: str, endpoint: Save) -> None:
    """Answer an address otherwise."""
    routes = odd.app.router.routes
    routes[:] = [each for each in routes if getattr(each, "path", "") != path]
    odd.app.add_api_route(path, endpoint, methods=["POST"])


async def test_a_form_that_does_the_same_both_ways_is_no_problem(odd: Odd) -> None:
    assert await odd.problems() == []


async def test_an_effect_only_over_htmx_is_found(odd: Odd) -> None:
    async def save(request: Request) -> Response:
        if request.headers.get("hx-request"):
            await odd.keep()
        return odd.move(request)

    replaced(odd, "/odd/save", save)
    problems = await odd.problems()
    assert problems[0] == ("nobody, /odd, form 'Save', valid data: added differs. HTML: []; htmx: ['probe_parent()'].")


async def test_a_form_that_works_with_htmx_only_is_found(odd: Odd) -> None:
    odd.form = FORM.replace('method="post" action="/odd/save"', "")
    assert "nobody, /odd, form 'Save', valid data: added differs. HTML: []; htmx: ['probe_parent()']." in (
        await odd.problems()
    )


async def test_a_lost_message_is_found(odd: Odd) -> None:
    async def save(request: Request) -> Response:
        return odd.move(request, "/odd" if request.headers.get("hx-request") else "/odd?said=Saved")

    replaced(odd, "/odd/save", save)
    assert "nobody, /odd, form 'Save', valid data: said differs. HTML: ['Saved']; htmx: []." in await odd.problems()


async def test_an_error_that_only_one_way_shows_is_found(odd: Odd) -> None:
    usual = odd.save

    async def save(request: Request) -> Response:
        answer = await usual(request)
        silent = request.headers.get("hx-request") and answer.status_code == 422
        return HTMLResponse(FORM, 422) if silent else answer

    replaced(odd, "/odd/save", save)
    assert "nobody, /odd, form 'Save', empty data: errors differs. HTML: {'Name': 'No.'}; htmx: {}." in (
        await odd.problems()
    )


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            ('hx-post="/odd/save"', 'hx-post="/odd/other"'),
            "form 'Save', valid data: added differs. HTML: ['probe_parent()']; htmx: [].",
        ),
        (('hx-post="/odd/save"', 'hx-post="/odd/gone"'), "form 'Save', valid data: /odd/gone answers 404 to htmx."),
        (('action="/odd/save"', 'action="/odd"'), "form 'Save', valid data: /odd answers 405."),
        (("required", "pattern='[0-9]{99}'"), "no valid text for the field 'Name' comes to mind: give it in `values`."),
        (("<form", "<button hx-delete=/odd>Delete</button><form"), "'Delete' works with htmx only."),
        (("<form", "<a href=/odd/lost>Lost</a><form"), "/odd, the link 'Lost' leads to /odd/lost, which answers 404."),
        (("<input", "<input hx-post=/odd/save hx-swap=none"), "leaving the field 'Name' changes the database."),
        (('hx-swap="outerHTML"', 'hx-swap="morph"'), "hx-swap is 'morph', which this driver does not know."),
    ],
)
async def test_a_slip_in_the_page_is_found(odd: Odd, change: tuple[str, str], problem: str) -> None:
    odd.form = FORM.replace(*change)
    problems = await odd.problems()
    assert any(each.startswith("nobody, /odd") and problem in each for each in problems), problems


async def test_a_failing_server_is_found_whichever_data_it_fails_for(odd: Odd) -> None:
    usual = odd.save

    async def save(request: Request) -> Response:
        if len(str((await request.form()).get("name"))) > 20:
            raise RuntimeError("too long")
        return await usual(request)

    replaced(odd, "/odd/save", save)
    assert await odd.problems() == ["nobody, /odd, form 'Save', wrong data: /odd/save answers 500."]


async def test_valid_data_that_is_refused_asks_for_better(odd: Odd) -> None:
    async def save(request: Request) -> Response:
        return HTMLResponse(FORM, 422)

    replaced(odd, "/odd/save", save)
    assert any("what the crawler made up was refused; give it `values`" in each for each in await odd.problems())


async def test_a_secret_that_changes_is_an_effect_and_one_that_stays_is_none(
    runtime: Runtime, make_user: MakeUser
) -> None:
    user = await make_user()
    known = set[object]()
    before = await rows_of(runtime.database, known)
    assert await rows_of(runtime.database, known) == before
    async with runtime.unit_of_work() as db:
        await db.execute(update(User).where(col(User.id) == user.id).values(hashed_password=f"{user.hashed_password}1"))
    assert "hashed_password=new…" in str(await rows_of(runtime.database, known) - before)


async def test_a_page_without_an_end_is_named(odd: Odd, monkeypatch: pytest.MonkeyPatch) -> None:
    odd.app.add_api_route("/odd/forever", asyncio.Event().wait)
    monkeypatch.setattr(crawler, "PATIENCE", 3)
    told = "nobody, the table of routes leads to /odd/forever, which has no end: name a stream in `elsewhere`."
    assert await odd.problems() == [told]


async def test_a_page_that_is_another_one_each_time_is_named(odd: Odd, monkeypatch: pytest.MonkeyPatch) -> None:
    forms = iter([FORM])
    monkeypatch.setattr(odd, "html", lambda *_: f"<h1>Odd</h1>{next(forms, '')}")
    assert "its form is gone when the page is opened again" in (await odd.problems())[0]
