"""The scaffold with its slots filled and its names changed, tidied by ruff as everything here is."""

import re
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from project.core.conf import ROOT
from project.core.management import CommandError
from project.core.management.scaffolding import drawing, slots
from project.core.management.scaffolding.fields import Field
from project.core.management.scaffolding.spec import Spec

SCAFFOLD = ROOT / "project" / "core" / "scaffold"
ITSELF = Spec("scaffold", "Thing", (Field("title", "str"),))
FOLDERS = {"tests": "tests/scaffold", "templates/scaffold": "templates/scaffold", "": "apps/scaffold"}
LEFT_OUT = {  # by an app without this voice
    "api": {"api.py", "test_api.py"},
    "pages": {"pages.py", "test_pages.py", "thing_list.html", "thing_detail.html", "thing_form.html"},
}
MAY_NEED = """\
from datetime import date, datetime, time
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from pydantic import AwareDatetime

from apps.accounts import CurrentUser, Email, OptionalUser
from project.core import AppConfig, MenuItem
from project.core.web.lists import Filter
from project.core.identity import principal
from project.core.web.references import References, check_references, choices
from project.core.web.schemas import Url
"""
"""What some app needs and another does not: ruff takes away what is not used."""
RULES = [
    "--no-cache",
    "--config",
    str(ROOT / "pyproject.toml"),
    "--config",
    'lint.isort.known-first-party = ["apps", "project", "tests"]',
]
SPOKEN = re.compile(
    r'"""[^"]*"""|_\((?:"[^"]*"|\'[^\']*\')|(?:description|flash)="[^"]*"|"(?:New|Search the|No) things?[^"]*"'
)


def copied(spec: Spec) -> dict[str, str]:
    """{path: text} of the app; raises CommandError where ruff is not installed."""
    if find_spec("ruff") is None:
        raise CommandError('startapp writes tidy code with ruff, which is not installed: pip install -e ".[dev]"')
    missing = {name for voice, names in LEFT_OUT.items() if voice not in spec.voices for name in names}
    files = {}
    for source in sorted(SCAFFOLD.rglob("*.*")):
        if source.suffix in (".py", ".html") and source.name not in missing:
            inside = source.relative_to(SCAFFOLD).as_posix()
            start = next(start for start in FOLDERS if inside.startswith(start))
            path = f"{FOLDERS[start]}/{inside.removeprefix(start).lstrip('/')}"
            path = path.replace("scaffold", spec.label).replace("thing_", f"{spec.noun}_")
            files[path] = renamed(_filled(source, spec), spec, in_test=start == "tests")
    return _tidied(files)


def _filled(source: Path, spec: Spec) -> str:
    text = source.read_text()
    for slot in (slots.SLOTS | drawing.SLOTS).get(source.name, ()):
        old, new = slot(ITSELF), slot(spec)
        assert old in text, f"{source.name} has no place for {slot.__name__}: {old}"
        text = text.replace(old, new)
    if source.suffix == ".py" and source.name != "__init__.py":
        opening, _, rest = text.partition("\n\n")
        text = f"{opening}\n\n{MAY_NEED}{_others(source, spec)}{rest}"
    return text


def _others(source: Path, spec: Spec) -> str:
    if source.name == "services.py":
        return "".join(f"from apps.{field.args[0].replace('.', ' import ')}\n" for field in spec.refs)
    names = [field.enum for field in spec.own_fields if field.kind == "enum" and source.name == "schemas.py"]
    return f"from project.core.scaffold.models import {', '.join(names)}\n" if names else ""


def renamed(text: str, spec: Spec, *, in_test: bool) -> str:
    """The text in the app's names: `blog_post` in code, `blog-post` in addresses, `blog post` in what people read."""
    noun, plural = spec.noun, spec.plural
    if in_test:
        named = spec.named
        text = text.replace('"title"', f'"{named.name}"').replace('"-title"', f'"-{named.name}"')
        text = re.sub(r"\btitle=", f"{named.name}=", text).replace('"Title"', f'"{named.label}"')
    text = re.sub(r"(?<=[Tt]hing\.)owner_id|(?<![\w.])owner_id", spec.owner, text)
    text = SPOKEN.sub(lambda said: _named(said[0], noun.replace("_", " "), plural.replace("_", " ")), text)
    if spec.noun[0] in "aeiou":
        text = re.sub(r"\b([Aa]) thing\b", r"\1n thing", text).replace("_a_thing", "_an_thing")
    text = text.replace("/things", f"/{plural.replace('_', '-')}")
    text = text.replace("Things", plural.replace("_", " ").capitalize()).replace("Thing", spec.model)
    text = re.sub(r"(?<![a-z])things(?![a-z])", plural, text)
    text = re.sub(r"(?<![a-z])thing(?![a-z])", noun, text)
    text = text.replace("project.core.scaffold.tests", f"tests.{spec.label}")
    text = text.replace("project.core.scaffold", f"apps.{spec.label}").replace("Scaffold", spec.title)
    return text.replace("the scaffold", f"the {spec.title.lower()}").replace("scaffold", spec.label)


def _named(said: str, noun: str, plural: str) -> str:
    if noun[0] in "aeiou":
        said = re.sub(r"\b([Aa]) thing\b", r"\1n thing", said)
    said = re.sub(r"\bthings\b", plural, said)
    return re.sub(r"\bthing\b", noun, said)


def _tidied(files: dict[str, str]) -> dict[str, str]:
    with tempfile.TemporaryDirectory() as folder:
        for path, text in files.items():
            Path(folder, path).parent.mkdir(parents=True, exist_ok=True)
            Path(folder, path).write_text(text)
        for step in (["check", "--fix-only", "--quiet", "--select", "I,F401"], ["format", "--quiet"]):
            words = [sys.executable, "-m", "ruff", *step, *RULES, folder]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            if done.returncode:
                raise CommandError(f"ruff cannot tidy the app: {done.stderr.strip()}")
        return {path: Path(folder, path).read_text() for path in files}
