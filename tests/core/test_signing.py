"""Signed tokens: one algorithm, one purpose, an end, every claim."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest

from project.core.signing import BadToken, Signer

KEY, OTHER = "k" * 16 + "abcdefghijklmnop", "another key of some length 0123456789"
signer = Signer([KEY])


def forged(key: str = "", algorithm: str = "HS256", headers: dict[str, Any] | None = None, **change: Any) -> str:
    now = datetime.now(UTC)
    claims = {"sub": "1", "aud": "a", "typ": "a", "iat": now, "exp": now + timedelta(minutes=5), "jti": "x"} | change
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(claims, key or signer.key("a"), algorithm=algorithm, headers=headers)


def unsigned() -> str:
    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part({'sub': '1', 'aud': 'a', 'typ': 'a', 'exp': 9999999999})}."


def test_a_good_token_is_read() -> None:
    assert signer.read("a", signer.sign("a", "user", 60, sid="s"))["sid"] == "s"
    assert signer.read("a", forged())["sub"] == "1"


PAST, FUTURE = datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC) + timedelta(hours=1)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x.y.z",
        "a" * 10_000,
        unsigned(),
        forged(key=OTHER),
        forged(algorithm="HS512"),
        forged(exp=PAST),
        forged(exp=None),
        forged(iat=None),
        forged(jti=None),
        forged(sub=None),
        forged(typ=None),
        forged(aud=None),
        forged(aud="b"),
        forged(aud=["a", "b"]),
        forged(typ="b"),
        forged(iat=FUTURE),
        forged(nbf=FUTURE),
        forged(headers={"crit": ["x"], "x": 1}),
        forged().rpartition(".")[0] + ".",
        signer.sign("b", "user", 60),
        "\ud800.\ud800.\ud800",
    ],
)
def test_every_other_token_is_refused(token: str) -> None:
    with pytest.raises(BadToken):
        signer.read("a", token)


def test_a_former_key_counts_until_it_is_taken_out() -> None:
    old = Signer([OTHER]).sign("a", "user", 60)
    assert Signer([KEY, OTHER]).read("a", old)["sub"] == "user"
    with pytest.raises(BadToken):
        Signer([KEY]).read("a", old)
