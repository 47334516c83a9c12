"""What each macro promises: what it means to a screen reader, what works without JavaScript, nothing unescaped."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field, SecretStr
from starlette.datastructures import URL

from project.core import Form, Slice
from project.core.errors import FieldError
from project.core.jobs import Job, State
from project.core.templating import CORE_TEMPLATES, environment

EVIL = "<img src=x onerror=alert(1)>\"'"
ENV = environment(Path("nowhere"), [], url=lambda name, **_: f"/{name}", static=lambda path: f"/static/{path}")


def draw(source: str, **context: Any) -> str:
    return ENV.from_string(source).render(context)


class Choices(BaseModel):
    """A field of each kind that is drawn in a way of its own."""

    name: str = Field(title="Name", description="As it shall appear.", min_length=2)
    secret: SecretStr = Field(title="Secret")
    size: Literal["s", "m"] = Field(title="Size", json_schema_extra={"widget": "radio"})
    topics: list[Literal["a", "b"]] = Field(default=["b"], title="Topics")
    about: str = Field(default="", title="About", json_schema_extra={"widget": "textarea"})
    paper: str = Field(default="", title="Paper", json_schema_extra={"widget": "file", "description": "At most 2 MB."})
    ready: bool = Field(default=False, title="Ready")
    version: int = Field(default=3, json_schema_extra={"widget": "hidden"})


def broken() -> Form:
    errors = [FieldError(name, "wrong", f"Wrong {name}.") for name in ("name", "size", "topics")]
    return Form(Choices, {"name": EVIL, "size": "m"}, [*errors, FieldError("", "odd", EVIL)])


CALLS = {
    "button": "{{ ui.button(evil, name=evil) }}",
    "link_button": "{{ ui.link_button(evil, evil) }}",
    "post_button": "{{ ui.post_button(evil, evil, of=evil, target=evil) }}",
    "delete": "{{ ui.delete('x', evil, evil, evil, evil) }}",
    "editable": "{{ ui.editable('x', evil, evil, evil) }}",
    "edit_form": "{{ ui.edit_form('x', form, evil, evil, evil) }}",
    "form": "{{ ui.form(form, evil, evil, (evil, evil)) }}",
    "fields": "{{ ui.fields(form) }}",
    "field": "{{ ui.field(form['name'], form) }}",
    "notes": "{{ ui.notes(form['name']) }}",
    "summary": "{{ ui.summary(form) }}",
    "table": "{% call ui.table(evil, [evil, (evil, 'number'), (evil, 'hidden')]) %}<tr></tr>{% endcall %}",
    "list": "{% call ui.list('x', page, address, '', evil, evil, evil, evil) %}{{ evil }}{% endcall %}",
    "pagination": "{{ ui.pagination(page, address) }}",
    "more": "{{ ui.more(evil, 3, evil) }}",
    "search": "{{ ui.search(evil, evil, 'x', evil, evil, evil) }}",
    "tabs": "{% call ui.tabs('x', evil, [('a', evil, evil)], 'a') %}{{ evil }}{% endcall %}",
    "flashes": "{{ ui.flashes([{'kind': 'info', 'text': evil}]) }}",
    "toast": "{{ ui.toast(evil) }}",
    "notice": "{{ ui.notice('info', evil, evil) }}",
    "stream": "{% call ui.stream(evil) %}{{ evil }}{% endcall %}",
    "empty": "{{ ui.empty(evil, evil, evil, evil) }}",
    "badge": "{{ ui.badge(evil) }}",
    "progress": "{{ ui.progress(evil, 1, 3) }}",
    "bar": "{{ ui.bar(evil, [(evil, 1, evil), (evil, 2, evil, evil)], 3) }}",
    "choice": "{{ ui.choice(evil, evil, [(evil, evil)], evil) }}",
    "job": "{{ ui.job(job) }}",
    "job_progress": "{{ ui.job_progress(job) }}",
    "time": "{{ ui.time(moment) }}",
    "value": "{{ ui.value(evil) }}",
    "facts": "{{ ui.facts([(evil, evil), (evil, moment)]) }}",
}
JOB: dict[str, Any] = {"name": EVIL, "state": State.RUNNING, "note": EVIL, "error": EVIL, "done": 1, "total": 3}
CONTEXT = {
    "evil": EVIL,
    "form": broken(),
    "page": Slice([], 35, 10, 10),
    "address": URL("/posts?q=%3Cimg%20src=x%3E"),
    "job": Job(**JOB),
    "moment": datetime(2026, 8, 3, 14, 5, 9, tzinfo=UTC),
}


def test_no_macro_is_left_out_here() -> None:
    source = "".join(path.read_text() for path in (CORE_TEMPLATES / "core" / "ui").glob("*.html"))
    assert set(re.findall(r"{% macro ([a-z]\w*)\(", source)) == set(CALLS)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_every_text_is_escaped_and_nothing_is_inline(call: str) -> None:
    html = draw(call, **CONTEXT)
    assert "<img" not in html
    tags = re.findall(r"<[a-z][^<]*?>", html)
    assert not [tag for tag in tags if re.search(r"\s(style|on\w+|hx-on\S*|hx-vals)=", _bare(tag))]


def _bare(tag: str) -> str:
    """The tag without its attributes' values."""
    return re.sub(r"=\"[^\"]*\"|='[^']*'", "=", tag)


