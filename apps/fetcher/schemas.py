"""What comes in and what goes out."""

from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, Field

from apps.fetcher.client import LONGEST_URL, Failure
from project.core import ReadSchema

Urls = Annotated[
    list[Annotated[str, Field(max_length=LONGEST_URL)]],
    Query(min_length=1, max_length=20, description="What to fetch; name it again for each URL."),
]


class FetchRead(ReadSchema):
    """What became of a URL. With an error the rest is what was known by then."""

    url: str = Field(description="The URL as it was given.")
    final_url: str = Field(description="Where the redirects ended.")
    status_code: int | None = Field(description="The status of the answer.")
    error: Failure | None = Field(description="Why there is no result.")
    message: str = Field(description="The error in words.")
    redirects: list[str] = Field(description="The addresses that redirected, in order.")
    attempts: int = Field(description="How often it was tried.")
    elapsed_ms: int = Field(description="Milliseconds it took in all.")
    size: int = Field(description="The body's length in bytes, decoded.")
    content_type: str = Field(description="The body's type.")
    charset: str | None = Field(description="The charset of a text.")
    title: str = Field(description="The title of a page.")
    sha256: str = Field(description="The SHA-256 of the decoded body, in hexadecimal.")


class FetchResults(BaseModel):
    """A result for each URL, in the order of the URLs."""

    results: list[FetchRead] = Field(description="One for each URL, in their order.")
