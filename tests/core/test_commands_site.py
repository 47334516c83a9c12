"""manage.py and the site: one request, the API's promises, the settings; what every command understands."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from apps.accounts.testing import PASSWORD
from project.core.apps import Registry
from project.core.management import CommandError, catalogue, command, say
from project.core.management.ci import BESIDE_EACH_OTHER
from project.core.management.cli import manage as group
from project.core.management.test import _words
from project.core.runtime import Runtime
from project.core.testing.plugin import Manage
from project.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
APPS = Registry(Settings.model_fields["INSTALLED_APPS"].default).commands
ELSEWHERE = {"test"}  # `test --help` is pytest's


def test_a_request_goes_through_the_whole_site_as_somebody(manage: Manage) -> None:
    manage("seed", DEBUG=True)
    said = manage("request", "PATCH", "/api/v1/accounts/me", "--user", "ann@example.com", "--json", '{"name": "Anna"}')
    assert (said.exit_code, json.loads(said.stdout)["name"]) == (0, "Anna")
    assert "200 OK" in said.stderr
    assert re.search(r"^ +[\d.]+ ms  UPDATE accounts_user SET", said.stderr, re.M)
    assert re.search(r"^\d+ statement\(s\), [\d.]+ ms; the answer took [\d.]+ ms$", said.stderr, re.M)
    read = manage("request", "get", "/api/v1/accounts/me", "--user", "bob@example.com")
    assert json.loads(read.stdout)["name"] == "Bob"
    assert "Anna" in manage("request", "GET", "/accounts/profile", "--user", "ann@example.com").stdout
    assert manage("request", "GET", "/admin/", "--user", "admin@example.com").exit_code == 0


def test_a_request_shows_no_secret(manage: Manage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPERUSER_EMAIL", "boss@example.com")
    monkeypatch.setenv("SUPERUSER_PASSWORD", PASSWORD)
    manage("createsuperuser", "--noinput")
    form = f"username=boss@example.com&password={PASSWORD.replace(' ', '+')}"
    token = manage("request", "POST", "/api/v1/accounts/token", "--data", form)
    assert (token.exit_code, json.loads(token.stdout)["access_token"]) == (0, "********")
    cookie = manage("request", "POST", "/accounts/login", "--data", form.replace("username", "email"))
    assert "set-cookie: ********" in cookie.stderr
    for said in (token.output, cookie.output):
        assert not re.search(r"sid=|eyJ|\$argon2", said)
        assert PASSWORD not in said


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["GET", "/nothing/here"], 1, "404 Not Found"),
        (["GET", "/accounts/profile"], 0, "303 See Other"),
        (["GET", "/", "--user", "nobody@example.com"], 1, "Error: There is no account 'nobody@example.com'"),
        (["GET", "health/live"], 2, "begins with a slash"),
        (["FETCH", "/"], 2, "'FETCH' is not one of"),
        (["POST", "/", "--json", "{"], 2, "--json is no JSON"),
        (["POST", "/", "-H", "nonsense"], 2, "NAME:VALUE"),
    ],
)
def test_a_request_ends_with_the_code_that_its_answer_deserves(
    manage: Manage, words: list[str], code: int, says: str
) -> None:
    said = manage("request", *words)
    assert (said.exit_code, says in said.output) == (code, True), said.output


def test_openapi_keeps_what_was_promised(manage: Manage, tmp_path: Path) -> None:
    file = tmp_path / "openapi.json"
    assert manage("openapi", "-o", str(file), API_DOCS=False).exit_code == 0
    text = file.read_text()
    assert text == manage("openapi").stdout
    schema = json.loads(text)
    assert text == json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    assert manage("openapi", "--check", str(file)).exit_code == 0
    schema["paths"]["/api/v1/accounts/more"] = {"get": {"responses": {}}}
    file.write_text(json.dumps(schema))
    broken = manage("openapi", "--check", str(file))
    assert (broken.exit_code, "GET /api/v1/accounts/more is gone." in broken.output) == (1, True)
    file.write_text("[]")
    assert manage("openapi", "--check", str(file)).output == f"Error: {file} is no OpenAPI schema.\n"
    assert manage("openapi", "--check", str(tmp_path / "none.json")).exit_code == 2


def test_diffsettings_shows_what_is_set_and_no_secret(manage: Manage) -> None:
    usual = Settings.model_fields["SITE_NAME"].default
    changed = {"SITE_NAME": "Another", "DATABASE_URL": "postgresql://shop:hidden-word@localhost/shop"}
    told = manage("diffsettings", **changed).output
    assert "SITE_NAME = Another\n" in told
    assert "SECRET_KEY = ********\n" in told
    assert "LOG_FORMAT" not in told
    assert "hidden-word" not in told
    assert "### LOG_FORMAT = auto\n" in manage("diffsettings", "--all").output
    unified = manage("diffsettings", "--output", "unified", **changed).output
    assert f"- SITE_NAME = {usual}\n+ SITE_NAME = Another\n" in unified


def test_sqlmigrate_takes_djangos_two_words(manage: Manage) -> None:
    assert manage("sqlmigrate", "accounts", "0001").output == manage("sqlmigrate", "0001").output
    assert manage("sqlmigrate", "nothing", "0001").exit_code == 2


def test_the_test_command_understands_djangos_words() -> None:
    assert [*_words(None, None, [])] == BESIDE_EACH_OTHER
    assert [*_words(None, None, ["--failfast", "--keepdb", "tests/core", "-k", "mail"])] == [
        "-x",
        "tests/core",
        "-k",
        "mail",
    ]
    assert [*_words("project.staging", "2", [])] == ["-o", "uptempo_settings=project.staging:Settings", "-n", "2"]


def site(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    given = {"SECRET_KEY": "0123456789-abcdefghijklmnopqrstuvwxyz", "MANAGE_NO_BOOTSTRAP": "1"}
    return subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=ROOT,
        env=os.environ | given | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_other_settings_are_read_wherever_they_are_named(tmp_path: Path) -> None:
    (tmp_path / "staging.py").write_text(
        "from project.settings import Settings as Base\n\n\nclass Settings(Base):\n    SITE_NAME: str = 'Stage'\n"
    )
    path = {"PYTHONPATH": str(tmp_path)}
    for words, environment in (
        (["--settings", "staging", "settings", "SITE_NAME"], path),
        (["settings", "SITE_NAME", "--settings=staging:Settings"], path),
        (["settings", "SITE_NAME"], path | {"SETTINGS_MODULE": "staging"}),
    ):
        assert site(*words, **environment).stdout.split()[:2] == ["SITE_NAME", "Stage"], words
    for wrong, says in (
        ("nowhere", "No module named 'nowhere'"),
        ("project.settings:Names", "is not a settings class"),
    ):
        refused = site("settings", "--settings", wrong)
        assert (refused.returncode, says in refused.stderr) == (1, True), refused.stderr


@pytest.fixture
def grumble(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that says much, then fails."""

    @command()
    def grumble(runtime: Runtime) -> None:
        say("usual")
        say("more", 2)
        click.echo("asked for")
        try:
            raise ValueError("the cause")
        except ValueError as error:
            raise CommandError("It did not work.") from error

    monkeypatch.setattr(Registry, "commands", {"grumble": grumble}, raising=False)
    usual = catalogue.load_core
    monkeypatch.setattr(catalogue, "CORE", [*catalogue.CORE, "grumble"])
    monkeypatch.setattr(catalogue, "load_core", lambda name: grumble if name == "grumble" else usual(name))


