"""`Submitted[X]`: a posted form, read and validated by the schema X; or one field of it, checked while it is typed."""

import inspect
import re
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from fastapi import Depends
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from project.core.web.forms.fields import OFF, Spec, specs_of
from project.core.web.forms.form import ONCE, Form
from project.core.web.forms.uploads import only_files, read_multipart
from project.core.web.validation import field_errors, of_body

S = TypeVar("S", bound=BaseModel)
CHECK = "x-validate"  # the header of a request that only asks whether one field is right
LOCAL = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?")  # a moment without its zone: it is UTC


class Answered(Exception):
    """The answer is known before the handler runs; everything begun so far is rolled back."""

    def __init__(self, response: Response) -> None:
        self.response = response


class FormReader:
    """The dependency behind `Submitted[X]`: reads the posted form and validates it by X.

    Raises RequestValidationError, with the same field names, codes and words as a JSON body would, and
    Answered when only one field is to be checked.
    """

    def __init__(self, schema: type[BaseModel]) -> None:
        self.schema = schema

    async def __call__(self, request: Request) -> BaseModel:
        posted = await self._read(request)
        request.scope["fastapi_middleware_astack"].push_async_callback(posted.close)  # as FastAPI closes its own forms
        values = {spec.name: found for spec in specs_of(self.schema).values() for found in _values(spec, posted)}
        once = posted.get(ONCE)
        request.state.submitted = (self.schema, values)
        request.state.once = once if isinstance(once, str) else ""
        try:
            data = self.schema.model_validate(values)
        except ValidationError as error:
            details = of_body(error)
            if CHECK in request.headers:
                raise Answered(self._checked(request, values, details)) from None
            raise RequestValidationError(details) from None
        if CHECK in request.headers:
            raise Answered(self._checked(request, values, []))
        return data

    async def _read(self, request: Request) -> FormData:
        settings = request.app.state.runtime.settings
        specs = [spec for spec in specs_of(self.schema).values() if spec.kind == "file"]
        if not specs or not request.headers.get("content-type", "").startswith("multipart/form-data"):
            return await request.form(max_files=0, max_fields=settings.MAX_FORM_FIELDS)
        caps = {spec.name: spec.max_size or settings.MAX_BODY_SIZE for spec in specs}
        told = sum((spec.max_size or 0) * spec.max_files for spec in specs)
        request.state.max_body = settings.MAX_BODY_SIZE + told
        return await read_multipart(
            request,
            caps,
            max_files=sum(spec.max_files for spec in specs),
            max_fields=settings.MAX_FORM_FIELDS,
            max_text=settings.MAX_BODY_SIZE,
        )

    def _checked(self, request: Request, values: dict[str, Any], details: Any) -> HTMLResponse:
        """What belongs beneath the field that the request asks about."""
        form = Form(self.schema, values, field_errors(details))
        name = request.headers[CHECK]
        notes = request.app.state.templates.globals["ui"].notes(form[name]) if name in specs_of(self.schema) else ""
        return HTMLResponse(str(notes))


def _values(spec: Spec, posted: FormData) -> list[Any]:
    """The value the form has for a field, or nothing: an empty text counts as left out, an unticked box as false.

    Blanks around a line are typed by accident, and a text of nothing else is empty.
    """
    given = posted.getlist(spec.name)
    texts = [_storable(text) for text in given if isinstance(text, str)]
    if spec.kind != "password":  # a password may well begin or end with a blank
        texts = [text.strip() if spec.kind != "textarea" or text.isspace() else text for text in texts]
    if spec.kind == "file":
        files = only_files(given)
        return [files] if spec.many else files[-1:]
    if spec.rules.get("type") == "boolean":
        return [bool(texts) and texts[-1].lower() not in OFF]
    if spec.kind == "checkboxes":
        return [[text for text in texts if text]]
    if spec.many:
        return [[line.strip() for text in texts for line in text.splitlines() if line.strip()]]
    if texts and texts[-1] != "":
        text = texts[-1]
        return [f"{text}Z" if spec.kind == "datetime-local" and LOCAL.fullmatch(text) else text]
    return [None] if texts and spec.nullable else []


def _storable(text: str) -> str:
    """The text as JSON would bring it: lines end with \\n, whoever sent them (browsers: \\r\\n, htmx: \\n).

    A lone surrogate, which an odd charset can smuggle in, becomes a question mark.
    """
    return text.encode("utf-8", "replace").decode().replace("\r\n", "\n")


if TYPE_CHECKING:
    Submitted = Annotated[S, "submitted"]
else:

    class Submitted:
        """`data: Submitted[PostCreate]`: the posted form, read and validated by that schema."""

        def __class_getitem__(cls, schema: type[BaseModel]) -> Any:
            return Annotated[schema, Depends(FormReader(schema))]


def reads_form(parameter: inspect.Parameter) -> bool:
    """Whether a handler's parameter is a `Submitted[...]`."""
    metadata = getattr(parameter.annotation, "__metadata__", ())
    return any(isinstance(getattr(each, "dependency", None), FormReader) for each in metadata)
