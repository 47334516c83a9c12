"""Who may call a route: `needs` asks for a permission, and `who_may` reads off any route whom it lets in."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fastapi import Depends
from fastapi.dependencies.models import Dependant

from project.core.errors import Forbidden
from project.core.identity import Principal
from project.core.web.deps import SignedIn, signed_in

ANYONE = "anyone"
SIGNED_IN = "signed in"


class Lacking(Forbidden):
    """Signed in, without the permission that is needed."""

    def __init__(self, permission: str) -> None:
        super().__init__(f"{Forbidden.message} You lack the permission {permission}.")


@dataclass(frozen=True)
class Permitted:
    """A dependency that lets those in who have the permission `who`; raises NotAuthenticated or Forbidden."""

    who: str

    async def __call__(self, user: SignedIn) -> Principal:
        """Whoever is signed in."""
        if not user.can(self.who):
            raise Lacking(self.who)
        return user


def needs(permission: str) -> Any:
    """For a handler that not everybody may call: `user: Annotated[Principal, needs("blog.post.change")]`."""
    return Depends(Permitted(permission))


def permissions_of(route: Any) -> list[str]:
    """The permissions that a route asks for."""
    return [call.who for call in _calls(getattr(route, "dependant", None)) if isinstance(call, Permitted)]


def who_may(route: Any) -> str:
    """In words, whom the dependencies of a route let in; one that is no `needs` says it by an attribute `who`."""
    calls = list(_calls(getattr(route, "dependant", None)))
    told = [each.who for each in calls if hasattr(each, "who")]
    return ", ".join(told) or (SIGNED_IN if signed_in in calls else ANYONE)


def _calls(dependant: Dependant | None) -> Iterator[Any]:
    for each in dependant.dependencies if dependant else ():
        yield each.call
        yield from _calls(each)
