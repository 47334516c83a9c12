"""Refusals: raised anywhere, put into words once (web/problems.py).

DomainError                 status  meaning
├── BadRequest              400     not understandable; a link or code that no longer counts
├── Invalid                 422     the data breaks a rule
├── Stale                   412     somebody changed it meanwhile
├── Conflict                409     the data clashes with others
├── NotAuthenticated        401     who are you?
├── Forbidden               403     I know you, and no
├── NotFound                404     not there, or not yours (never tell which)
├── TooMany                 429     slow down
└── Unavailable             503     something we lean on is away
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass


class ConfigurationError(SystemExit):
    """The site cannot start as configured; the text says what to change. Ends the process with code 1."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """One broken rule: the field's name ("" for the whole form), a stable code, the words people read."""

    field: str
    code: str
    message: str


class DomainError(Exception):
    """The base of every expected refusal.

    Args:
        message: what people read; says what to do.
        field: the field it is about, where there is one.
        code: a stable word for programs.
        retry_after: seconds until it makes sense to come back.
    """

    status = 400
    code = "bad_request"
    message = "The request could not be understood."

    def __init__(
        self,
        message: str | None = None,
        *,
        field: str = "",
        code: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        self.message = message or type(self).message
        self.field = field
        self.code = code or type(self).code
        self.retry_after = retry_after
        super().__init__(self.message)

    @property
    def errors(self) -> list[FieldError]:
        """The refusal as a list of field errors, the shape forms and problem documents share."""
        return [FieldError(self.field, self.code, self.message)]


class BadRequest(DomainError):
    """Not understandable, or a link or code that no longer counts."""


class Invalid(DomainError):
    """The data breaks a rule."""

    status = 422
    code = "invalid"
    message = "Some of the data is not valid."


class Stale(DomainError):
    """Somebody changed it meanwhile."""

    status = 412
    code = "stale"
    message = "Somebody else changed this meanwhile. Look at it again, then repeat your change."


class Conflict(DomainError):
    """The data clashes with what is already there."""

    status = 409
    code = "conflict"
    message = "This clashes with something that already exists."


class NotAuthenticated(DomainError):
    """Nobody is signed in."""

    status = 401
    code = "not_authenticated"
    message = "Log in to continue."


class Forbidden(DomainError):
    """Signed in, but not allowed."""

    status = 403
    code = "forbidden"
    message = "You are not allowed to do this."


class NotFound(DomainError):
    """Not there, or not yours."""

    status = 404
    code = "not_found"
    message = "There is nothing here, or it is not yours."


class TooMany(DomainError):
    """Too many tries."""

    status = 429
    code = "too_many"
    message = "That was too often. Wait a moment, then try again."


class Unavailable(DomainError):
    """Something the site leans on is away."""

    status = 503
    code = "unavailable"
    message = "The site is busy or a part of it is away. Try again in a moment."


def nearest(name: str, known: Sequence[str]) -> str:
    """A helpful " Did you mean …?" or nothing."""
    close = difflib.get_close_matches(name, known, n=1)
    return f" Did you mean {close[0]!r}?" if close else ""
