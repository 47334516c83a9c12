"""What proves a mailbox: links are asked for here, sent by jobs, and used here.

Whoever asks learns nothing: the request only enqueues a job with the e-mail, which looks for the account.
"""

from fastapi_users import InvalidPasswordException
from fastapi_users.exceptions import InvalidResetPasswordToken, InvalidVerifyToken
from pydantic import SecretStr
from sqlalchemy.exc import IntegrityError
from starlette.requests import HTTPConnection

from apps.accounts import events, notices, services, sessions
from apps.accounts.kinds import Kind
from apps.accounts.manager import UserManager, state_of
from apps.accounts.models import User
from apps.accounts.schemas import EmailChange
from project.core import BadRequest, Conflict, Invalid, Principal, enqueue
from project.core.jobs.mailing import send_mail
from project.core.web.limits import Limiter, client_address

DEAD = "This link no longer works: it was used, is too old, or something changed since. Ask for a new one."


async def ask_for_reset(manager: UserManager, limiter: Limiter, conn: HTTPConnection, email: str) -> None:
    """Mail a link for a new password, if there is such an account; raises TooMany."""
    await _count(manager, limiter, conn, "reset", email)
    await enqueue(manager.user_db.db, "accounts.send_reset", email=email)


async def ask_for_verification(manager: UserManager, limiter: Limiter, conn: HTTPConnection, email: str) -> None:
    """Mail a link that verifies the e-mail, if there is such an account and it is not verified; raises TooMany."""
    await _count(manager, limiter, conn, "verify", email)
    await enqueue(manager.user_db.db, "accounts.send_verification", email=email)


async def ask_for_email(
    manager: UserManager, limiter: Limiter, conn: HTTPConnection, user: Principal, data: EmailChange
) -> None:
    """Mail a link to the new address, and word of it to the old one; nothing changes before the link is used.

    Raises Invalid for a wrong password, or the address one has; TooMany.
    """
    await services.count_try(manager, limiter, conn, user.email)
    await _count(manager, limiter, conn, "email", str(user.id))
    row = await services.proven(manager, conn, user, data.password.get_secret_value(), "password")
    if data.new_email == row.email:
        raise Invalid("This is your e-mail already.", field="new_email")
    db = manager.user_db.db
    await enqueue(db, "accounts.send_email_change", user_id=row.id, email=data.new_email, state=state_of(row))
    await enqueue(db, "accounts.send_email_asked", user_id=row.id, email=data.new_email, to=row.email)
    await events.note(db, row.id, Kind.EMAIL_ASKED, conn, data.new_email)


async def reset_password(
    manager: UserManager, limiter: Limiter, conn: HTTPConnection, token: str, password: str
) -> User:
    """Set the password by a link, end every session and token; raises BadRequest for a dead link, Invalid, TooMany."""
    await _count_use(manager, limiter, conn)
    try:
        user = await manager.reset_password(token, password)
    except (InvalidResetPasswordToken, Conflict):  # Conflict: used a moment ago
        raise BadRequest(DEAD, code="dead_link") from None
    except InvalidPasswordException as error:
        raise Invalid(str(error.reason), field="new_password") from None
    db = manager.user_db.db
    await sessions.end_all(db, user.id)
    await notices.tell(db, user.id, Kind.PASSWORD_RESET, conn)
    return user


async def verify(
    manager: UserManager, limiter: Limiter, conn: HTTPConnection, token: str, password: SecretStr | None = None
) -> User:
    """Verify the e-mail by a link, and by the sign-up's password where that opens the account.

    Raises BadRequest for a dead link, Invalid for a wrong password, TooMany: this is a door to guess it, too.
    """
    await _count_use(manager, limiter, conn)
    found = await manager.holder(manager.verification_token_audience, token) if manager.confirms else None
    if found is not None:
        await manager.user_db.db.release()
        await services.count_try(manager, limiter, conn, found[0].email)
    try:
        return await manager.verify(token, password=password.get_secret_value() if password else "")
    except Invalid:
        if found is not None:
            await events.note_failure(manager.runtime, found[0].email, Kind.SIGN_IN_FAILED, conn)
        raise
    except InvalidVerifyToken:
        raise BadRequest(DEAD, code="dead_link") from None


async def change_email(manager: UserManager, limiter: Limiter, conn: HTTPConnection, token: str) -> User:
    """Make the new address the account's by a link, and tell the old one; raises BadRequest for a dead one, TooMany."""
    await _count_use(manager, limiter, conn)
    found = await manager.holder(manager.email_token_audience, token)
    if found is None:
        raise BadRequest(DEAD, code="dead_link")
    user, former, new = found[0], found[0].email, str(found[1]["email"])
    try:
        changed = await manager.user_db.replace(user, email=new, is_verified=True)
    except IntegrityError:  # somebody has opened an account with it since
        changed = False
    if not changed:
        raise BadRequest(DEAD, code="dead_link")
    await events.note(manager.user_db.db, user.id, Kind.EMAIL_CHANGED, conn, f"before: {former}")
    await send_mail(manager.user_db.db, "mail/accounts/email_changed.html", former, {"email": new})
    return user


async def _count(manager: UserManager, limiter: Limiter, conn: HTTPConnection, kind: str, account: str) -> None:
    await limiter.hit("accounts.mail.address", client_address(conn), manager.conf.MAIL_RATE_ADDRESS)
    await limiter.hit(f"accounts.mail.{kind}", account, manager.conf.MAIL_RATE_ACCOUNT)


async def _count_use(manager: UserManager, limiter: Limiter, conn: HTTPConnection) -> None:
    await limiter.hit("accounts.link", client_address(conn), manager.conf.MAIL_RATE_ADDRESS)
