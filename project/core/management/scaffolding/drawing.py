"""The slots of the scaffold's templates and of its tests; how they work is said in slots.py."""

from project.core.conf import ROOT
from project.core.db.models import snake
from project.core.management.scaffolding.fields import Field
from project.core.management.scaffolding.slots import Slot, ordered
from project.core.management.scaffolding.spec import Spec

REFERRING = """\
async def test_the_{name}_of_a_thing_is_ones_own(
    client: httpx2.AsyncClient, sign_in: SignIn, make_user: MakeUser, db: AsyncSession
) -> None:
    from tests.{label}.walks import ROWS

    theirs, mine = [await ROWS["{key}"](db, user) for user in (await make_user("bob@example.com"), await sign_in())]
    refused = await client.post(URL, json=EXAMPLE | {{"{column}": str(theirs)}})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "{column}")
    assert (await client.post(URL, json=EXAMPLE | {{"{column}": str(mine)}})).json()["{column}"] == str(mine)


"""
WIDTH = 120
WHOSE = "{% if user and user.id == thing.owner_id %}"


def _columns(spec: Spec) -> list[Field]:
    """What a list shows beside the name of a row."""
    return [field for field in spec.own_fields if field not in (spec.named, *spec.refs) and field.kind != "text"]


def _heads(spec: Spec) -> str:
    heads = [
        (f'(_("{field.label}"), "number")' if field.type.number else f'_("{field.label}")') for field in _columns(spec)
    ]
    shown = ", ".join([f'_("{spec.named.label}")', *heads, '_("Added")'])
    return f'{{% call ui.table(_("Things"), [{shown}, (_("Actions"), "hidden")], visible=False) %}}\n'


def _cells(spec: Spec) -> str:
    lines = []
    for field in _columns(spec):
        number = ' class="number"' if field.type.number else ""
        lines.append(f"  <td{number}>{{{{ ui.value(thing.{field.name}) }}}}</td>\n")
    return "".join([*lines, "  <td>{{ ui.value(thing.created_at) }}</td>\n"])


def _delete(spec: Spec) -> str:
    return f"  <td>{WHOSE if spec.public else ''}{{{{ ui.delete("


def _deleted(spec: Spec) -> str:
    return f'target="closest tr") }}}}{"{% endif %}" if spec.public else ""}</td>\n'


def _choices(spec: Spec) -> str:
    lines = []
    for field in spec.own_fields:
        if field.kind in ("bool", "enum"):
            words = {each: each.replace("_", " ").capitalize() for each in field.args} or {"true": "Yes", "false": "No"}
            pairs = {"": f"{field.label}: all"} | words
            lines.append(
                _choice(field.name, field.label, pairs, f"wanted.{field.name}{'' if field.args else '|tojson'}")
            )
    orders = {"-created_at": "Latest first", "created_at": "Oldest first"}
    orders |= {field.name: f"By {field.words}" for field in ordered(spec) if field.kind != "enum"}
    return "".join([*lines, _choice("sort", "Order", orders, "wanted.sort")])


def _choice(name: str, label: str, words: dict[str, str], chosen: str) -> str:
    pairs = ", ".join(f'("{value}", _("{word}"))' for value, word in words.items())
    return f'{{{{ ui.choice("{name}", _("{label}"), [{pairs}], {chosen}) }}}}\n'


def _placeholder(spec: Spec) -> str:
    searched = [
        field.label if not number else field.words for number, field in enumerate(f for f in spec.own_fields if f.wordy)
    ]
    return f'placeholder=_("{", ".join(searched)}")'


def _facts(spec: Spec) -> str:
    shown = [
        field for field in spec.own_fields if field not in (spec.refs) and (field != spec.named or field.kind == "text")
    ]
    lines = [f'  (_("{field.label}"), thing.{field.name}),\n' for field in shown]
    for field in () if spec.public else spec.refs:
        lines.append(f'  (_("{field.label}"), names.{field.column}[thing.{field.column}|string]),\n')
    return "".join(["{% block row %}{{ ui.facts([\n", *lines, '  (_("Added"), thing.created_at),\n'])


