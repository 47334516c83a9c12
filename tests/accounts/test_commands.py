"""Accounts from the terminal."""

import sqlite3
from pathlib import Path

import pytest

from apps.accounts.testing import PASSWORD
from project.core.testing.plugin import Manage

NAMED = {"SUPERUSER_EMAIL": "Boss@Example.com", "SUPERUSER_PASSWORD": PASSWORD}


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in NAMED.items():
        monkeypatch.setenv(name, value)


def people(folder: Path) -> list[tuple[object, ...]]:
    with sqlite3.connect(folder / "db.sqlite3") as connection:
        return connection.execute("SELECT email, is_staff, is_superuser FROM accounts_user").fetchall()


@pytest.mark.usefixtures("named")
def test_createsuperuser_reads_the_environment(manage: Manage, tmp_path: Path) -> None:
    answer = manage("createsuperuser", "--noinput")
    assert (answer.exit_code, people(tmp_path)) == (0, [("boss@example.com", 1, 1)])
    assert PASSWORD not in answer.output


@pytest.mark.usefixtures("named")
def test_createsuperuser_may_be_the_first_command_of_all(manage: Manage, tmp_path: Path) -> None:
    answer = manage("createsuperuser", "--noinput", DATABASE_URL=f"sqlite:///{tmp_path}/new.sqlite3")
    assert answer.exit_code == 0, answer.output
    assert answer.output.startswith("The database is empty: creating its tables.")


@pytest.mark.usefixtures("named")
def test_a_second_one_is_refused_unless_only_a_missing_one_is_wanted(manage: Manage) -> None:
    manage("createsuperuser", "--noinput")
    assert manage("createsuperuser", "--noinput").exit_code == 1
    assert manage("createsuperuser", "--noinput", "--if-missing").exit_code == 0


def test_noinput_without_names_is_wrong_usage(manage: Manage) -> None:
    assert manage("createsuperuser", "--noinput").exit_code == 2


def test_createsuperuser_asks(manage: Manage, tmp_path: Path) -> None:
    answer = manage("createsuperuser", input=f"ann@example.com\n{PASSWORD}\n")
    assert (answer.exit_code, people(tmp_path)) == (0, [("ann@example.com", 1, 1)])


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("ann@example.com\nshort\n", "Use at least 8 characters."),
        ("no e-mail\nlong enough words\n", "email"),
        ("ann@example.com\nann@example.com\n", "not your e-mail"),
    ],
)
def test_bad_input_is_answered_with_a_sentence(manage: Manage, tmp_path: Path, typed: str, says: str) -> None:
    answer = manage("createsuperuser", input=typed)
    assert (answer.exit_code, people(tmp_path)) == (1, [])
    assert says in answer.output


@pytest.mark.usefixtures("named")
def test_changepassword_sets_it_and_ends_the_sessions(manage: Manage, tmp_path: Path) -> None:
    manage("createsuperuser", "--noinput")
    with sqlite3.connect(tmp_path / "db.sqlite3") as connection:
        before = connection.execute("SELECT hashed_password FROM accounts_user").fetchone()
    assert manage("changepassword", "boss@example.com").exit_code == 0
    with sqlite3.connect(tmp_path / "db.sqlite3") as connection:
        assert connection.execute("SELECT hashed_password FROM accounts_user").fetchone() != before
    assert manage("changepassword", "nobody@example.com").exit_code == 1


@pytest.mark.parametrize(
    ("debug", "chosen", "confirms"),
    [(True, None, False), (False, None, True), (True, "confirm", True), (False, "open", False)],
)
def test_the_default_goes_by_debug_and_deploying_demands_it(
    manage: Manage, monkeypatch: pytest.MonkeyPatch, debug: bool, chosen: str | None, confirms: bool
) -> None:
    if chosen:
        monkeypatch.setenv("ACCOUNTS_SIGNUP", chosen)
    else:
        monkeypatch.delenv("ACCOUNTS_SIGNUP")
    output = manage("check", "--deploy", SITE_URL="https://example.com", DEBUG=debug).output
    assert ("accounts.E101" not in output) == confirms


def test_an_unknown_way_to_sign_up_stops_the_start(manage: Manage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCOUNTS_SIGNUP", "closed")
    answer = manage("check")
    assert answer.exit_code == 1
    assert "ACCOUNTS_SIGNUP" in answer.output
