"""Schemas every app shares: the base of what is read, and the page of a list."""

from collections.abc import Callable
from typing import Annotated, Any, Generic, Self, TypeVar
from urllib.parse import urlencode

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, HttpUrl, TypeAdapter
from pydantic_core import PydanticUndefined
from starlette.requests import Request
from starlette.responses import Response

from project.core.db.queries import Slice

T = TypeVar("T")


class ReadSchema(BaseModel):
    """The base of what an API answers with: plain Pydantic, filled from rows."""

    model_config = ConfigDict(from_attributes=True)


def _web_address(text: str) -> str:
    TypeAdapter(HttpUrl).validate_python(text)
    return text


Url = Annotated[str, Field(max_length=2083, json_schema_extra={"format": "uri"}), AfterValidator(_web_address)]
"""An address of the web, kept as it was written."""


class Partial(BaseModel):
    """Let every field of a schema be left out: `class PostUpdate(Partial, PostCreate)`.

    `data.model_dump(exclude_unset=True)` is what was sent. Null empties a field that may be empty, no other.
    """

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        for field in cls.model_fields.values():
            field.default, field.default_factory = PydanticUndefined, lambda: None
        cls.model_rebuild(force=True)


class Page(BaseModel, Generic[T]):
    """A part of a list."""

    items: list[T] = Field(description="The items of this part.")
    total: int = Field(description="How many there are in all.")
    limit: int = Field(description="How many were asked for at most.")
    offset: int = Field(description="How many were passed over.")
    next: str | None = Field(description="Where the next part is, or null at the end.")

    @classmethod
    def of(
        cls, found: Slice[Any], read: Callable[[Any], T], request: Request, response: Response | None = None
    ) -> Self:
        """The slice as an answer; with a response, its Link header (RFC 8288) names the next part too."""
        after = found.offset + found.limit
        link = None
        if after < found.total:
            query = dict(request.query_params) | {"limit": str(found.limit), "offset": str(after)}
            link = f"{request.url.path}?{urlencode(query)}"
            if response is not None:
                response.headers["Link"] = f'<{link}>; rel="next"'
        return cls(
            items=[read(item) for item in found.items],
            total=found.total,
            limit=found.limit,
            offset=found.offset,
            next=link,
        )
