"""The rules of the house, read from the source: who may import whom, and what nobody may do."""

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import project.core

ROOT = Path(__file__).resolve().parents[1]
CORE = ROOT / "project" / "core"
SCAFFOLD = CORE / "scaffold"  # an app, which nothing imports: startapp reads it
TOP_LEVEL = {
    "LICENSE",
    "README.md",
    "apps",
    "manage.py",
    "migrations",
    "project",
    "pyproject.toml",
    "static",
    "templates",
    "tests",
}
FLOORS = [
    {"conf", "errors", "log", "identity", "templating", "checks", "signing", "pool", "closing", "redis"}
    | {"metrics", "tracing"},
    {"db", "live", "mail", "watchdog"},
    {"jobs"},
    {"apps", "runtime"},
    {"reporting"},
    {"web"},
    {"admin"},
    {"asgi", "worker", "site_checks"},
    {"management", "testing"},
]
BUDGETS = {  # lines of code: what a process of the site runs, what people use beside it, the test kit
    "site": 9300,
    "tools": 4250,
    "kit": 1550,
}
TOOLS = [CORE / "management", CORE / "site_checks", CORE / "web" / "dev"]
INSIDE_AN_APP = {
    "app": 0,
    "testing": 0,
    "api": 1,
    "links_api": 1,
    "security_api": 1,
    "tokens_api": 1,
    "pages": 1,
    "links_pages": 1,
    "security_pages": 1,
    "websockets": 1,
    "admin": 1,
    "groups_admin": 1,
    "jobs": 1,
    "commands": 1,
    "seeding": 1,
    "checks": 1,
    "services": 2,
    "links": 2,
    "policies": 3,
    "refresh": 2,
    "api_tokens": 2,
    "sessions": 3,
    "events": 3,
    "notices": 3,
    "models": 4,
    "schemas": 4,
    "conf": 4,
    "passwords": 5,
}


@cache
def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    return [ROOT / line for line in listed.stdout.decode().splitlines() if (ROOT / line).is_file()]


def python_files(folder: Path) -> list[Path]:
    return [path for path in tracked() if path.suffix == ".py" and path.is_relative_to(folder)]