def _actions(spec: Spec) -> str:
    return f'{{% block actions %}}\n{f"{WHOSE}{chr(10)}" if spec.public else ""}{{{{ ui.link_button(_("Edit")'


def _acted(spec: Spec) -> str:
    end = "{% endif %}\n" if spec.public else ""
    return f'thing_id=thing.id), "quiet") }}}}\n{end}'


# tests


def _example(spec: Spec) -> str:
    values = {field.column: "Hello" if field == spec.named else field.type.example for field in spec.own_fields}
    pairs = ", ".join(f'"{name}": {value!r}' for name, value in values.items())
    return f"EXAMPLE = {{{pairs}}}\n".replace("'", '"')


def _public(spec: Spec) -> str:
    if not spec.public:
        return "EXAMPLE ="
    starts = [start for voice, start in (("api", "/api/v1"), ("pages", "")) if voice in spec.voices]
    paths = ", ".join(f'"GET {start}/scaffold/things{rest}"' for start in starts for rest in ("", "/{thing_id}"))
    return f"PUBLIC = {{{paths}}}  # the addresses that answer strangers\nEXAMPLE ="


def _fills(spec: Spec) -> str:
    steps = []
    for field in spec.own_fields:
        verb = "choose" if field.kind == "enum" else "fill"
        typed = field.type.typed.replace("_", " ").capitalize() if field.kind == "enum" else field.type.typed
        typed = "Hello" if field == spec.named else typed
        if field.kind == "bool":
            steps.append(f'.check("{field.label}")')
        elif not field.optional or field == spec.named:
            steps.append(f'.{verb}("{field.label}", "{typed}")')
    lines = [start := "    await page"]
    for step in [*steps, '.submit("Save")\n']:
        lines += [] if len(lines[-1] + step) <= WIDTH else [start]
        lines[-1] += step
    return "\n".join(lines)


def _api_others(spec: Spec) -> str:
    get = "    assert (await client.get("
    if spec.public:
        stranger = "    assert (await client.patch(url, json={})).status_code == 401\n"
        return f'{stranger}{get}URL)).json()["total"] == 1\n{get}url)).status_code == 200\n    await sign_in()\n'
    stranger = f"{get}URL)).status_code == 401\n    await sign_in()\n"
    return f'{stranger}{get}URL)).json()["total"] == 0\n{get}url)).status_code == 404\n'


def _page_others(spec: Spec) -> str:
    if spec.public:
        return (
            '    assert "Hello" in (await page.open(URL)).text\n    await sign_in()\n'
            '    assert "Edit" not in (await page.open(f"{URL}/{thing_id}")).links.values()\n'
            '    for path in ("/edit", "/delete"):\n'
        )
    return (
        '    assert (await page.open(URL)).url.startswith("/accounts/login")\n    await sign_in()\n'
        '    assert "No things yet" in (await page.open(URL)).text\n    for path in ("", "/edit", "/delete"):\n'
    )


def _referring(spec: Spec) -> str:
    tests = []
    for field in spec.refs:
        label, key = field.args[0].partition(".")[0], f"{snake(field.referred)}_id"
        walks = ROOT / "tests" / label / "walks.py"
        if field.args[1] and walks.exists() and f'"{key}"' in walks.read_text():
            tests.append(REFERRING.format(key=key, column=field.column, label=label, name=field.name))
    return "".join(tests) + "async def test_others"


def _whose(spec: Spec) -> str:
    return f"test_others_{'change' if spec.public else 'find'}_nothing("


SLOTS: dict[str, list[Slot]] = {
    "thing_list.html": [_heads, _cells, _delete, _deleted, _choices, _placeholder],
    "thing_detail.html": [_facts, _actions, _acted],
    "walks.py": [_example, _public],
    "test_api.py": [_api_others, _referring, _whose],
    "test_pages.py": [_fills, _page_others, _whose],
}
