"""What accounts can do; every voice calls these."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from fastapi.security import OAuth2PasswordRequestForm
from fastapi_users import InvalidPasswordException
from fastapi_users.exceptions import UserAlreadyExists
from sqlalchemy import delete, func, true
from sqlalchemy.ext.asyncio import AsyncSession as SQLAlchemySession
from sqlmodel import col, or_, select
from starlette.requests import HTTPConnection

from apps.accounts import events, notices, sessions
from apps.accounts.conf import AccountsSettings, confirms
from apps.accounts.kinds import Kind
from apps.accounts.manager import UserManager
from apps.accounts.models import ApiToken, Session, User
from apps.accounts.policies import may_see
from apps.accounts.schemas import AccountDelete, MeUpdate, PasswordChange, UserCreate, normalise_email
from apps.accounts.sessions import SessionStrategy
from project.core import (
    AsyncSession,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Principal,
    Runtime,
    Slice,
    enqueue,
    get_or_404,
    now,
    paginate,
)
from project.core.db.queries import contains, order_by
from project.core.jobs.mailing import send_mail
from project.core.live import revoke
from project.core.web.limits import Limiter, client_address

SORTS = {"email": User.email, "name": User.name, "created_at": User.created_at}


@dataclass(frozen=True, slots=True)
class Figures:
    """How alive the site is: accounts in all, those opened within seven days, sessions that still count."""

    accounts: int
    new: int
    sessions: int


async def figures(db: AsyncSession, runtime: Runtime) -> Figures:
    """The figures as they are now, in one statement; an account counts when it may log in.

    A sign-up that waits for its link must not show here: the number would tell whether its e-mail was free.
    """
    moment = now()
    counted = col(User.is_verified) if confirms(runtime) else true()
    lately = func.count().filter(counted, col(User.created_at) > moment - timedelta(days=7))
    live = sessions.live(runtime.conf(AccountsSettings), moment)
    open_sessions = select(func.count()).select_from(Session).where(live).scalar_subquery()
    accounts = func.count().filter(counted)
    return Figures(*(await db.exec(select(accounts, lately, open_sessions).select_from(User))).one())


async def sign_up(manager: UserManager, limiter: Limiter, conn: HTTPConnection, data: UserCreate) -> User | None:
    """Open an account and mail a welcome; raises Conflict for a taken e-mail, Invalid for a bad password, TooMany.

    Where the link in the mail opens the account, the same is done for every e-mail, and nobody is returned.
    """
    manager.pool.check()
    await limiter.hit("accounts.signup", client_address(conn), manager.conf.SIGNUP_RATE_ADDRESS)
    mailed = ("accounts.mail.signup", data.email, manager.conf.MAIL_RATE_ACCOUNT)
    user = None
    try:
        if manager.confirms:
            await limiter.hit(*mailed)
        user = await manager.create(data)
        if not manager.confirms:  # a taken e-mail is told at once, and gets no mail
            await limiter.hit(*mailed)
    except UserAlreadyExists:
        if not manager.confirms:
            message = "There is an account with this e-mail already. Log in instead."
            raise Conflict(message, field="email") from None
    except InvalidPasswordException as error:
        raise Invalid(str(error.reason), field="password") from None
    user_id = user.id if user else None
    await enqueue(manager.user_db.db, "accounts.send_welcome", email=data.email, user_id=user_id)
    return None if manager.confirms else user


async def authenticate(manager: UserManager, limiter: Limiter, conn: HTTPConnection, email: str, password: str) -> User:
    """The person with this e-mail and password; raises Invalid without telling which was wrong, or TooMany.

    Every try counts, a good one too, for the account and for the address, whichever door it comes through.
    """
    await count_try(manager, limiter, conn, email)
    user = await manager.authenticate(OAuth2PasswordRequestForm(username=email, password=password))
    if user is None:
        await events.note_failure(manager.runtime, email, Kind.SIGN_IN_FAILED, conn)
        raise Invalid(sessions.wrong(manager.confirms), code="invalid_credentials")
    return user


async def count_try(manager: UserManager, limiter: Limiter, conn: HTTPConnection, email: str) -> None:
    """Count one try of a password; raises TooMany, or Unavailable where no more can be hashed now."""
    manager.pool.check()
    await limiter.hit("accounts.login.address", client_address(conn), manager.conf.LOGIN_RATE_ADDRESS)
    await limiter.hit("accounts.login.account", normalise_email(email), manager.conf.LOGIN_RATE_ACCOUNT)


async def open_browser_session(
    manager: UserManager,
    conn: HTTPConnection,
    user: User,
    *,
    remember: bool = False,
    former: str | None = None,
) -> tuple[str, int | None]:
    """A new session token and the cookie's lifetime in seconds (None: until the browser closes).

    A token the browser brought along ends here, so nobody can plant one.
    """
    strategy = SessionStrategy(manager.user_db.db, manager.runtime, conn, remember=remember)
    if former:
        await strategy.destroy_token(former, user)
    token = await strategy.write_token(user)
    lasting = sessions.lifetime(manager.conf, strategy.kind, remember=remember)
    return token, int(lasting.total_seconds()) if remember else None


async def log_out(db: AsyncSession, user: Principal, conn: HTTPConnection) -> None:
    """End the session that is asking, with its refresh tokens; raises Forbidden for an API token."""
    if user.scopes is not None:
        raise Forbidden("An API token is revoked, not logged out.", code="in_person")
    row = await db.get(Session, user.session_id)
    if row is not None:
        await db.delete(row)
        await events.note(db, user.id, Kind.SIGNED_OUT, conn)
        await revoke(db, user.id)


async def list_users(
    db: AsyncSession,
    *,
    search: str = "",
    active: bool | None = None,
    staff: bool | None = None,
    sort: str = "-created_at",
    limit: int = 10,
    offset: int = 0,
) -> Slice[User]:
    """People, newest first unless sorted otherwise; raises Invalid for an unknown sort."""
    statement = select(User)
    if active is not None:
        statement = statement.where(User.is_active == active)
    if staff is not None:
        statement = statement.where(User.is_staff == staff)
    if search:
        statement = statement.where(or_(contains(User.email, search), contains(User.name, search)))
    return await paginate(db, order_by(statement, sort, SORTS).order_by(col(User.id)), limit=limit, offset=offset)


async def get_user(db: AsyncSession, user: Principal, user_id: UUID) -> User:
    """A person; raises NotFound for whom they may not see."""
    if not may_see(user, user_id):
        raise NotFound
    return await get_or_404(db, select(User).where(User.id == user_id))


async def update_me(db: AsyncSession, user: Principal, data: MeUpdate) -> User:
    """Change what was sent and leave the rest."""
    row = await get_user(db, user, user.id)
    if "name" in data.model_fields_set:
        row.name = (data.name or "").strip()
    await db.flush()
    return row


async def change_password(
    manager: UserManager, limiter: Limiter, conn: HTTPConnection, user: Principal, data: PasswordChange
) -> str | None:
    """Set a new password, sign out everywhere else, revoke API tokens; returns a browser session's new token.

    Raises Invalid when the present password is wrong, and TooMany: this is a door to guess it, too.
    """
    await count_try(manager, limiter, conn, user.email)
    row = await proven(manager, conn, user, data.current_password.get_secret_value(), "current_password")
    try:
        await manager.set_password(row, data.new_password.get_secret_value())
    except InvalidPasswordException as error:
        raise Invalid(str(error.reason), field="new_password") from None
    db = manager.user_db.db
    await sessions.end_others(db, user.id, keep=user.session_id)
    token = await sessions.rotate(db, manager.runtime, user.session_id)
    await db.exec(delete(ApiToken).where(col(ApiToken.user_id) == user.id))
    await notices.tell(db, user.id, Kind.PASSWORD_CHANGED, conn)
    return token


async def delete_me(
    manager: UserManager, limiter: Limiter, conn: HTTPConnection, user: Principal, data: AccountDelete
) -> None:
    """Delete the account with all that hangs on it; raises Invalid for a wrong password, Conflict, TooMany."""
    await count_try(manager, limiter, conn, user.email)
    row = await proven(manager, conn, user, data.password.get_secret_value(), "password")
    db = manager.user_db.db
    await keep_a_superuser(db, without=row.id)
    await manager.delete(row)
    await revoke(db, row.id)
    await send_mail(db, "mail/accounts/account_deleted.html", row.email, {})


async def proven(manager: UserManager, conn: HTTPConnection, user: Principal, password: str, field: str) -> User:
    """The person's own row; raises Invalid, named after the field, when the password is not theirs."""
    row = await get_or_404(manager.user_db.db, select(User).where(User.id == user.id))
    if not await manager.password_matches(row, password):
        await events.note_failure(manager.runtime, user.email, Kind.PASSWORD_REFUSED, conn)
        raise Invalid("This is not your present password.", field=field, code="wrong_password")
    return row


async def keep_a_superuser(db: SQLAlchemySession, *, without: UUID) -> None:
    """Raise Conflict when this is the last active superuser; the locks let two such changes see each other."""
    active = select(User.id).where(col(User.is_superuser), col(User.is_active)).order_by(col(User.id))
    if list((await db.execute(active.with_for_update())).scalars()) == [without]:
        raise Conflict("This is the last active superuser. Make somebody else a superuser first.")
