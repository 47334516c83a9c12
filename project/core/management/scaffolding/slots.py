"""The pieces of the scaffold that depend on what was asked for, each written by one function of the spec.

For the scaffold's own spec a slot writes what stands in the scaffold; for another it writes what takes its place.
"""

from collections.abc import Callable, Iterable

from project.core.db.models import NAMES
from project.core.management.scaffolding.fields import Field, member
from project.core.management.scaffolding.spec import Spec

Slot = Callable[[Spec], str]


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


# models.py


def _model(spec: Spec) -> str:
    enums = ""
    for field in spec.own_fields:
        if field.kind == "enum":
            choices = _lines(f'    {member(each)} = "{each}"' for each in field.args)
            enums += f'class {field.enum}(StrEnum):\n    """The choices of `{field.name}`."""\n\n{choices}\n\n'
    return f"{enums}class Thing(Timestamped, Model, table=True):\n"


def _columns(spec: Spec) -> str:
    named, text = spec.named, _lines(field.declared(in_schema=False) for field in spec.own_fields)
    if named.name in NAMES and not named.optional:
        return text
    words = f"self.{named.name}[:80]" if named.kind == "text" else f"self.{named.name}"
    words = f'{words} if self.{named.name} else "Untitled"' if named.optional else words
    return f"{text}\n    def __str__(self) -> str:\n        return {words}\n"


# schemas.py


def ordered(spec: Spec) -> list[Field]:
    """What rows may be ordered by."""
    return [field for field in spec.own_fields if field.type.sorts or field == spec.named]


def _orders(spec: Spec) -> str:
    names = ", ".join(f'"{field.name}", "-{field.name}"' for field in ordered(spec))
    return f'Sort = Literal["-created_at", "created_at", {names}]\n'


def _asked(spec: Spec) -> str:
    return _lines(field.declared(in_schema=True) for field in spec.own_fields)


def _shown(spec: Spec) -> str:
    lines = []
    for field in spec.own_fields:
        python = "datetime" if field.kind == "datetime" else "str" if field.wordy else field.type.python
        words = f"Whether it is {field.words}." if field.kind == "bool" else f"Its {field.words}."
        words = f"{field.label}." if field.kind in ("date", "datetime", "time") else words
        words = f"The id of its {field.words}, which may be none." if field.kind == "ref" else words
        lines.append(f'    {field.column}: {python}{" | None" * field.optional} = Field(description="{words}")')
    return _lines(lines)


def _filters(spec: Spec) -> str:
    lines = []
    for field in spec.own_fields:
        if field.filtered:
            words = (
                f"Only those {field.words}, or not." if field.kind == "bool" else f"Only those with this {field.words}."
            )
            lines.append(
                f'    {field.column}: Annotated[Filter[{field.type.python}], Query(description="{words}")] = None'
            )
    return _lines(lines)


def _query(spec: Spec) -> str:
    order = 'Annotated[Sort, Query(description="The order; a minus reverses it.")] = "-created_at"'
    return f"{_filters(spec)}    sort: {order}\n"


def _changed(spec: Spec) -> str:
    words = '    """Changes to a thing; what is left out stays."""'
    return f"class ThingUpdate(Partial, ThingCreate):\n{words}\n\n\n" if "api" in spec.voices else ""


# services.py


def _list(spec: Spec) -> str:
    user, words, rows = (
        ("", "The things", "select(Thing)")
        if spec.public
        else ("user: Principal, ", "This person's things", "select(Thing).where(Thing.owner_id == user.id)")
    )
    searched = ", ".join(f"Thing.{field.name}" for field in spec.own_fields if field.wordy)
    return (
        f"async def list_things(db: AsyncSession, {user}wanted: ThingQuery) -> Slice[Thing]:\n"
        f'    """{words}, as wanted."""\n    return await wanted.found(db, {rows}, {searched})\n'
    )


def _get(spec: Spec) -> str:
    own = (
        "async def {name}_thing(db: AsyncSession, user: Principal, thing_id: UUID) -> Thing:\n"
        '    """The thing; raises NotFound when there is none, or it is not theirs."""\n'
        "    return await get_or_404(db, select(Thing).where(Thing.id == thing_id, Thing.owner_id == user.id))\n"
    )
    every = (
        "async def get_thing(db: AsyncSession, thing_id: UUID) -> Thing:\n"
        '    """The thing, whoever asks; raises NotFound."""\n'
        "    return await get_or_404(db, select(Thing).where(Thing.id == thing_id))\n\n\n"
    )
    return every + own.format(name="own") if spec.public else own.format(name="get")


def _references(spec: Spec) -> str:
    if not spec.refs:
        return "async def create_thing("
    rows = []
    for field in spec.refs:
        own = f".where({field.referred}.{field.args[1]} == user.id)" if field.args[1] else ""
        rows.append(f'"{field.column}": select({field.referred}){own}')
    return (
        "def references(user: Principal) -> References:\n"
        '    """For each field that refers to something: the rows that this person may choose."""\n'
        f"    return {{{', '.join(rows)}}}\n\n\nasync def create_thing("
    )


def _to_create(spec: Spec) -> str:
    check = "    await check_references(db, references(user), data.model_dump())\n" if spec.refs else ""
    return f'    """Add a thing, which is theirs."""\n{check}'


