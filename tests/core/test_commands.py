"""manage.py: helpful when right and when wrong, Django's words and exit codes."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from project.core.management import catalogue
from project.core.testing.plugin import Manage

ROOT = Path(__file__).resolve().parents[2]


def test_help_lists_every_command_by_group(manage: Manage) -> None:
    answer = manage("--help")
    assert answer.exit_code == 0
    for name in [*catalogue.CORE, "createsuperuser", "changepassword"]:
        assert re.search(rf"^  {name} ", answer.output, re.M), name
    assert "Accounts:" in answer.output


@pytest.mark.parametrize("name", catalogue.CORE)
def test_every_core_command_explains_itself(manage: Manage, name: str) -> None:
    if name != "test":
        answer = manage(name, "--help")
        assert (answer.exit_code, "Usage:" in answer.output) == (0, True)
    assert catalogue.load_core(name).name == name


@pytest.mark.parametrize(
    ("typed", "meant"), [("runserve", "runserver"), ("migrat", "migrate"), ("createsuperusr", "createsuperuser")]
)
def test_an_unknown_command_is_answered_with_the_nearest_match(manage: Manage, typed: str, meant: str) -> None:
    answer = manage(typed)
    assert answer.exit_code == 2
    assert f"Did you mean {meant!r}?" in answer.output


def test_wrong_usage_ends_with_2(manage: Manage) -> None:
    assert manage("check", "--nonsense").exit_code == 2
    assert manage("runserver", "not-a-port").exit_code == 2


def test_check_is_content_with_a_good_site(manage: Manage) -> None:
    answer = manage("check")
    assert answer.exit_code == 0
    assert "core.E" not in answer.output


def test_several_processes_need_redis_even_in_development(manage: Manage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", "2")
    assert "core.E004" in manage("check", DEBUG=True).output
    assert "core.E004" not in manage("check", DEBUG=True, REDIS_URL="redis://127.0.0.1:6379/0").output


def test_routes_lists_every_address(manage: Manage) -> None:
    output = manage("routes").output
    for path in ["/api/v1/accounts/me", "/accounts/login", "/health/live", "/admin"]:
        assert re.search(rf" {path}\s", output), path
    assert "/accounts/login" not in manage("routes", "health").output


def test_settings_shows_sources_and_no_secret(manage: Manage, monkeypatch: pytest.MonkeyPatch) -> None:
    url = "postgresql://shop:hidden-word@localhost/shop"
    output = manage("settings", SITE_NAME="Shop", DATABASE_URL=url).output
    assert re.search(r"^SITE_NAME +Shop ", output, re.M)
    assert re.search(r"^LOG_LEVEL +WARNING ", output, re.M)
    assert re.search(r"^ACCOUNTS_SESSION_HOURS +24\.0 +default", output, re.M)
    assert re.search(r"^SECRET_KEY +\*+ ", output, re.M)
    assert "hidden-word" not in output


def test_the_shell_awaits_and_knows_the_models(manage: Manage) -> None:
    source = "print((await db.execute(select(func.count()).select_from(User))).scalar_one(), settings.SITE_NAME)"
    answer = manage("shell", "-c", f"from sqlalchemy import func, select\n{source}")
    assert (answer.exit_code, answer.output) == (0, "0 Uptempo\n")


def test_the_shell_reads_a_script_from_a_pipe(manage: Manage) -> None:
    assert manage("shell", input="print(await runtime.unit_of_work().__aenter__() is not None)").output == "True\n"


def test_a_command_before_the_first_migrate_says_what_to_do(manage: Manage, tmp_path: Path) -> None:
    answer = manage("changepassword", "a@example.com", DATABASE_URL=f"sqlite:///{tmp_path}/empty.sqlite3")
    assert (answer.exit_code, "manage.py migrate" in answer.output) == (1, True)


def test_a_taken_port_is_answered_with_another(manage: Manage) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        answer = manage("runserver", str(port))
    assert answer.exit_code == 1
    assert f"runserver {port + 1}" in answer.output


def test_help_imports_nothing_of_the_site() -> None:
    code = (
        "import sys; sys.argv = ['manage.py', '--help']\n"
        "from project.core.management import main\n"
        "try: main(lambda: 1/0, ['--help'])\n"
        "except SystemExit: pass\n"
        "print({'fastapi', 'sqlalchemy', 'pydantic'} & set(sys.modules))"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(
        [sys.executable, "manage.py", "--help"], capture_output=True, cwd=ROOT, check=True
    )  # fills the cache
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=env, check=True)
    assert done.stdout.splitlines()[-1] == "set()"
