"""Who may do what to which row: plain functions, asked by the API, the pages, sockets and the admin alike.

Permissions such as `accounts.user.view` say what somebody may do to all rows of a kind; a policy says what they may
do to this one. It takes who asks and the row, touches no database, and answers yes or no; whoever asks it raises.
Where rows belong to somebody, the owner stands in the query instead, so that a foreign row is not even read.
"""

from collections.abc import Iterable
from uuid import UUID

from apps.accounts.models import User
from project.core import Principal


def may_see(user: Principal, other_id: UUID) -> bool:
    """Oneself, or with the permission anybody."""
    return user.id == other_id or user.can("accounts.user.view")


def may_touch(user: Principal, other: User) -> bool:
    """Superusers are a superuser's business."""
    return user.is_superuser or not other.is_superuser


def may_give(user: Principal, permissions: Iterable[str]) -> bool:
    """Nobody hands on what they do not have, nor changes a group that may do more than they may."""
    return all(map(user.can, permissions))
