"""Schemas every app shares: the base of what is read, and the page of a list."""

from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from project.core.db.queries import Slice

T = TypeVar("T")


class ReadSchema(BaseModel):
    """The base of what an API answers with: plain Pydantic, filled from rows."""

    model_config = ConfigDict(from_attributes=True)


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
