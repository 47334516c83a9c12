"""Signed tokens: one algorithm, one key per purpose, every claim required."""

import hmac
import re
import secrets
import zlib
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from typing import Any

import jwt

ALGORITHM = "HS256"
REQUIRED = ["exp", "iat", "sub", "aud", "jti", "typ"]
PUBLISHED = re.compile(r"change.?(this|me)|secret.?key|insecure|your.?secret", re.I)
CLOCK_SKEW = 60  # seconds by which another machine's clock may be ahead; expiry gets no such grace


class BadToken(Exception):
    """A token that is forged, expired, incomplete or made for another purpose."""


class Signer:
    """Signs and reads short tokens (RFC 7519) with keys derived from SECRET_KEY and its fallbacks.

    Args:
        keys: the signing key first, then former keys that are accepted for reading.
    """

    def __init__(self, keys: list[str]) -> None:
        self._keys = keys

    def key(self, purpose: str) -> str:
        """The key of one purpose, hexadecimal; a leaked one tells nothing about the others."""
        return self._derived(self._keys[0], purpose)

    @staticmethod
    def _derived(key: str, purpose: str) -> str:
        return hmac.new(key.encode(), f"uptempo/{purpose}".encode(), sha256).hexdigest()

    def digests(self, purpose: str, text: str) -> list[str]:
        """The text's hash by each key, the signing key's first: what a table keeps of a token."""
        return [self._derived(self._derived(key, purpose), text) for key in self._keys]

    def sign(self, purpose: str, subject: str, seconds: int, **claims: Any) -> str:
        """A token about `subject` that counts for `seconds` and for this purpose only."""
        issued = datetime.now(UTC)
        payload = {
            **claims,
            "sub": subject,
            "aud": purpose,
            "typ": purpose,
            "iat": issued,
            "exp": issued + timedelta(seconds=seconds),
            "jti": secrets.token_urlsafe(12),
        }
        return jwt.encode(payload, self.key(purpose), algorithm=ALGORITHM)

    def read(self, purpose: str, token: str) -> dict[str, Any]:
        """The claims of a good token; raises BadToken for any other."""
        for key in self._keys:
            try:
                claims: dict[str, Any] = jwt.decode(
                    token,
                    _prepared(self._derived(key, purpose)),
                    algorithms=[ALGORITHM],
                    audience=purpose,
                    options={"require": REQUIRED, "strict_aud": True, "verify_iat": False},
                )
                issued = float(claims["iat"])
            except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
                continue
            if claims["typ"] == purpose and issued <= datetime.now(UTC).timestamp() + CLOCK_SKEW:
                return claims
        raise BadToken


@lru_cache(maxsize=64)
def _prepared(key: str) -> jwt.PyJWK:
    """A key as PyJWT wants it; given as text it would be looked at anew for each token, whether it is a public one."""
    return jwt.PyJWK({"kty": "oct", "k": urlsafe_b64encode(key.encode()).decode()}, ALGORITHM)


def is_weak(key: str) -> bool:
    """Whether a key is short, published somewhere, or a pattern that repeats (it then compresses to almost nothing)."""
    short = len(key) < 32 or len(set(key)) < 10 or len(zlib.compress(key.encode(), 9)) < 32
    return short or key != key.strip() or bool(PUBLISHED.search(key))