@pytest.mark.usefixtures("grumble")
def test_every_command_says_as_much_as_it_is_asked_to(manage: Manage) -> None:
    assert manage("grumble").output == "usual\nasked for\nError: It did not work.\n"
    assert manage("grumble", "-v", "0").stdout == "asked for\n"
    assert manage("--verbosity", "2", "grumble").stdout == "usual\nmore\nasked for\n"
    assert manage("grumble", "-v", "4").exit_code == 2
    for words in (["grumble", "--traceback"], ["--traceback", "grumble"]):
        told = manage(*words)
        assert (told.exit_code, "ValueError: the cause" in told.stderr) == (1, True)
        assert told.stderr.endswith("\nError: It did not work.\n")


@pytest.mark.usefixtures("grumble")
def test_colours_are_for_terminals_and_for_who_wants_them(manage: Manage) -> None:
    red = "\x1b[31mError:\x1b[0m"
    assert manage("grumble", "--force-color").stderr.startswith(red)
    assert manage("--force-color", "grumble").stderr.startswith(red)
    for words in (["grumble"], ["grumble", "--force-color", "--no-color"]):
        assert red not in manage(*words).stderr


def test_the_third_degree_of_verbosity_shows_the_sql(migrated_file: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{shutil.copy(migrated_file, tmp_path)}"
    assert "DELETE FROM core_effect" in site("cleanup", "-n", "-v", "3", DATABASE_URL=url).stderr
    assert "DELETE" not in site("cleanup", "-n", DATABASE_URL=url).stderr


def test_every_command_has_an_example() -> None:
    commands = {name: catalogue.load_core(name) for name in catalogue.CORE} | APPS
    lacking = {name for name, each in commands.items() if f"Example: manage.py {name}" not in (each.epilog or "")}
    assert lacking <= ELSEWHERE


def test_every_command_is_compared_with_djangos() -> None:
    text = (ROOT / "project" / "docs" / "commands.md").read_text()
    named = {name for row in re.findall(r"^\| (.*?) \|", text, re.M) for name in re.findall(r"`([a-z]+)", row)}
    assert {*catalogue.CORE, *catalogue.ALIASES, *APPS} - named <= ELSEWHERE


def test_the_group_itself_takes_what_every_command_takes() -> None:
    assert {"--settings", "--verbosity", "--traceback", "--no-color"} <= {o for each in group.params for o in each.opts}
