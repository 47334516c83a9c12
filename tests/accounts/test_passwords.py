"""Which passwords are refused, at every door where one is chosen, and that all of one counts."""

from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI

from apps.accounts import passwords
from apps.accounts.passwords import objection, prepared
from apps.accounts.testing import PASSWORD, MakeUser, SignIn, links_for
from project.core.testing.plugin import Manage, NewClient

pytestmark = pytest.mark.any_database

API = "/api/v1/accounts"
ANN = {"email": "ann.harper@seaside.example", "password": PASSWORD, "name": "Ann Harper-Quill"}
LISTED = [
    *(
        "password123",
        "PASSWORD123",
        "ｐａｓｓｗｏｒｄ１２３",
        "Password1!",
        "p@ssw0rd",
        "P4$$w0rd!",
        "pass word 123",
        "iloveyou",
    ),
    *("12345678", "1234567890", "qwertyuiop", "qwerty123", "1q2w3e4r5t", "letmein1", "trustno1", "football2024!"),
    *("aaaaaaaa", "........", "abababab", "abcdefgh", "hgfedcba", "98765432", "123123123123", "!!!dragon!!!"),
]
OWN = [
    *("ann.harper@seaside.example", "Ann.Harper@Seaside.Example", "annharperseasideexample", "ＡＮＮ．ｈａｒｐｅｒ"),
    *("annharper", "AnnHarper1", "ann-harper-2024", "harper_ann!", "h4rp3r99", "harperharper", "seaside.example"),
    *("Seaside2024", "QuillHarper", "ann quill 77", "repraH.nnA", "uptempo2026", "Uptempo!!!"),
]
FINE = [
    *(PASSWORD, "a brand new one", "long enough", "not that one, sorry", "seaside walks in may", "harpsichord tuning"),
    *(
        "x" * 64,
        "é" * 5 + " café au lait",
        "  spaces count  ",
        "🐙🐙 🦑 octopus",
        "пароль не для всех",
        "密码不是这个就是那个",
    ),
    *("8xq!Vb2#", "monkey84710293847", "anniversary dinner"),
]


@pytest.mark.parametrize("password", LISTED, ids=ascii)
def test_what_others_would_try_first_is_refused_however_it_is_spelt(password: str) -> None:
    assert objection(password, ANN["email"], ANN["name"], "Uptempo") == passwords.COMMON


@pytest.mark.parametrize("password", OWN, ids=ascii)
def test_what_is_known_of_the_person_and_the_site_is_refused_however_it_is_spelt(password: str) -> None:
    assert objection(password, ANN["email"], ANN["name"], "Uptempo") == passwords.PERSONAL


@pytest.mark.parametrize("password", ["k3v1n2024", "kevin_99", "Kev1n!!!", "h4ck3r1!"], ids=ascii)
def test_names_that_are_spelt_with_signs_themselves_are_known_in_any_spelling(password: str) -> None:
    assert objection(password, "h4ck3r@x.example", "Kev1n", "kevin") == passwords.PERSONAL


@pytest.mark.parametrize("password", FINE, ids=ascii)
def test_everything_else_is_fine_without_rules_of_composition(password: str) -> None:
    assert objection(password, ANN["email"], ANN["name"], "Uptempo") == ""


@pytest.mark.parametrize(
    "password", ["nul\0nul\0nul", "line\nbreak here", "tab\tabs and so on", "\x7f" * 9, "\ud800 and more"], ids=ascii
)
def test_control_characters_and_halves_of_characters_are_refused(password: str) -> None:
    assert objection(password, ANN["email"]) == passwords.ODD


def test_the_length_is_that_of_what_is_hashed() -> None:
    assert objection("e\u0301" * 7, ANN["email"]) == passwords.SHORT
    assert objection("zürich" + "e\u0301" * 2, ANN["email"]) == ""
    assert objection("seven77", ANN["email"]) == passwords.SHORT


def test_only_the_list_of_the_package_is_kept() -> None:
    import sys

    objection("whatever it is", ANN["email"])
    assert len(passwords._common()) > 20_000
    assert not [name for name in sys.modules if name.startswith("zxcvbn")]


@pytest.mark.parametrize(
    "bad", ["password123", "ann@example.com", "ANN EXAMPLE", "p@ssw0rd!", "nul\0nul\0nul", "short"], ids=ascii
)
async def test_every_door_where_a_password_is_chosen_has_the_same_rules(
    app: FastAPI, client: httpx2.AsyncClient, new_client: NewClient, sign_in: SignIn, bad: str
) -> None:
    user = await sign_in("ann@example.com", name="Ann")
    stranger, token = new_client(app), (await links_for(app, user))["/accounts/reset"].partition("=")[2]
    change = {"current_password": PASSWORD, "new_password": bad}
    sign_up = {"email": "ann@example.com", "name": "Ann", "password": bad}
    answers = [
        ("password", await stranger.post(f"{API}/users", json=sign_up)),
        ("new_password", await stranger.post(f"{API}/password/reset", json={"token": token, "new_password": bad})),
        ("new_password", await client.post(f"{API}/password/change", json=change)),
    ]
    for field, answer in answers:
        assert (answer.status_code, [each["field"] for each in answer.json()["errors"]]) == (422, [field])
    (words,) = {answer.json()["errors"][0]["message"] for _, answer in answers}
    stranger.cookies.set("link", token, domain="127.0.0.1", path="/accounts/reset")
    for page, data in {"/accounts/signup": sign_up, "/accounts/reset": change, "/accounts/password": change}.items():
        shown = await (client if page == "/accounts/password" else stranger).post(page, data=data)
        assert (shown.status_code, words in shown.text) == (422, True), page
    login = {"email": "ann@example.com", "password": PASSWORD}
    assert (await stranger.post(f"{API}/login", json=login)).status_code == 200  # nothing was changed