def type_checking_blocks(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from ast.walk(node)


def imports(path: Path) -> set[str]:
    """Every module a file imports at run time; `from a import b` counts as a and a.b."""
    tree = ast.parse(path.read_text())
    free = set(map(id, type_checking_blocks(tree)))
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in free:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def floor_of(module: str) -> int | None:
    parts = module.split(".")
    if parts[:2] != ["project", "core"] or len(parts) < 3:
        return None
    return next((number for number, names in enumerate(FLOORS) if parts[2] in names), None)


def test_the_top_level_holds_what_was_agreed_and_nothing_else() -> None:
    names = {path.relative_to(ROOT).parts[0] for path in tracked()}
    assert TOP_LEVEL - {"LICENSE"} <= {name for name in names if not name.startswith(".")} <= TOP_LEVEL


@pytest.mark.parametrize(
    "path",
    [path for path in python_files(CORE) if not path.is_relative_to(SCAFFOLD)],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_core_knows_no_app_and_no_settings_file_and_imports_only_downwards(path: Path) -> None:
    own = floor_of(".".join(path.relative_to(ROOT).with_suffix("").parts))
    for module in imports(path):
        assert not re.match(
            r"apps(\.|$)|project\.core\.scaffold|project\.(settings|pages|asgi|worker|app)(\.|$)", module
        ), module
        below = floor_of(module)
        if own is not None and below is not None:
            assert below <= own, f"{path.name} imports {module} from a floor above"


@pytest.mark.parametrize("path", python_files(ROOT / "apps"), ids=lambda path: str(path.relative_to(ROOT)))
def test_an_app_uses_another_only_through_its_front_door(path: Path) -> None:
    own = path.relative_to(ROOT / "apps").parts[0]
    for module in imports(path):
        parts = module.split(".")
        if parts[0] == "apps" and len(parts) > 2 and parts[1] != own:
            exported = re.search(rf"\b{parts[2]}\b", (ROOT / "apps" / parts[1] / "__init__.py").read_text())
            assert exported, f"{module} is not exported by apps.{parts[1]}"


@pytest.mark.parametrize("path", python_files(ROOT / "apps"), ids=lambda path: str(path.relative_to(ROOT)))
def test_inside_an_app_nobody_calls_up_the_stairs(path: Path) -> None:
    own = INSIDE_AN_APP.get(path.stem)
    app = path.relative_to(ROOT / "apps").parts[0]
    for module in imports(path):
        parts = module.split(".")
        if own is not None and parts[:2] == ["apps", app] and len(parts) > 2:
            assert INSIDE_AN_APP.get(parts[2], own) >= own, f"{path.name} imports {module}"


def test_the_public_face_is_small_and_typed_as_it_is() -> None:
    tree = ast.parse((CORE / "__init__.py").read_text())
    typed = {node.asname for node in type_checking_blocks(tree) if isinstance(node, ast.alias)}
    assert typed == set(project.core.__all__)
    assert len(project.core.__all__) <= 40
    for name in project.core.__all__:
        assert getattr(project.core, name) is not None


@pytest.mark.parametrize("path", python_files(ROOT / "apps"), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_handler_and_no_service_commits(path: Path) -> None:
    calls = [node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)]
    assert not {"commit", "rollback"} & set(calls)


def test_a_session_is_asked_for_only_by_its_alias() -> None:
    for path in [*python_files(ROOT / "apps"), *python_files(ROOT / "project")]:
        text = path.read_text()
        if path.name != "deps.py":
            assert not re.search(r"Depends\(\s*(deps\.)?session\b", text), path


def test_the_site_runs_without_the_test_kit() -> None:
    for path in [*python_files(ROOT / "project"), ROOT / "manage.py"]:
        if not path.is_relative_to(CORE / "testing") and not path.is_relative_to(SCAFFOLD / "tests"):
            kit = {each for each in imports(path) if re.match(r"project\.core\.testing|pytest|selectolax|httpx2", each)}
            kit -= {"httpx2"} if path == CORE / "management" / "request.py" else set()  # which is a client, too
            assert not kit, f"{path.name} imports {kit}"


def test_middleware_is_pure_asgi() -> None:
    for path in [*python_files(ROOT / "apps"), *python_files(ROOT / "project")]:
        assert not re.search(r'BaseHTTPMiddleware|\.middleware\("http"\)', path.read_text()), path


def test_models_keep_their_annotations() -> None:
    for path in python_files(ROOT / "apps"):
        if path.stem == "models":
            assert "from __future__ import annotations" not in path.read_text(), path


def test_nothing_names_a_package_registry_or_this_machine() -> None:
    hosts = re.compile(
        "|".join(["pypi" + r"\.org", "python" + "hosted", "npm" + r"js\.", "/ro" + "ot/", "/wo" + "rk/"])
    )
    for path in tracked():
        if path.suffix not in {".png", ".ico"}:
            assert not hosts.search(path.read_text()), path


def test_the_locks_name_no_host() -> None:
    locks = list((ROOT / "project" / "requirements").glob("*.lock"))
    assert {path.stem for path in locks} == {"assets", "base", "dev", "opentelemetry"}
    for path in locks:
        text = path.read_text()
        assert "://" not in text
        assert "--hash=sha256:" in text


def test_no_third_party_file_is_committed() -> None:
    assert not [path for path in tracked() if re.search(r"\.min\.(js|css)$|node_modules|/vendor/", str(path))]


def test_every_module_opens_with_a_sentence() -> None:
    for path in [*python_files(ROOT / "apps"), *python_files(ROOT / "project")]:
        text = path.read_text()
        assert not text or ast.get_docstring(ast.parse(text)), path


def lines_of_code(path: Path) -> int:
    """The lines that hold code: no blank ones, no comments, no docstrings."""
    text = path.read_text()
    spoken: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            spoken |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    numbered = enumerate(text.splitlines(), 1)
    return sum(1 for number, line in numbered if line.strip(" #") and line.lstrip()[:1] != "#" and number not in spoken)


def test_the_core_stays_small() -> None:
    kit = set(python_files(CORE / "testing"))
    tools = {path for folder in TOOLS for path in python_files(folder)}
    parts = {"site": set(python_files(CORE)) - kit - tools - set(python_files(SCAFFOLD)), "tools": tools, "kit": kit}
    sizes = {name: sum(map(lines_of_code, paths)) for name, paths in parts.items()}
    assert {name: size for name, size in sizes.items() if size > BUDGETS[name]} == {}
    longest = {path.name: len(path.read_text().splitlines()) for path in python_files(ROOT / "project")}
    assert not {name: count for name, count in longest.items() if count > 300}