def test_every_control_points_to_its_notes_and_says_when_it_is_wrong() -> None:
    html = draw("{{ ui.fields(form) }}", **CONTEXT)
    assert 'name="name" aria-describedby="choices-name-notes" required aria-invalid="true"' in html
    for name in ("name", "secret", "size", "topics", "about", "paper", "ready"):
        assert f'aria-describedby="choices-{name}-notes"' in html
        assert f'<div class="field-notes" id="choices-{name}-notes" aria-live="polite">' in html
    assert '<p class="field-error" data-code="wrong">Wrong name.</p>' in html
    assert '<p class="field-hint">As it shall appear.</p>' in html


def test_choices_stand_in_a_fieldset_whose_first_control_an_error_leads_to() -> None:
    html = draw("{{ ui.summary(form) }}{{ ui.fields(form) }}", **CONTEXT)
    assert html.count("<fieldset") == html.count("<legend") == 2
    assert 'role="radiogroup" aria-invalid="true"' in html
    assert 'type="radio" id="choices-size" name="size" value="s" required' in html
    assert 'type="radio" id="choices-size-2" name="size" value="m" checked required' in html
    assert 'type="checkbox" id="choices-topics-2" name="topics" value="b" checked aria-invalid="true"' in html
    assert '<a href="#choices-size">Size: Wrong size.</a>' in html


def test_a_summary_takes_the_focus_and_is_not_there_without_errors() -> None:
    assert 'role="alert" tabindex="-1" autofocus' in draw("{{ ui.summary(form) }}", **CONTEXT)
    assert draw("{{ ui.summary(form) }}", form=Form(Choices)) == ""


def test_a_form_with_a_file_is_sent_in_parts() -> None:
    html = draw(CALLS["form"], **CONTEXT)
    assert 'enctype="multipart/form-data" hx-encoding="multipart/form-data"' in html
    assert """hx-request='{"timeout":3600000}'""" in html  # sending a file may take longer than an answer


def test_a_one_shot_token_is_the_first_field() -> None:
    form = broken()
    form.once = "token"
    assert draw("{{ ui.fields(form) }}", form=form).startswith('<input type="hidden" name="_once" value="token">')


def test_a_live_form_asks_about_one_field_and_never_sends_a_password_or_a_file() -> None:
    form = Form(Choices, action="/here")
    form.live = True
    html = draw("{{ ui.fields(form) }}", form=form)
    asking = re.findall(r'name="(\w+)"[^>]*hx-post="/here"', html)
    assert asking == ["name", "size", "size", "topics", "topics", "about", "ready"]
    assert """hx-headers='{"X-Validate": "name"}'""" in html
    assert 'hx-target="#choices-name-notes" hx-swap="innerHTML" hx-sync="this:replace"' in html
    form.live = False
    assert "hx-post" not in draw("{{ ui.fields(form) }}", form=form)


def test_a_table_is_a_region_the_keyboard_can_scroll() -> None:
    html = draw(CALLS["table"], **CONTEXT | {"evil": "People"})
    assert '<div class="table" role="region" tabindex="0" aria-label="People">' in html
    assert "<caption>People</caption>" in html
    assert html.count('scope="col"') == 3


def test_what_htmx_loads_is_a_link_or_a_form_without_it() -> None:
    more = draw(CALLS["more"], **CONTEXT | {"evil": "/rows?page=2"})
    assert re.search(
        r'<a class="[^"]*" href="/rows\?page=2" hx-get="/rows\?page=2" hx-trigger="intersect once, click"', more
    )
    assert re.match(r'<tr class="more"><td colspan="3">', more)
    assert draw("{{ ui.more('/rows') }}").startswith('<li class="more">')
    search = draw("{{ ui.search('Find', '/find', 'found', 'x', 'words') }}")
    assert 'role="search" method="get" action="/find"' in search
    assert re.search(r'hx-target="#(\w+)" hx-select="#\1"', search)
    assert '<label class="visually-hidden" for="found-search">Find</label>' in search
    assert 'name="words" value="x"' in search
    assert '<button class="button button-secondary" type="submit">' in search
    edit = draw("{{ ui.editable('t', 'Title', 'Old', '/edit') }}")
    assert 'href="/edit"' in edit
    assert 'Edit<span class="visually-hidden"> Title</span>' in edit


