"""What a visitor may do in the admin: SQLAdmin's questions, answered by the permissions of their groups."""

from typing import Any

from sqladmin.authorization import AuthorizationBackend
from starlette.requests import Request

from project.core.apps import Registry
from project.core.db.models import snake
from project.core.errors import ConfigurationError, nearest
from project.core.web.access import Lacking

WORDS = {"view": "See", "add": "Add", "change": "Change", "delete": "Delete"}
NEEDED = {
    **dict.fromkeys(("list", "details", "history", "export"), "view"),
    **dict.fromkeys(("create", "import"), "add"),
    "edit": "change",
    "delete": "delete",
}
FOR_ALL_WHO_ENTER = {"list", "ajax/lookup"}  # for whoever may do anything there; SQLAdmin asks what they show then
Offer = tuple[str, str, str, str]  # the app, what it is about, the permission, the words people read


class Rights(AuthorizationBackend):
    """The permissions `<app>.<model>.<view|add|change|delete>`, and those that apps name themselves."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.views: dict[str, tuple[str, Any]] = {}

    def add(self, app: str, view: Any) -> None:
        """Take in a view of the app with this label."""
        self.views[view.identity] = (f"{app}.{snake(view.model.__name__) if view.is_model else view.identity}", view)

    def needed(self, identity: str, action: str) -> str:
        """The permission for one of SQLAdmin's actions; one of an app's own needs `change`, or what the view says."""
        subject, view = self.views[identity]
        own = getattr(view, "action_permissions", {}).get(action.removeprefix("action:"), "change")
        return f"{subject}.{NEEDED.get(action, own)}"

    def has_permission(self, request: Request, identity: str, action: str, obj: Any = None) -> bool:
        """Whether the visitor may; who may do what to one row is for the view's `check_can_…` to say besides."""
        return identity in self.views and bool(request.state.principal.can(self.needed(identity, action)))

    def admit(self, request: Request) -> None:
        """Raise Forbidden for an address of a view, whatever the hooks of that view would say."""
        path = request.scope["path"].removeprefix(request.scope["root_path"])
        identity, _, rest = path[1:].partition("/")
        if identity not in self.views:
            return
        word, _, slug = rest.partition("/")
        actions = [f"action:{slug}" if word in ("action", "confirm") else word if word in NEEDED else "details"]
        if rest in FOR_ALL_WHO_ENTER:
            actions = self.views[identity][1]._authorization_actions()
        looked_up = request.query_params.get("name") if rest == "ajax/lookup" else None
        allowed = any(self.has_permission(request, identity, each) for each in actions)
        if not allowed or looked_up in self.out_of_sight(request, identity):
            raise Lacking(self.needed(identity, actions[0]))

    def out_of_sight(self, request: Request, identity: str) -> set[str]:
        """The relations of a view's model that lead to rows which the visitor may not see."""
        _, view = self.views.get(identity, ("", None))
        tables = {name: other.model for name, (_, other) in self.views.items() if other.is_model}
        seen = {model for name, model in tables.items() if self.has_permission(request, name, "list")}
        relations = view._mapper.relationships if identity in tables else ()
        return {each.key for each in relations if each.mapper.class_ in {*tables.values()} - seen}

    def offered(self) -> list[Offer]:
        """Every permission there is to give, app by app."""
        found: dict[str, Offer] = {}
        titles = {each.label: each.title or each.label.capitalize() for each in self.registry.apps}
        for identity, (subject, view) in self.views.items():
            app = titles.get(subject.partition(".")[0], "System")
            names = {self.needed(identity, each) for each in view._authorization_actions()}
            usual = [f"{subject}.{word}" for word in WORDS]
            for name in [*(each for each in usual if each in names), *sorted(names.difference(usual))]:
                word = name.rpartition(".")[2]
                title = getattr(view, "name_plural", "") or view.name
                found.setdefault(name, (app, title, name, WORDS.get(word, word.replace("_", " ").capitalize())))
        for each in self.registry.apps:
            for name, words in each.permissions.items():
                found.setdefault(name, (titles[each.label], "", name, words))
        return sorted(found.values(), key=lambda offer: offer[0])

    def check(self, name: str, where: str) -> None:
        """Raise ConfigurationError for a permission that nobody could be given."""
        known = [offer[2] for offer in self.offered()]
        if name not in known:
            hint = nearest(name, known) or " Name it in AppConfig(permissions={…})."
            raise ConfigurationError(f"{where} needs {name!r}, which no admin view and no app offers.{hint}")