@pytest.mark.parametrize("bad", ["password123", "ann@example.com", "Example-Ann", "short", "tab\tabs and so on"])
def test_the_commands_have_the_same_rules(manage: Manage, tmp_path: Path, bad: str) -> None:
    assert manage("createsuperuser", "--email", "ann@example.com", input=f"{bad}\n").exit_code != 0
    assert "no account" in manage("changepassword", "ann@example.com", input=f"{PASSWORD}\n").output
    assert manage("createsuperuser", "--email", "ann@example.com", input=f"{PASSWORD}\n").exit_code == 0
    assert manage("changepassword", "ann@example.com", input=f"{bad}\n").exit_code != 0
    assert manage("changepassword", "ann@example.com", input="a brand new one\n").exit_code == 0


ODD = {
    "nul": '"nul\\u0000 and more words"',
    "lone surrogate": '"\\ud800abc and more"',
    "lone low surrogate": '"more and \\udfff"',
    "a number": "12345678",
    "a list": '["correct horse battery"]',
    "null": "null",
    "a megabyte": f'"{"x" * 1_000_000}"',
    "a megabyte of what grows": f'"{chr(0xFDFA) * 333_333}"',
    "one too many": f'"{"x" * 257}"',
    "three megabytes": f'"{"x" * 3_000_000}"',
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("door", ["users", "login", "password/reset", "password/change", "email/change", "token", "me"])
async def test_a_password_of_any_bytes_is_refused_and_never_hurts(
    client: httpx2.AsyncClient, sign_in: SignIn, door: str, odd: str
) -> None:
    await sign_in()
    secret = ODD[odd]
    names = ("password", "current_password", "new_password")
    body = ", ".join([f'"{name}": {secret}' for name in names] + ['"email": "bob@example.com", "token": "x"'])
    kind = {"Content-Type": "application/json"}
    method = "DELETE" if door == "me" else "POST"
    answer = await client.request(method, f"{API}/{door}", content=f"{{{body}}}".encode(), headers=kind)
    assert answer.status_code in (400, 413, 422), (door, odd, answer.status_code)
    assert "xxxxxxxx" not in answer.text


@pytest.mark.parametrize("page", ["login", "signup", "password", "delete", "email"])
@pytest.mark.parametrize(
    "odd", [b"%00%00%00%00%00%00%00%00", b"%ff%fe%ed%a0%80 abcdef", b"%ED%A0%80 and more", b"x" * 1_000_000]
)
async def test_a_form_with_a_password_of_any_bytes_is_refused(
    client: httpx2.AsyncClient, sign_in: SignIn, new_client: NewClient, app: FastAPI, page: str, odd: bytes
) -> None:
    await sign_in()
    who = new_client(app) if page in ("login", "signup") else client
    body = b"email=bob%40example.com&new_email=b%40example.com"
    for name in (b"password", b"current_password", b"new_password"):
        body += b"&" + name + b"=" + odd
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await who.post(f"/accounts/{page}", content=body, headers=kind)
    assert answer.status_code in (413, 422), (page, odd[:20], answer.status_code)


@pytest.mark.parametrize(
    "password", ["x" * 55 + "é" * 16 + "yz", "🐙" * 63 + "!", " begins and ends with blanks ", "x" * 256]
)
async def test_a_long_password_counts_to_its_last_byte(client: httpx2.AsyncClient, password: str) -> None:
    ann = {"email": "ann@example.com", "password": password}
    assert (await client.post(f"{API}/users", json=ann)).status_code == 201
    assert (await client.post(f"{API}/login", json=ann)).status_code == 200
    for other in (password[:-1], password[:-1] + "#", password[:72], password.strip(), password.upper()):
        if other != password:
            assert (await client.post(f"{API}/login", json=ann | {"password": other})).status_code == 422, other[-9:]
    assert (await client.post("/accounts/login", data=ann)).status_code == 303


async def test_one_password_typed_on_two_keyboards_is_one_password(client: httpx2.AsyncClient) -> None:
    composed, decomposed, wide = "caf\u00e9 au lait, s'il", "cafe\u0301 au lait, s'il", "ｃａｆé au lait, s'il"
    assert len({prepared(each) for each in (composed, decomposed, wide)}) == 1
    ann = {"email": "ann@example.com", "password": decomposed}
    assert (await client.post(f"{API}/users", json=ann)).status_code == 201
    for typed in (composed, decomposed, wide):
        assert (await client.post(f"{API}/login", json=ann | {"password": typed})).status_code == 200
    assert (await client.post(f"{API}/login", json=ann | {"password": "cafe au lait, s'il"})).status_code == 422


async def test_an_old_password_that_would_be_refused_today_still_opens_the_account(
    client: httpx2.AsyncClient, make_user: MakeUser, app: FastAPI
) -> None:
    from apps.accounts.manager import HASHER
    from apps.accounts.models import User

    user = await make_user()
    async with app.state.runtime.unit_of_work() as db:
        (await db.get_one(User, user.id)).hashed_password = HASHER.hash("password123")
    assert (await client.post(f"{API}/login", json={"email": user.email, "password": "password123"})).status_code == 200
