"""Posted forms: what the server understands, one field checked while it is typed, files, and rows others change."""

import asyncio
from io import BytesIO
from typing import Annotated

import httpx2
import pytest
from fastapi import FastAPI, UploadFile
from pydantic import BaseModel, ValidationError
from starlette.datastructures import Headers
from starlette.requests import Request

from project.core.errors import BadRequest
from project.core.web.forms import FileLimits
from project.core.web.forms.uploads import read_multipart
from tests.core.probe import forms, models

pytestmark = pytest.mark.any_database

GOOD = {"title": "Tide", "email": "ann@example.com", "password": "long enough"}
PNG = ("a.png", b"x" * 100, "image/png")
HTMX = {"HX-Request": "true"}


async def sent(probe: httpx2.AsyncClient, **values: object) -> dict[str, object]:
    answer = await probe.post("/probe/everything", data=GOOD | values)
    assert answer.status_code == 200, answer.text
    found: dict[str, object] = answer.json()
    return found


async def test_each_kind_of_field_is_understood(probe: httpx2.AsyncClient) -> None:
    got = await sent(
        probe,
        link="https://example.com/a",
        phone="+49 30 1",
        count="7",
        price="1.5",
        ready="true",
        state="live",
        colour="red",
        size="large",
        colours=["red", "dark_blue"],
        day="2026-05-31",
        moment="2026-05-31T18:00",
        clock="18:30",
        lines="one\r\n\r\n two ",
        body="text",
    )
    assert got | {"password": ""} == {
        "title": "Tide",
        "email": "ann@example.com",
        "password": "",
        "link": "https://example.com/a",
        "phone": "+49 30 1",
        "count": 7,
        "price": 1.5,
        "ready": True,
        "state": "live",
        "colour": "red",
        "size": "large",
        "colours": ["red", "dark_blue"],
        "day": "2026-05-31",
        "moment": "2026-05-31T18:00:00Z",
        "clock": "18:30:00",
        "lines": ["one", "two"],
        "body": "text",
    }


async def test_what_is_left_empty_is_left_out(probe: httpx2.AsyncClient) -> None:
    got = await sent(probe, count="", price="", colour="", day="", lines="", moment="")
    assert (got["count"], got["price"], got["colour"], got["day"], got["lines"]) == (3, None, None, None, [])
    assert (got["ready"], got["colours"]) == (False, [])


async def test_a_moment_with_its_own_offset_keeps_it(probe: httpx2.AsyncClient) -> None:
    assert (await sent(probe, moment="2026-05-31T18:00+02:00"))["moment"] == "2026-05-31T18:00:00+02:00"


async def test_a_refused_form_keeps_every_value_but_the_password(probe: httpx2.AsyncClient) -> None:
    values = GOOD | {"title": "T", "colours": ["red"], "size": "large", "lines": "a\nb", "moment": "2026-05-31T18:00"}
    page = (await probe.post("/probe/everything", data=values)).text
    assert 'data-code="string_too_short"' in page
    assert 'value="2026-05-31T18:00' in page
    assert "a\nb</textarea>" in page
    assert "long enough" not in page


@pytest.mark.parametrize(("value", "code"), [("T", "string_too_short"), ("Tide", None)])
async def test_one_field_is_checked_by_the_same_schema_and_nothing_happens(
    probe: httpx2.AsyncClient, value: str, code: str | None
) -> None:
    forms.RAN.clear()
    headers = HTMX | {"X-Validate": "title"}
    answer = await probe.post("/probe/everything", data={"title": value}, headers=headers)
    assert (answer.status_code, "<html" in answer.text) == (200, False)
    assert (f'data-code="{code}"' in answer.text) is (code is not None)
    assert "Keep it short." in answer.text
    assert ("email" in answer.text, forms.RAN) == (False, [])


async def test_a_complete_form_with_one_field_to_check_does_not_run_either(
    probe: httpx2.AsyncClient, probe_app: FastAPI
) -> None:
    forms.RAN.clear()
    answer = await probe.post("/probe/notes", data={"body": "hello"}, headers=HTMX | {"X-Validate": "body"})
    assert (answer.status_code, answer.text.strip(), forms.RAN) == (200, "", [])


async def test_a_field_nobody_knows_is_nothing_to_check(probe: httpx2.AsyncClient) -> None:
    answer = await probe.post("/probe/notes", data={}, headers=HTMX | {"X-Validate": "<b>"})
    assert (answer.status_code, answer.text) == (200, "")


async def test_an_address_that_reads_no_such_form_refuses_to_check(probe: httpx2.AsyncClient) -> None:
    answer = await probe.post("/probe/plain", headers=HTMX | {"X-Validate": "body"})
    assert answer.status_code == 400