def test_tabs_are_links_of_which_one_is_current() -> None:
    tabs = "[('a', 'One', '/a'), ('b', 'Two', '/b')]"
    html = draw("{% call ui.tabs('x', 'Parts', " + tabs + ", 'b') %}panel{% endcall %}")
    assert re.search(r'<a id="x-b" href="/b" aria-current="page"', html)
    assert html.count("aria-current") == 1
    assert '<nav class="tabs" aria-label="Parts">' in html
    assert re.search(r'hx-target="#(\w+)" hx-select="#\1"', html)  # a whole page will do as an answer


def test_deleting_asks_first_with_and_without_javascript() -> None:
    html = draw("{{ ui.delete('p7', 'Delete', '/delete', 'Delete Hello?') }}")
    assert (
        '<a class="button button-quiet button-small" href="/delete" data-dialog="p7-dialog" hx-boost="false">' in html
    )
    assert '<dialog class="dialog" id="p7-dialog" aria-labelledby="p7-title" aria-describedby="p7-text">' in html
    assert 'method="post" action="/delete"' in html
    assert 'hx-swap="delete"' in html
    assert "This cannot be undone." in html
    assert "data-dialog-close autofocus" in html


@pytest.mark.parametrize(
    ("items", "total", "narrow", "says"),
    [([1], 35, "", "a row"), ([], 0, "", "No posts yet"), ([], 0, "x", "Nothing found"), ([], 35, "", "Nothing found")],
)
def test_a_list_has_rows_or_says_why_not(items: list[int], total: int, narrow: str, says: str) -> None:
    words = "'No posts yet', 'Write one.', 'New post', '/new'"
    source = "{% call ui.list('posts', page, address, narrow, " + words + ") %}a row{% endcall %}"
    html = draw(source, page=Slice(items, total, 10, 0), address=URL("/posts"), narrow=narrow)
    assert html.startswith('<div class="stack" id="posts">')
    assert [each for each in ("a row", "No posts yet", "Nothing found") if each in html] == [says]
    assert ("Page 1 of 4 · 35 in all" in html, 'href="/new"' in html) == (says == "a row", says == "No posts yet")


def test_a_message_is_an_alert_only_when_it_is_an_error() -> None:
    html = draw("{{ ui.flashes([{'kind': 'success', 'text': 'Yes'}, {'kind': 'error', 'text': 'No'}]) }}")
    assert re.findall(r'role="(\w+)"', html) == ["status", "alert"]
    assert "flashes-floating" in draw("{{ ui.toast('Yes') }}")


def test_progress_says_how_far_and_nothing_when_nobody_knows() -> None:
    known, unknown = draw("{{ ui.progress('Fetching', 18, 60) }}"), draw("{{ ui.progress('Waiting') }}")
    assert '<progress aria-label="Fetching" value="18" max="60"></progress>' in known
    assert "30 %" in known
    assert '<progress aria-label="Waiting"></progress>' in unknown
    nothing = draw("{{ ui.progress('Nothing to do', 0, 0) }}")
    assert ("100 %" in nothing, 'value="1" max="1"' in nothing) == (True, True)


def test_a_live_part_is_announced_and_can_be_refreshed_by_hand() -> None:
    html = draw("{% call ui.stream('/events') %}<p>so far</p>{% endcall %}")
    assert '<div data-stream="/events" aria-live="polite"><p>so far</p></div>' in html
    assert '<noscript><p><a href="">Refresh</a></p></noscript>' in html


def test_a_moment_is_told_in_full_with_its_zone() -> None:
    html = draw("{{ ui.time(moment) }}|{{ ui.time(moment, relative=False) }}", **CONTEXT)
    relative, absolute = html.split("|")
    assert 'datetime="2026-08-03T14:05:09+00:00" title="Monday, 3 August 2026, 14:05:09 UTC" data-relative' in relative
    assert "data-relative" not in absolute
    assert ">3 Aug 2026, 14:05 UTC</time>" in absolute


def test_an_empty_place_says_what_to_do() -> None:
    assert 'href="/new">Write one</a>' in draw("{{ ui.empty('No posts', 'Yet.', 'Write one', '/new') }}")
    assert "<a" not in draw("{{ ui.empty('No posts', 'Yet.') }}")


def test_the_style_sheets_stay_small_and_ask_no_other_host() -> None:
    core = CORE_TEMPLATES.parent / "static" / "core"
    sheets = [core / "ui.css", core / "lists.css", *(CORE_TEMPLATES.parents[2] / "static" / "css").glob("*.css")]
    texts = [sheet.read_text() for sheet in sheets]
    assert sum(len(text.splitlines()) for text in texts) <= 900
    assert not [text for text in texts if "@import" in text or "//" in text]
