"""Forms from schemas: labels, limits, values and errors."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from project.core import Form
from project.core.errors import FieldError
from tests.core.probe.forms import Everything, PageUpdate, PictureCreate


def test_kinds_follow_from_types() -> None:
    kinds = {field.name: field.kind for field in Form(Everything).fields}
    assert kinds == {
        "title": "text",
        "email": "email",
        "password": "password",
        "link": "url",
        "phone": "tel",
        "count": "number",
        "price": "number",
        "ready": "checkbox",
        "state": "select",
        "colour": "select",
        "size": "radio",
        "colours": "checkboxes",
        "day": "date",
        "moment": "datetime-local",
        "clock": "time",
        "lines": "textarea",
        "body": "textarea",
    }
    kinds = {field.name: field.kind for field in Form(PictureCreate).fields}
    assert kinds == {"caption": "text", "picture": "file", "more": "file"}


def test_titles_limits_and_choices_come_from_the_schema() -> None:
    form = Form(Everything)
    assert (form["title"].label, form["title"].hint, form["title"].required) == ("The title", "Keep it short.", True)
    assert form["title"].attrs == {"minlength": "2", "maxlength": "80"}
    assert form["count"].attrs == {"min": "1", "max": "9"}
    assert form["state"].choices == [("draft", "Draft"), ("live", "Live")]
    assert form["state"].hint == ""
    assert (form["count"].value, form["state"].value) == ("3", "draft")
    assert form["colour"].choices[0] == ("", "None")
    assert [form[name].optional for name in ("title", "price", "state", "colour", "ready")] == [
        False,
        True,
        False,
        True,
        False,
    ]
    assert form["colours"].choices == [("red", "Red"), ("dark_blue", "Dark blue")]
    picture = Form(PictureCreate)["picture"]
    assert (picture.attrs, picture.hint) == (
        {"accept": "image/png,image/gif"},
        "PNG or GIF, at most 20 kB.",
    )


def test_values_are_kept_but_passwords_never() -> None:
    form = Form(Everything, {"title": "<b>", "password": "hidden", "ready": "on", "lines": ["a", "b"]})
    assert (form["title"].value, form["password"].value) == ("<b>", "")
    assert (form["ready"].value, form["lines"].value) == (True, "a\nb")


def test_errors_stand_beside_their_field_or_above_the_form() -> None:
    form = Form(Everything, {}, [FieldError("title", "x", "Too short."), FieldError("nobody", "x", "Odd.")])
    beside, above = form["title"].errors, form.errors
    assert ([error.message for error in beside], [error.message for error in above]) == (["Too short."], ["Odd."])
    assert form.invalid


def test_an_unknown_field_says_so() -> None:
    with pytest.raises(KeyError, match="no field 'nope'"):
        Form(Everything)["nope"]


def test_a_moment_is_shown_in_utc() -> None:
    there = datetime(2026, 5, 31, 18, tzinfo=timezone(timedelta(hours=2)))
    assert Form(Everything, {"moment": there})["moment"].value == "2026-05-31T16:00"
    assert Form(Everything, {"moment": there.astimezone(UTC)})["moment"].value == "2026-05-31T16:00"


def test_the_first_moment_there_is_can_be_shown() -> None:
    first = datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=23)))
    assert Form(Everything, {"moment": first})["moment"].value == "0001-01-01T00:00"


def test_an_error_of_a_hidden_field_stands_above_the_form() -> None:
    form = Form(PageUpdate, {"version": 2}, [FieldError("version", "missing", "This field is required.")])
    assert (form["version"].errors, len(form.errors)) == ([], 1)


def test_each_form_has_a_token_of_its_own_unless_told_otherwise() -> None:
    assert len(Form(Everything).once) >= 16
    assert Form(Everything).once != Form(Everything).once
    assert Form(Everything, once=False).once == ""
