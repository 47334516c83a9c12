"""People, their sessions and tokens, and what happened, in the admin; hashes and tokens are never shown."""

from typing import Any

from markupsafe import Markup
from sqladmin.filters import BooleanFilter, StaticValuesFilter
from sqlalchemy import Select, or_
from sqlmodel import col, select
from starlette.requests import Request

from apps.accounts import events, sessions
from apps.accounts.kinds import WORDS, Kind
from apps.accounts.models import ApiToken, Event, Session, User
from apps.accounts.policies import may_touch
from apps.accounts.services import keep_a_superuser
from project.core import Conflict, Forbidden, ModelAdmin
from project.core.db.queries import contains
from project.core.live import revoke

BY_STAFF = "by staff"


class UserAdmin(ModelAdmin, model=User):
    """People: found by e-mail or name; the password is theirs alone, and a superuser is a superuser's business."""

    name = "Person"
    name_plural = "People"
    icon = "fa-solid fa-user"
    column_list = [User.email, User.name, User.is_active, User.is_staff, User.created_at]
    column_searchable_list = [User.email, User.name]
    column_sortable_list = [User.email, User.name, User.created_at]
    column_filters = [
        BooleanFilter("is_active", title="Active"),
        BooleanFilter("is_staff", title="Staff"),
        BooleanFilter("is_superuser", title="Superuser"),
    ]
    column_labels = {
        User.email: "E-mail",
        User.is_active: "Active",
        User.is_staff: "Staff",
        User.is_superuser: "Superuser",
        User.is_verified: "Verified",
    }
    form_columns = [User.name, User.is_active, User.is_staff, User.is_superuser, User.is_verified]
    superuser_fields = [User.is_staff, User.is_superuser]
    can_create = False

    async def check_can_edit(self, request: Request, model: User) -> bool:
        """Superusers are edited by superusers only."""
        return may_touch(self.visitor(request), model) and await super().check_can_edit(request, model)

    async def check_can_delete(self, request: Request, model: User) -> bool:
        """Superusers are deleted by superusers only."""
        return may_touch(self.visitor(request), model) and await super().check_can_delete(request, model)

    async def on_model_change(self, data: dict[str, Any], model: User, is_created: bool, request: Request) -> None:
        """End the sessions and tokens of whoever is deactivated; raise Conflict when no superuser would be left."""
        db = self.session_of(model)
        if not (data.get("is_active", True) and data.get("is_superuser", True)):
            await keep_a_superuser(db, without=model.id)
        if not data.get("is_active", True):
            await sessions.end_all(db, model.id)
            if model.is_active:
                await events.note(db, model.id, Kind.SESSIONS_ENDED, None, BY_STAFF)
        await revoke(db, model.id)

    async def on_model_delete(self, model: User, request: Request) -> None:
        """Raise Conflict for one's own account, and for the last superuser's."""
        if model.id == self.visitor(request).id:
            raise Conflict("This is your own account. Delete it on your profile page.")
        db = self.session_of(model)
        await keep_a_superuser(db, without=model.id)
        await revoke(db, model.id)


def _person(row: Any, _: str, request: Request) -> Markup | str:
    if row.user_id is None:
        return ""
    address = request.url_for("admin:details", identity=UserAdmin.identity, pk=row.user_id)
    return Markup('<a href="{}">{}</a>').format(address, row.user_id)


class Theirs(ModelAdmin):
    """What belongs to a person and proves who they are: looked at, or ended by deleting it."""

    can_create = can_edit = False
    column_formatters = {"user_id": _person}
    ending = Kind.SESSION_ENDED

    async def on_model_delete(self, model: Any, request: Request) -> None:
        """Raise Forbidden for what is a superuser's, unless a superuser asks."""
        db = self.session_of(model)
        if not may_touch(self.visitor(request), await db.get_one(User, model.user_id)):
            raise Forbidden("Only superusers may sign a superuser out.")
        await revoke(db, model.user_id)
        await events.note(db, model.user_id, self.ending, None, BY_STAFF)


class SessionAdmin(Theirs, model=Session):
    """Signed-in devices: delete a row to sign it out."""

    icon = "fa-solid fa-key"
    column_list = [Session.user_id, Session.kind, Session.address, Session.user_agent, Session.last_seen_at]
    column_searchable_list = [Session.address, Session.user_agent]
    column_sortable_list = [Session.created_at, Session.last_seen_at, Session.expires_at]
    column_default_sort = [(Session.last_seen_at, True)]
    column_filters = [StaticValuesFilter("kind", values=[("browser", "Browser"), ("api", "API")])]


class ApiTokenAdmin(Theirs, model=ApiToken):
    """Tokens of people's programs: delete a row to revoke it."""

    name = "API token"
    icon = "fa-solid fa-robot"
    ending = Kind.TOKEN_REVOKED
    column_list = [ApiToken.user_id, ApiToken.name, ApiToken.last_used_at, ApiToken.expires_at]
    column_searchable_list = [ApiToken.name]
    column_sortable_list = [ApiToken.created_at, ApiToken.last_used_at, ApiToken.expires_at]


class EventAdmin(ModelAdmin, model=Event):
    """What happened to accounts: found by e-mail, address, device or what it was about; nobody changes it."""

    icon = "fa-solid fa-clock-rotate-left"
    can_create = can_edit = can_delete = False
    column_list = [
        *(Event.happened_at, Event.kind, Event.user_id, Event.address, Event.device, Event.detail, Event.count),
    ]
    column_searchable_list = [Event.address, Event.device, Event.detail]
    column_sortable_list = [Event.happened_at, Event.count]
    column_default_sort = [(Event.happened_at, True)]
    column_filters = [StaticValuesFilter("kind", values=[(kind.value, WORDS[kind]) for kind in Kind])]
    column_formatters = {Event.user_id: _person}

    def search_query(self, stmt: Select[Any], term: str) -> Select[Any]:
        """Events that contain the term, and those of people whose e-mail does."""
        people = select(User.id).where(contains(User.email, term))
        found = [contains(column, term) for column in self.column_searchable_list]
        return stmt.where(or_(*found, col(Event.user_id).in_(people)))
