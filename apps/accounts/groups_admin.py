"""Groups in the admin: who is in them, and what they may do, as checkboxes by app and model."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from markupsafe import Markup
from sqlmodel import col, select
from starlette.requests import Request
from wtforms import SelectMultipleField  # type: ignore[import-untyped]

from apps.accounts.models import Group, Membership
from apps.accounts.policies import may_give
from project.core import Forbidden, ModelAdmin, NotFound
from project.core.admin.door import visit
from project.core.admin.rights import Offer
from project.core.live import revoke

TOO_MUCH = "You cannot give what you may not do yourself, nor change a group that may do more than you may."
APP = Markup('<fieldset class="permissions"><legend>{}</legend>{}</fieldset>')
ROW = Markup('<div role="group" aria-label="{}"><span>{}</span>{}</div>')
BOX = Markup(
    '<label class="form-check form-check-inline"><input type="checkbox" class="form-check-input"'
    ' name="{}" value="{}"{}> <span class="form-check-label">{}</span></label>'
)
CHECKED = Markup(" checked")


class Checkboxes:
    """Draws the offers: a fieldset for each app, a line for each model."""

    def __call__(self, field: "PermissionsField", **_: Any) -> Markup:
        """The fieldsets as HTML."""
        ticked = set(field.data or [])
        return Markup().join(
            APP.format(app, Markup().join(self._rows(field.name, list(offers), ticked)))
            for app, offers in groupby(field.offers, lambda offer: offer[0])
        )

    def _rows(self, name: str, offers: Sequence[Offer], ticked: set[str]) -> list[Markup]:
        return [
            ROW.format(title or offers[0][0], title, Markup().join(self._box(name, offer, ticked) for offer in row))
            for title, row in groupby(offers, lambda offer: offer[1])
        ]

    def _box(self, name: str, offer: Offer, ticked: set[str]) -> Markup:
        return BOX.format(name, offer[2], CHECKED if offer[2] in ticked else "", offer[3])


class PermissionsField(SelectMultipleField):  # type: ignore[misc]
    """Any of the offered permissions; another one is no valid choice."""

    widget = Checkboxes()

    def __init__(self, label: str = "", validators: Any = None, offers: Sequence[Offer] = (), **options: Any) -> None:
        self.offers = offers
        super().__init__(label, validators, choices=[(offer[2], offer[3]) for offer in offers], **options)


def _in_words(permissions: Sequence[str], offers: Sequence[Offer]) -> str:
    known = [offer for offer in offers if offer[2] in permissions]
    lines = [
        f"{' › '.join(filter(None, where))}: {', '.join(offer[3] for offer in of)}"
        for where, of in groupby(known, lambda offer: offer[:2])
    ]
    unknown = sorted(set(permissions) - {offer[2] for offer in offers})
    return "\n".join([*lines, *(f"{name} (no app knows it any more)" for name in unknown)])


class GroupAdmin(ModelAdmin, model=Group):
    """Groups: nobody gives here what they do not have, and a group that may do more than they may is out of reach."""

    icon = "fa-solid fa-users"
    column_list = [Group.name, Group.updated_at]
    column_details_list = ["name", "permissions", "members", "created_at", "updated_at"]
    column_searchable_list = [Group.name]
    column_sortable_list = [Group.name, Group.updated_at]
    column_default_sort = "name"
    form_columns = ["name", "members"]
    form_ajax_refs = {"members": {"fields": ("email", "name"), "order_by": "email"}}

    async def scaffold_form(self, rules: list[str] | None = None) -> Any:
        """The form, with the permissions that this visitor may give."""
        form: Any = await super().scaffold_form(rules)
        request = visit.get()
        offers = [each for each in self._offers() if request and may_give(self.visitor(request), [each[2]])]
        return type(form)(form.__name__, (form,), {"permissions": PermissionsField("Permissions", offers=offers)})

    async def get_form_data_for_edit(self, obj: Group) -> dict[str, Any]:
        """What the form shows at first."""
        data: dict[str, Any] = await super().get_form_data_for_edit(obj)
        return data | {"permissions": obj.permissions}

    async def get_detail_value(self, obj: Group, prop: str, request: Request | None = None) -> Any:
        """The permissions in words."""
        found = await super().get_detail_value(obj, prop, request)
        return (found[0], _in_words(obj.permissions, self._offers())) if prop == "permissions" else found

    async def check_can_edit(self, request: Request, model: Group) -> bool:
        """Only a group within reach."""
        return may_give(self.visitor(request), model.permissions) and await super().check_can_edit(request, model)

    async def check_can_delete(self, request: Request, model: Group) -> bool:
        """Only a group within reach."""
        return may_give(self.visitor(request), model.permissions) and await super().check_can_delete(request, model)

    async def on_model_change(self, data: dict[str, Any], model: Group, is_created: bool, request: Request) -> None:
        """Raise Forbidden for what is out of reach; a permission that no app knows any more stays, and does nothing."""
        before = set() if is_created else await self._within_reach(model, request)
        unknown = before - {offer[2] for offer in self._offers()}
        data["permissions"] = sorted({*(data.get("permissions") or []), *unknown})
        if not may_give(self.visitor(request), data["permissions"]):
            raise Forbidden(TOO_MUCH)
        await self._ask_members_again(model)

    async def on_model_delete(self, model: Group, request: Request) -> None:
        """Raise Forbidden for what is out of reach."""
        await self._within_reach(model, request)
        await self._ask_members_again(model)

    async def _ask_members_again(self, model: Group) -> None:
        """What members follow ends where they lose the right to it."""
        if (db := self.session_of(model)) is not None:
            await revoke(db, *await db.exec(select(Membership.user_id).where(col(Membership.group_id) == model.id)))

    async def _within_reach(self, model: Group, request: Request) -> set[str]:
        """What the group may do at this moment: somebody else may have given it more since it was shown."""
        now = select(Group.permissions).where(col(Group.id) == model.id).with_for_update()
        found = (await self.session_of(model).exec(now)).first()
        if found is None:
            raise NotFound
        if not may_give(self.visitor(request), found):
            raise Forbidden(TOO_MUCH)
        return set(found)

    def _offers(self) -> list[Offer]:
        rights: Any = self._authorization_backend()
        found: list[Offer] = rights.offered()
        return found
