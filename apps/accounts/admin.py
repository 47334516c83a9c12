"""People and sessions in the admin; hashes and tokens are never shown."""

from typing import Any

from sqladmin.filters import BooleanFilter, StaticValuesFilter
from sqlalchemy import delete
from sqlalchemy.ext.asyncio import async_object_session
from sqlmodel import col
from starlette.requests import Request

from apps.accounts.models import Session, User
from apps.accounts.services import keep_a_superuser
from project.core import AsyncSession, Conflict, Forbidden, ModelAdmin, Principal
from project.core.live import revoke


class UserAdmin(ModelAdmin, model=User):
    """People: found by e-mail or name; the password is theirs alone, and a superuser is a superuser's business."""

    name = "Person"
    name_plural = "People"
    icon = "fa-solid fa-user"
    column_list = [User.email, User.name, User.is_active, User.is_staff, User.created_at]
    column_searchable_list = [User.email, User.name]
    column_sortable_list = [User.email, User.name, User.created_at]
    column_default_sort = [(User.created_at, True)]
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
        return _may_touch(request, model) and await super().check_can_edit(request, model)

    async def check_can_delete(self, request: Request, model: User) -> bool:
        """Superusers are deleted by superusers only."""
        return _may_touch(request, model) and await super().check_can_delete(request, model)

    async def on_model_change(self, data: dict[str, Any], model: User, is_created: bool, request: Request) -> None:
        """End the sessions of whoever is deactivated; raise Conflict when no superuser would be left."""
        db = async_object_session(model)
        assert isinstance(db, AsyncSession)
        if not (data.get("is_active", True) and data.get("is_superuser", True)):
            await keep_a_superuser(db, without=model.id)
        if not data.get("is_active", True):
            await db.execute(delete(Session).where(col(Session.user_id) == model.id))
        await revoke(db, model.id)

    async def on_model_delete(self, model: User, request: Request) -> None:
        """Raise Conflict for one's own account, and for the last superuser's."""
        if model.id == _principal(request).id:
            raise Conflict("This is your own account. Delete it on your profile page.")
        db = async_object_session(model)
        assert isinstance(db, AsyncSession)
        await keep_a_superuser(db, without=model.id)
        await revoke(db, model.id)


class SessionAdmin(ModelAdmin, model=Session):
    """Signed-in devices: delete a row to sign it out."""

    icon = "fa-solid fa-key"
    column_list = [Session.user_id, Session.kind, Session.address, Session.user_agent, Session.last_seen_at]
    column_searchable_list = [Session.address, Session.user_agent]
    column_sortable_list = [Session.created_at, Session.last_seen_at, Session.expires_at]
    column_default_sort = [(Session.last_seen_at, True)]
    column_filters = [StaticValuesFilter("kind", values=[("browser", "Browser"), ("api", "API")])]
    can_create = False
    can_edit = False

    async def on_model_delete(self, model: Session, request: Request) -> None:
        """Raise Forbidden for a superuser's session, unless a superuser asks."""
        db = async_object_session(model)
        assert isinstance(db, AsyncSession)
        if not _may_touch(request, await db.get_one(User, model.user_id)):
            raise Forbidden("Only superusers may sign a superuser out.")
        await revoke(db, model.user_id)


def _principal(request: Request) -> Principal:
    who: Principal = request.state.principal
    return who


def _may_touch(request: Request, user: User) -> bool:
    return _principal(request).is_superuser or not user.is_superuser