async def test_who_may_not_use_the_form_may_not_ask_it(probe: httpx2.AsyncClient) -> None:
    answer = await probe.post("/probe/mine", data={"parent_id": "x"}, headers=HTMX | {"X-Validate": "parent_id"})
    assert (answer.status_code, "HX-Redirect" in answer.headers) == (401, True)


async def test_a_file_arrives_whole(probe: httpx2.AsyncClient) -> None:
    answer = await probe.post("/probe/pictures", data={"caption": "Sea"}, files={"picture": PNG})
    assert answer.json() == {"name": "a.png", "size": 100, "read": 100, "caption": "Sea", "more": []}


async def test_a_file_over_its_cap_is_refused_beside_its_field(probe: httpx2.AsyncClient) -> None:
    big = ("a.png", b"x" * (forms.PICTURE + 1), "image/png")
    answer = await probe.post("/probe/pictures", data={"caption": "Sea"}, files={"picture": big})
    assert answer.status_code == 422
    assert 'data-code="file_too_large"' in answer.text
    assert "Choose a file of at most 20 kB." in answer.text


async def test_beyond_its_cap_a_file_is_not_even_stored() -> None:
    request = httpx2.Request("POST", "http://x/", files={"picture": ("a.png", b"x" * 500_000, "image/png")})
    posted = await read_multipart(as_asgi(request), {"picture": 1000}, max_files=1, max_fields=10, max_text=10)
    file = posted["picture"]
    assert not isinstance(file, str)
    stored = len(await file.read())
    await posted.close()
    assert (file.size, stored) == (500_000, 0)


def as_asgi(request: httpx2.Request) -> Request:
    """The request as a server hands it on, in pieces of 64 kB."""
    body = request.read()
    pieces = [body[start : start + 65_536] for start in range(0, len(body), 65_536)]

    async def receive() -> dict[str, object]:
        piece = pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    headers = [(name.lower(), value) for name, value in request.headers.raw]
    return Request({"type": "http", "headers": headers}, receive)


async def test_a_file_of_another_type_or_none_is_refused(probe: httpx2.AsyncClient) -> None:
    wrong = await probe.post("/probe/pictures", data={"caption": "Sea"}, files={"picture": ("a.exe", b"x", "x/y")})
    none = await probe.post("/probe/pictures", data={"caption": "Sea"}, files={"picture": ("", b"", "x/y")})
    assert (wrong.status_code, none.status_code) == (422, 422)
    assert "Choose a file of this type: PNG or GIF." in wrong.text
    assert "This field is required." in none.text


async def test_each_of_several_files_has_the_cap(probe: httpx2.AsyncClient) -> None:
    def files(*sizes: int) -> list[tuple[str, tuple[str, bytes, str]]]:
        return [("picture", PNG), *[("more", (f"{size}.txt", b"x" * size, "text/plain")) for size in sizes]]

    good = await probe.post("/probe/pictures", data={"caption": "Sea"}, files=files(100, 7))
    assert good.json()["more"] == [100, 7]
    assert (await probe.post("/probe/pictures", data={"caption": "Sea"}, files=files(7, 101))).status_code == 422
    assert (await probe.post("/probe/pictures", data={"caption": "Sea"}, files=files(7, 7, 7))).status_code == 400


async def test_a_file_nobody_asked_for_is_refused(probe: httpx2.AsyncClient) -> None:
    answer = await probe.post("/probe/pictures", data={"caption": "Sea"}, files={"picture": PNG, "evil": PNG})
    assert answer.status_code == 400
    assert (await probe.post("/probe/notes", data={"body": "hello"}, files={"evil": PNG})).status_code == 400


async def test_a_body_far_over_the_caps_is_refused_before_it_is_read(probe: httpx2.AsyncClient) -> None:
    huge = {"picture": ("a.png", b"x" * 3_000_000, "image/png")}
    assert (await probe.post("/probe/pictures", data={"caption": "Sea"}, files=huge)).status_code == 413


async def test_a_refused_form_says_that_its_file_has_to_be_chosen_again(probe: httpx2.AsyncClient) -> None:
    plain = await probe.post("/probe/pictures", data={"caption": ""}, files={"picture": PNG})
    htmx = await probe.post("/probe/pictures", data={"caption": ""}, files={"picture": PNG}, headers=HTMX)
    assert ("Choose the file again" in plain.text, "Choose the file again" in htmx.text) == (True, False)


async def new_page(app: FastAPI) -> models.Page:
    async with app.state.runtime.unit_of_work() as db:
        page = models.Page(body="first")
        db.add(page)
    return page


