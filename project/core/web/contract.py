"""What a newer API breaks for the clients of an older one: two OpenAPI documents in, sentences out.

One question is asked of all schemas: does what one side sends fit what the other side takes? A request goes from
old clients to the new server, an answer from the new server to old clients.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

METHODS = ("get", "head", "post", "put", "patch", "delete", "options")
LOWEST = ("minLength", "minimum", "exclusiveMinimum", "minItems")
HIGHEST = ("maxLength", "maximum", "exclusiveMaximum", "maxItems")


@dataclass(frozen=True)
class Part:
    """A part of a document, and the document, for the references in it."""

    whole: dict[str, Any]
    here: dict[str, Any]

    def at(self, *path: str) -> "Part":
        """A part of this part; empty where there is none."""
        found = self.here
        for name in path:
            found = found.get(name) or {}
        return Part(self.whole, found)

    def choices(self) -> list["Part"]:
        """The schemas of which one has to fit, without references."""
        here = self.here
        while "$ref" in here:
            here = Part(self.whole, self.whole).at(*here["$ref"].removeprefix("#/").split("/")).here
        among = (
            here.get("anyOf") or here.get("oneOf") or (here.get("allOf", ()) if len(here.get("allOf", ())) == 1 else ())
        )
        if not among and isinstance(here.get("type"), list):
            among = [here | {"type": each} for each in here["type"]]
        return [each for one in among for each in Part(self.whole, one).choices()] or [Part(self.whole, here)]


def breaking(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What of `old` does not hold in `new`, one sentence for each; what is only more never breaks anybody."""
    offered, found = _operations(new), list[str]()
    for key, (name, before) in _operations(old).items():
        after = offered.get(key)
        found += [f"{name}: {each}." for each in _operation(before, after[1])] if after else [f"{name} is gone."]
    return list(dict.fromkeys(found))


def _operations(document: dict[str, Any]) -> dict[tuple[str, str], tuple[str, Part]]:
    """{(method, path): (words, operation)}; how a path's parameter is called matters to nobody."""
    return {
        (method, re.sub(r"\{.*?\}", "{}", path)): (f"{method.upper()} {path}", Part(document, item[method]))
        for path, item in document.get("paths", {}).items()
        for method in METHODS
        if method in item
    }


def _operation(old: Part, new: Part) -> Iterator[str]:
    if new.here.get("security") and not old.here.get("security"):
        yield "it is no longer for anybody"
    yield from _parameters(_by_name(old), _by_name(new))
    bodies = old.at("requestBody"), new.at("requestBody")
    if bodies[1].here.get("required") and not bodies[0].here.get("required"):
        yield "a body is required now"
    yield from _contents(*bodies, "body", request=True)
    for status in (each for each in old.here.get("responses", {}) if each.startswith("2")):
        if status in new.here.get("responses", {}):
            answers = old.at("responses", status), new.at("responses", status)
            yield from _contents(*answers, f"answer {status}", request=False)
        else:
            yield f"answer {status} is gone"


def _by_name(operation: Part) -> dict[tuple[str, str], Part]:
    given = operation.here.get("parameters", [])
    numbered = enumerate(each for each in given if each["in"] == "path")
    named = {("path", str(number)): each for number, each in numbered}
    named |= {(each["in"], each["name"]): each for each in given if each["in"] != "path"}
    return {key: Part(operation.whole, each) for key, each in named.items()}


def _parameters(old: dict[tuple[str, str], Part], new: dict[tuple[str, str], Part]) -> Iterator[str]:
    for key, after in new.items():
        if after.here.get("required") and not (key in old and old[key].here.get("required")):
            yield f"parameter {after.here['name']} is required now"
    for key, before in old.items():
        name = f"parameter {before.here['name']}"
        if key in new:
            yield from _misfits(before.at("schema"), new[key].at("schema"), name, request=True)
        else:
            yield f"{name} is gone"


def _contents(old: Part, new: Part, where: str, *, request: bool) -> Iterator[str]:
    for media in old.here.get("content", {}):
        before, after = old.at("content", media, "schema"), new.at("content", media, "schema")
        if media not in new.here.get("content", {}):
            yield f"{where} is no longer {media}"
        elif request:
            yield from _misfits(before, after, where, request=True)
        else:
            yield from _misfits(after, before, where, request=False)


def _misfits(sent: Part, taken: Part, where: str, *, request: bool, inside: tuple[Any, ...] = ()) -> Iterator[str]:
    """Why what is sent may not be taken: for each of its forms, what speaks against the form that is closest."""
    step = (id(sent.here), id(taken.here))
    if step not in inside:
        for form in sent.choices():
            against = [[*_clashes(form, each, where, request, (*inside, step))] for each in taken.choices()]
            yield from min(against, key=len)


def _clashes(sent: Part, taken: Part, where: str, request: bool, inside: tuple[Any, ...]) -> Iterator[str]:
    words = f"{where} {'no longer takes' if request else 'may now be'}"
    a, b = sent.here, taken.here
    kind, wanted = a.get("type"), b.get("type")
    if wanted and kind != wanted and (kind, wanted) != ("integer", "number"):
        yield f"{words} {kind or 'anything'}"
        return
    values, known = _values(a), _values(b)
    if known is not None:
        new = ["any value"] if values is None else [repr(each) for each in values if each not in known]
        yield from (f"{words} {each}" for each in new)
    if b.get("format") not in (None, a.get("format")):
        yield f"{words} what is no {b['format']}"
    if request:
        yield from _limits(a, b, where)
    if wanted == "object":
        yield from _fields(sent, taken, where, request, inside)
    for name in ("items", "additionalProperties"):
        if isinstance(a.get(name), dict) and isinstance(b.get(name), dict):
            yield from _misfits(sent.at(name), taken.at(name), f"{where}[]", request=request, inside=inside)


def _values(schema: dict[str, Any]) -> list[Any] | None:
    return [schema["const"]] if "const" in schema else schema.get("enum")


def _limits(old: dict[str, Any], new: dict[str, Any], where: str) -> Iterator[str]:
    for names, sign in ((LOWEST, 1), (HIGHEST, -1)):
        for name in names:
            if name in new and (name not in old or sign * (new[name] - old[name]) > 0):
                yield f"{where} has a narrower {name}: {new[name]}"
    if new.get("pattern") not in (None, old.get("pattern")):
        yield f"{where} has another pattern: {new['pattern']}"


def _fields(sent: Part, taken: Part, where: str, request: bool, inside: tuple[Any, ...]) -> Iterator[str]:
    given, expected = sent.here.get("properties", {}), taken.here.get("properties", {})
    old, new = (given, expected) if request else (expected, given)
    for name in old:
        if name in new:
            both = sent.at("properties", name), taken.at("properties", name)
            yield from _misfits(*both, f"{where}.{name}", request=request, inside=inside)
        else:
            yield f"{where}.{name} is gone"
    for name in taken.here.get("required", []):
        if name in new and name not in sent.here.get("required", []):
            yield f"{where}.{name} {'is required' if request else 'may be missing'} now"