def _to_change(spec: Spec) -> str:
    check = "    await check_references(db, references(user), changes)\n" if spec.refs else ""
    found = f"await {'own' if spec.public else 'get'}_thing(db, user, thing_id)"
    return f"{check}    thing = {found}\n    thing.sqlmodel_update"


def _to_delete(spec: Spec) -> str:
    return f"db.delete(await {'own' if spec.public else 'get'}_thing("


# api.py


def _api_list(spec: Spec) -> str:
    user, asks = ("", "") if spec.public else (" user: CurrentUser,", " user,")
    words = "List the things." if spec.public else "List your things."
    return (
        f"    request: Request, response: Response, db: DB,{user} wanted: Wanted\n) -> Page[ThingRead]:\n"
        f'    """{words}"""\n    found = await services.list_things(db,{asks} wanted)\n'
    )


def _api_get(spec: Spec) -> str:
    user, asks = ("", "") if spec.public else (", user: CurrentUser", " user,")
    words = "Show a thing." if spec.public else "Show a thing of yours."
    return (
        f"async def get_thing(thing_id: ThingId, db: DB{user}) -> ThingRead:\n"
        f'    """{words}"""\n    return ThingRead.model_validate(await services.get_thing(db,{asks} thing_id))\n'
    )


# pages.py


def _reader(spec: Spec) -> str:
    return "OptionalUser" if spec.public else "CurrentUser"


def _page_list(spec: Spec) -> str:
    return f"user: {_reader(spec)}, wanted: Wanted, page: PageNumber = 1) -> Response:\n"


def _page_listed(spec: Spec) -> str:
    words, asks = ("The", "") if spec.public else ("Their", " user,")
    found = f"    things = await services.list_things(db,{asks} wanted.page(page))\n"
    return f'    """{words} things: searched, filtered, page by page."""\n{found}'


def _page_show(spec: Spec) -> str:
    found = f"    thing = await services.get_thing(db,{'' if spec.public else ' user,'} thing_id)\n"
    return f'user: {_reader(spec)}) -> Response:\n    """All of it."""\n{found}'


def _page_edit(spec: Spec) -> str:
    found = f"    thing = await services.{'own' if spec.public else 'get'}_thing(db, user, thing_id)\n"
    return f'    """The form, filled."""\n{found}'


def _page_ask(spec: Spec) -> str:
    found = f"    thing = await services.{'own' if spec.public else 'get'}_thing(db, user, thing_id)\n"
    return f'    """Ask first, where there is no dialog to do so."""\n{found}'


def _offered(spec: Spec, filled: str = "") -> str:
    choices = ", choices=await choices(db, services.references(user))" if spec.refs else ""
    return f"Form(ThingCreate{filled}{choices})"


def _page_new(spec: Spec) -> str:
    return f'"scaffold/thing_form.html", {{"form": {_offered(spec)}}})'


def _page_filled(spec: Spec) -> str:
    return f'"form": {_offered(spec, ", thing")}'


def _page_opened(spec: Spec) -> str:
    return f"async def new_thing(request: Request, {'db: DB, ' if spec.refs else ''}user"


def _page_again(spec: Spec) -> str:
    return f'@on_invalid("scaffold/thing_form.html"{", context=choices_again" if spec.refs else ""})\n'


def _page_detail(spec: Spec) -> str:
    names = ', "names": await choices(db, services.references(user))' if spec.refs and not spec.public else ""
    return f'{{"thing": thing{names}}}'


def _page_choices(spec: Spec) -> str:
    again = (
        "async def choices_again(request: Request) -> dict[str, Any]:\n"
        '    """What the form offers when it comes back."""\n'
        "    user = await principal(request)\n    assert user is not None\n"
        "    async with request.app.state.runtime.unit_of_work(write=False) as db:\n"
        '        return {"choices": await choices(db, services.references(user))}\n\n\n'
    )
    return f'{again if spec.refs else ""}@router.get("/things/new", name="scaffold:new")\n'


# app.py, admin.py


def _routers(spec: Spec) -> str:
    return _lines(f"    {voice}={voice}.router," for voice in spec.voices)


def _menu(spec: Spec) -> str:
    return '    menu=[MenuItem("Things", "scaffold:list")],\n' if "pages" in spec.voices else ""


def _admin(spec: Spec) -> str:
    shown = ", ".join(
        f"Thing.{field.column}" for field in spec.own_fields if field.kind != "text" or field == spec.named
    )
    searched = ", ".join(f"Thing.{field.name}" for field in spec.own_fields if field.wordy)
    sortable = ", ".join(f"Thing.{field.name}" for field in ordered(spec))
    named = '    name_plural = "Things"\n' if spec.plural_given else ""
    return (
        f"{named}    column_list = [{shown}, Thing.owner_id, Thing.created_at]\n"
        f"    column_searchable_list = [{searched}]\n    column_sortable_list = [{sortable}, Thing.created_at]\n"
    )


_WITH_REFS = [_page_choices, _page_new, _page_filled, _page_opened, _page_again, _page_detail]
SLOTS: dict[str, list[Slot]] = {
    "models.py": [_model, _columns],
    "schemas.py": [_orders, _asked, _changed, _shown, _query],
    "services.py": [_list, _get, _references, _to_create, _to_change, _to_delete],
    "api.py": [_api_list, _api_get],
    "pages.py": [_page_list, _page_listed, _page_show, _page_edit, _page_ask, *_WITH_REFS],
    "app.py": [_routers, _menu],
    "admin.py": [_admin],
}