async def test_a_change_over_somebody_elses_is_refused_and_loses_nothing(
    probe: httpx2.AsyncClient, probe_app: FastAPI
) -> None:
    address = f"/probe/pages/{(await new_page(probe_app)).id}"
    assert 'type="hidden" name="version" value="1"' in (await probe.get(address)).text
    assert (await probe.post(address, data={"body": "mine", "version": "1"})).status_code == 303
    late = await probe.post(address, data={"body": "theirs", "version": "1"})
    assert late.status_code == 412
    assert 'value="theirs"' in late.text
    assert f'href="{address}"' in late.text
    shown = (await probe.get(address)).text
    assert 'value="mine"' in shown
    assert 'name="version" value="2"' in shown


async def test_of_changes_at_the_same_moment_one_wins(probe: httpx2.AsyncClient, probe_app: FastAPI) -> None:
    address = f"/probe/pages/{(await new_page(probe_app)).id}"
    posts = [probe.post(address, data={"body": f"by {n}", "version": "1"}) for n in range(8)]
    statuses = [answer.status_code for answer in await asyncio.gather(*posts)]
    assert sorted(statuses) == [303] + [412] * 7


async def test_a_field_called_body_keeps_its_error_beside_it(probe: httpx2.AsyncClient) -> None:
    page = await probe.post("/probe/notes", data={"body": "x"})
    assert 'href="#notecreate-body"' in page.text
    assert 'aria-invalid="true"' in page.text
    checked = await probe.post("/probe/notes", data={"body": "x"}, headers=HTMX | {"X-Validate": "body"})
    assert 'data-code="string_too_short"' in checked.text


async def test_blanks_are_not_a_text(probe: httpx2.AsyncClient) -> None:
    blank = await probe.post("/probe/everything", data=GOOD | {"title": "   "})
    assert (blank.status_code, "This field is required." in blank.text) == (422, True)
    got = await sent(probe, title="  Tide ", body=" kept\n", password=" as it is ")
    assert (got["title"], got["body"]) == ("Tide", " kept\n")


async def test_an_address_that_is_refused_says_which_part_of_it(probe: httpx2.AsyncClient) -> None:
    page = await probe.get("/probe/pages/abc")
    assert page.status_code == 422
    assert "<strong>page_id</strong>: This is not a valid id." in page.text


@pytest.mark.parametrize(
    "kind", ["charset=punycode", 'charset="Punycode"', "charset=utf-7", "charset=utf-8; charset=punycode"]
)
async def test_a_form_in_an_odd_charset_is_refused_before_anybody_reads_it(
    probe: httpx2.AsyncClient, kind: str
) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="body"\r\n\r\naaaa-aaaa\r\n--x--\r\n'
    headers = {"Content-Type": f"multipart/form-data; boundary=x; {kind}"}
    assert (await probe.post("/probe/notes", content=body, headers=headers)).status_code == 415
    headers = {"Content-Type": "multipart/form-data; boundary=x; charset=UTF-8"}
    assert (await probe.post("/probe/notes", content=body, headers=headers)).status_code == 303


async def test_while_a_form_arrives_the_database_is_not_asked(probe: httpx2.AsyncClient) -> None:
    forms.RAN.clear()
    assert (await probe.post("/probe/uploads", data={"caption": ""}, files={"picture": PNG})).status_code == 422
    assert forms.RAN == []
    assert (await probe.post("/probe/uploads", data={"caption": "Sea"}, files={"picture": PNG})).status_code == 200
    assert forms.RAN == ["asked the database"]


async def test_text_does_not_fill_the_room_that_is_meant_for_files(probe: httpx2.AsyncClient) -> None:
    text = {"caption": "Sea", **{f"junk{n}": "x" * 900_000 for n in range(2)}}
    small = await probe.post("/probe/pictures", data=text, files={"picture": PNG})
    assert small.status_code == 200
    request = httpx2.Request("POST", "http://x/", data=text, files={"picture": PNG})
    with pytest.raises(BadRequest, match="too much text"):
        await read_multipart(as_asgi(request), {"picture": 1000}, max_files=1, max_fields=10, max_text=1_000_000)


def test_limits_hold_for_a_list_as_a_whole_too() -> None:
    class Album(BaseModel):
        """Several at once."""

        pictures: Annotated[list[UploadFile], FileLimits(3, "image/png")]

    def file(size: int) -> UploadFile:
        return UploadFile(BytesIO(), size=size, headers=Headers({"content-type": "image/png"}))

    assert len(Album(pictures=[file(3), file(1)]).pictures) == 2
    with pytest.raises(ValidationError, match="at most 3 bytes"):
        Album(pictures=[file(3), file(4)])


async def test_a_path_parameter_hides_nothing_that_every_page_knows(probe: httpx2.AsyncClient) -> None:
    answer = await probe.post("/probe/notes/of/ann", data={"body": "x"})
    assert (answer.status_code, "Log in" in answer.text) == (422, True)
