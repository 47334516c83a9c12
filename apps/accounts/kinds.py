"""What can happen to an account, for programs and in people's words."""

from enum import StrEnum


class Kind(StrEnum):
    """What can happen."""

    SIGNED_IN = "signed_in"
    SIGN_IN_FAILED = "sign_in_failed"
    SIGNED_OUT = "signed_out"
    SESSION_ENDED = "session_ended"
    SESSIONS_ENDED = "sessions_ended"
    PASSWORD_REFUSED = "password_refused"  # noqa: S105 - what happened, no secret
    PASSWORD_CHANGED = "password_changed"  # noqa: S105
    PASSWORD_RESET = "password_reset"  # noqa: S105
    EMAIL_ASKED = "email_asked"
    EMAIL_CHANGED = "email_changed"
    TOKEN_MADE = "token_made"  # noqa: S105
    TOKEN_REVOKED = "token_revoked"  # noqa: S105
    TOKEN_REUSED = "token_reused"  # noqa: S105


WORDS: dict[str, str] = {
    Kind.SIGNED_IN: "Logged in",
    Kind.SIGN_IN_FAILED: "Somebody tried to log in and could not",
    Kind.SIGNED_OUT: "Logged out",
    Kind.SESSION_ENDED: "A device was logged out",
    Kind.SESSIONS_ENDED: "All other devices were logged out",
    Kind.PASSWORD_REFUSED: "A wrong password was given where it is asked for again",
    Kind.PASSWORD_CHANGED: "The password was changed",
    Kind.PASSWORD_RESET: "A new password was set by a link in a mail",
    Kind.EMAIL_ASKED: "Another e-mail was asked for",
    Kind.EMAIL_CHANGED: "The e-mail was changed",
    Kind.TOKEN_MADE: "An API token was made",
    Kind.TOKEN_REVOKED: "An API token was revoked",
    Kind.TOKEN_REUSED: "An old refresh token was used again, so its device was logged out",
}
WARNINGS = {Kind.SIGN_IN_FAILED, Kind.PASSWORD_REFUSED, Kind.TOKEN_REUSED}
