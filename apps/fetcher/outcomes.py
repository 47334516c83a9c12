"""What becomes of a URL, in words and in values that stay."""

from enum import StrEnum


class Failure(StrEnum):
    """Why a URL has no result; the values are stable. A private, closed or silent address and a name nobody knows
    are one failure, so that nobody can look around a network by them."""

    INVALID_URL = "invalid_url"
    BLOCKED = "blocked"
    TIMEOUT = "timeout"
    TOO_LARGE = "too_large"
    TOO_MANY_REDIRECTS = "too_many_redirects"
    BAD_REDIRECT = "bad_redirect"
    BAD_RESPONSE = "bad_response"
    DISCONNECTED = "disconnected"
    TLS = "tls"
    FAILED = "failed"

    @property
    def message(self) -> str:
        """The words people read."""
        return MESSAGES[self]


MESSAGES = {
    Failure.INVALID_URL: "This is not a web address.",
    Failure.BLOCKED: "This address cannot be reached, or may not be.",
    Failure.TIMEOUT: "It took too long.",
    Failure.TOO_LARGE: "The answer is too large.",
    Failure.TOO_MANY_REDIRECTS: "It was redirected too often.",
    Failure.BAD_REDIRECT: "It was redirected to something that is not followed.",
    Failure.BAD_RESPONSE: "The answer cannot be understood.",
    Failure.DISCONNECTED: "The connection was lost.",
    Failure.TLS: "The connection is not secure: the site's certificate is not valid.",
    Failure.FAILED: "It could not be fetched.",
}


class Outcome(StrEnum):
    """What a URL came to, in three words; the values are stable."""

    OK = "ok"  # an answer below 400
    REFUSED = "refused"  # an answer of 400 or more
    FAILED = "failed"  # no answer, or none that counts


class FetchError(Exception):
    """A URL has no result."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.value)
        self.failure = failure
