"""Rooms in the admin: looked after, and messages taken out of them."""

from starlette.requests import Request

from apps.realtime.messages import remove_message
from apps.realtime.models import Member, Message, Room
from apps.realtime.services import tell_rights, topic
from project.core import AsyncSession, ModelAdmin
from project.core.live import revoke


class RoomAdmin(ModelAdmin, model=Room):
    """Rooms, private ones too; deleting one takes all that was said with it."""

    icon = "fa-solid fa-comments"
    can_create = False
    form_columns = [Room.title, Room.private]
    column_list = [Room.title, Room.slug, Room.private, Room.latest, Room.updated_at]
    column_searchable_list = [Room.title, Room.slug]
    column_sortable_list = [Room.latest, Room.updated_at]
    column_default_sort = [(Room.updated_at, True)]

    async def on_model_change(self, data: dict[str, object], model: Room, is_created: bool, request: Request) -> None:
        """Whoever is there is asked again whether they may be."""
        await tell_rights(self.session_of(model), model.id)

    async def on_model_delete(self, model: Room, request: Request) -> None:
        """Whoever is there learns that it is gone."""
        await tell_rights(self.session_of(model), model.id)


class MemberAdmin(ModelAdmin, model=Member):
    """Who belongs to which room."""

    icon = "fa-solid fa-user-group"
    can_create = can_edit = False
    column_list = [Member.room_id, Member.user_id, Member.joined_at]
    column_default_sort = [(Member.joined_at, True)]

    async def on_model_delete(self, model: Member, request: Request) -> None:
        """What they still follow of the room ends."""
        await revoke(self.session_of(model), model.user_id, topic=topic(model.room_id))


class MessageAdmin(ModelAdmin, model=Message):
    """What was said. Deleting a message takes its text out of the room, for all who see it now and later."""

    icon = "fa-solid fa-message"
    can_create = can_edit = False
    column_list = [Message.created_at, Message.room_id, Message.author_id, Message.body, Message.removed]
    column_searchable_list = [Message.body]
    column_sortable_list = [Message.created_at]

    async def remove(self, db: AsyncSession, row: Message) -> None:
        """Keep its place, so that whoever is away learns of it."""
        await remove_message(db, row)
