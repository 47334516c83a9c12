"""Forms from schemas: labels, limits, values and errors."""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated

import pytest
from pydantic import BaseModel, EmailStr, Field, HttpUrl, SecretStr

from project.core import Form
from project.core.errors import FieldError


class State(StrEnum):
    """Two choices."""

    DRAFT = "draft"
    LIVE = "live"


class Everything(BaseModel):
    """One of each."""

    title: str = Field(title="The title", description="Keep it short.", min_length=2, max_length=80)
    email: EmailStr
    password: SecretStr = Field(min_length=8)
    count: int = Field(default=3, ge=1, le=9)
    price: float | None = None
    ready: bool = False
    state: State = State.DRAFT
    day: date | None = None
    moment: datetime | None = None
    link: HttpUrl | None = None
    lines: list[str] = []
    body: Annotated[str, Field(json_schema_extra={"widget": "textarea"})] = ""


def test_kinds_follow_from_types() -> None:
    kinds = {field.name: field.kind for field in Form(Everything).fields}
    assert kinds == {
        "title": "text",
        "email": "email",
        "password": "password",
        "count": "number",
        "price": "number",
        "ready": "checkbox",
        "state": "select",
        "day": "date",
        "moment": "datetime-local",
        "link": "url",
        "lines": "textarea",
        "body": "textarea",
    }


def test_titles_limits_and_choices_come_from_the_schema() -> None:
    form = Form(Everything)
    assert (form["title"].label, form["title"].hint, form["title"].required) == ("The title", "Keep it short.", True)
    assert form["title"].attrs == {"minlength": "2", "maxlength": "80"}
    assert form["count"].attrs == {"min": "1", "max": "9"}
    assert form["state"].choices == [("draft", "Draft"), ("live", "Live")]
    assert form["state"].hint == ""
    assert (form["count"].value, form["state"].value) == ("3", "draft")


def test_values_are_kept_but_passwords_never() -> None:
    form = Form(Everything, {"title": "<b>", "password": "hidden", "ready": "on", "lines": ["a", "b"]})
    assert (form["title"].value, form["password"].value) == ("<b>", "")
    assert (form["ready"].value, form["lines"].value) == (True, "a\nb")


def test_errors_stand_beside_their_field_or_above_the_form() -> None:
    form = Form(Everything, {}, [FieldError("title", "x", "Too short."), FieldError("nobody", "x", "Odd.")])
    assert ([each.message for each in form["title"].errors], form.errors[0].message) == (["Too short."], "Odd.")
    assert form.invalid


def test_an_unknown_field_says_so() -> None:
    with pytest.raises(KeyError, match="no field 'nope'"):
        Form(Everything)["nope"]
