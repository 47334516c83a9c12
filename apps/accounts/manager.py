"""fastapi-users' manager over our storage: the adapter never commits, hashing leaves the event loop."""

from hashlib import sha256
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Request
from fastapi.security import OAuth2PasswordRequestForm
from fastapi_users import BaseUserManager, InvalidPasswordException, UUIDIDMixin, exceptions
from fastapi_users.db import BaseUserDatabase
from fastapi_users.password import PasswordHelper
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy import update
from sqlalchemy.orm.attributes import set_committed_value
from sqlmodel import col, select

from apps.accounts.conf import AccountsSettings, confirms
from apps.accounts.models import User
from apps.accounts.passwords import objection, prepared
from apps.accounts.schemas import UserCreate, normalise_email
from project.core import DB, AsyncSession, Conflict, CurrentRuntime, Invalid, Runtime, run_blocking
from project.core.db.queries import insert
from project.core.signing import BadToken, Signer

# OWASP's floor is 19 MiB, t=2, p=1; a weaker stored hash is replaced at the next log-in.
HASHER = PasswordHelper(PasswordHash((Argon2Hasher(time_cost=2, memory_cost=19_456, parallelism=1),)))


# Nobody knows the password of this hash: it makes an unknown e-mail cost what a known one costs (Django #20760).
NOBODY = "$argon2id$v=19$m=19456,t=2,p=1$STm1Ln1OBxCK0cm5ut+HUw$xTd67Xs/y9dsJFwMhum4AcOVrL+5JapRD2a7seTpePY"

NOT_THE_SIGN_UPS = (
    "This is not the password of this sign-up. If it was not you who signed up, choose a new one: Forgot your password?"
)


class UserDB(BaseUserDatabase[User, UUID]):
    """fastapi-users' storage on a session of ours: it flushes, the unit of work commits."""

    def __init__(self, db: AsyncSession) -> None:
        self.db = db

    async def get(self, id: UUID) -> User | None:
        return await self.db.get(User, id)

    async def get_by_email(self, email: str) -> User | None:
        return (await self.db.exec(select(User).where(User.email == normalise_email(email)))).first()

    async def create(self, create_dict: dict[str, Any]) -> User:
        """Add a person; raises UserAlreadyExists, and leaves the transaction usable, when the e-mail is taken."""
        new = insert(self.db, User).values(User(**create_dict).model_dump())
        new = new.on_conflict_do_nothing(index_elements=["email"])
        user: User | None = (await self.db.scalars(new.returning(User))).first()
        if user is None:
            raise exceptions.UserAlreadyExists
        return user

    async def update(self, user: User, update_dict: dict[str, Any]) -> User:
        user.sqlmodel_update(update_dict)
        self.db.add(user)
        await self.db.flush()
        return user

    async def replace(self, user: User, **values: Any) -> bool:
        """Write these columns unless the e-mail or password became another one since `user` was read."""
        same = (col(User.email) == user.email) & (col(User.hashed_password) == user.hashed_password)
        changed = await self.db.exec(update(User).where(col(User.id) == user.id, same).values(**values))
        if changed.rowcount:
            for name, value in values.items():
                set_committed_value(user, name, value)
        return bool(changed.rowcount)

    async def delete(self, user: User) -> None:
        await self.db.delete(user)
        await self.db.flush()


class UserManager(UUIDIDMixin, BaseUserManager[User, UUID]):
    """fastapi-users' flows and hooks (`on_after_register`, …) with hashing in the runtime's bounded pool.

    The tokens of its flows are signed with keys derived from SECRET_KEY, one for each audience, and die with the
    e-mail or password of the moment they were made.
    """

    user_db: UserDB
    verification_token_lifetime_seconds = 24 * 3600
    email_token_audience = "accounts:email"  # noqa: S105 - a purpose, no secret

    def __init__(self, db: AsyncSession, runtime: Runtime) -> None:
        super().__init__(UserDB(db), HASHER)
        self.runtime = runtime
        self.signer = Signer(runtime.settings.keys)
        self.pool = runtime.hashing
        self.conf = runtime.conf(AccountsSettings)
        self.confirms = confirms(runtime)
        self.site_name = runtime.settings.SITE_NAME

    async def hash(self, password: str) -> str:
        """The password's argon2id hash, off the event loop; raises Unavailable when too many wait."""
        return await self.pool.run(self.password_helper.hash, prepared(password))

    async def validate_password(self, password: str, user: Any) -> None:
        """Raise InvalidPasswordException for one that others would try first, or that the person's own words make."""
        why = await run_blocking(objection, password, normalise_email(user.email), user.name, self.site_name)
        if why:
            raise InvalidPasswordException(why)

    async def create(self, user_create: Any, safe: bool = True, request: Request | None = None) -> User:
        """Add a person; raises UserAlreadyExists, also when somebody else was faster by a moment."""
        data: UserCreate = user_create
        password = data.password.get_secret_value()
        await self.user_db.db.release()
        await self.validate_password(password, data)
        hashed = await self.hash(password)
        user = await self.user_db.create({"email": data.email, "name": data.name, "hashed_password": hashed})
        await self.on_after_register(user, request)
        return user

    async def forgot_password(self, user: User, request: Request | None = None) -> None:
        """Give the hook `on_after_forgot_password` a token that counts once; raises UserInactive."""
        if not user.is_active:
            raise exceptions.UserInactive
        token = self.token(user, self.reset_password_token_audience, self.reset_password_token_lifetime_seconds)
        await self.on_after_forgot_password(user, token, request)

    async def reset_password(self, token: str, password: str, request: Request | None = None) -> User:
        """Set the password with a token of forgot_password, once; raises InvalidResetPasswordToken.

        Whoever has the token reads the person's mail, so their e-mail is verified by it.
        """
        found = await self.holder(self.reset_password_token_audience, token)
        if found is None:
            raise exceptions.InvalidResetPasswordToken
        await self.set_password(found[0], password, is_verified=True)
        await self.on_after_reset_password(found[0], request)
        return found[0]

    async def request_verify(self, user: User, request: Request | None = None) -> None:
        """Give the hook `on_after_request_verify` a token; raises UserInactive or UserAlreadyVerified."""
        if not user.is_active:
            raise exceptions.UserInactive
        if user.is_verified:
            raise exceptions.UserAlreadyVerified
        token = self.token(user, self.verification_token_audience, self.verification_token_lifetime_seconds)
        await self.on_after_request_verify(user, token, request)

    async def verify(self, token: str, request: Request | None = None, *, password: str = "") -> User:
        """Mark the e-mail as verified with a token of request_verify, once; raises InvalidVerifyToken.

        Where this opens the account, it takes the sign-up's password, too, or raises Invalid: whoever reads the mail
        must not open an account whose password somebody else has chosen.
        """
        found = await self.holder(self.verification_token_audience, token)
        if found is None:
            raise exceptions.InvalidVerifyToken
        if self.confirms and not await self.password_matches(found[0], password):
            raise Invalid(NOT_THE_SIGN_UPS, field="password", code="wrong_password")
        if not await self.user_db.replace(found[0], is_verified=True):
            raise exceptions.InvalidVerifyToken
        await self.on_after_verify(found[0], request)
        return found[0]

    def email_token(self, user: User, new_email: str) -> str:
        """A token that makes `new_email` the person's own, once."""
        seconds = self.verification_token_lifetime_seconds
        return self.token(user, self.email_token_audience, seconds, email=new_email)

    def token(self, user: User, audience: str, seconds: int, **claims: Any) -> str:
        """A token about the person for one purpose; it dies with their e-mail and with their password."""
        return self.signer.sign(audience, str(user.id), seconds, state=state_of(user), **claims)

    async def holder(self, audience: str, token: str) -> tuple[User, dict[str, Any]] | None:
        """The active person a token is about, and its claims; None for one that no longer counts."""
        try:
            claims = self.signer.read(audience, token)
            user = await self.user_db.get(self.parse_id(claims["sub"]))
        except (BadToken, exceptions.InvalidID):
            return None
        if user is None or not user.is_active or claims.get("state") != state_of(user):
            return None
        used = user.is_verified and audience == self.verification_token_audience
        return None if used else (user, claims)

    async def _update(self, user: User, update_dict: dict[str, Any]) -> User:
        """fastapi-users' update, its password hashed off the event loop."""
        values = dict(update_dict)
        password = values.pop("password", None)
        if password is not None:
            await self.set_password(user, password)
        return await super()._update(user, values)

    async def authenticate(self, credentials: OAuth2PasswordRequestForm) -> User | None:
        """The person with this e-mail and password who may log in, or None; the same work is done for everybody."""
        user = await self.user_db.get_by_email(credentials.username)
        if not await self.password_matches(user, credentials.password) or user is None:
            return None
        return user if user.is_active and (user.is_verified or not self.confirms) else None

    async def password_matches(self, user: User | None, password: str) -> bool:
        """Whether the password is this person's; nobody's never matches, after the same time."""
        await self.user_db.db.release()
        stored = user.hashed_password if user is not None else NOBODY
        good, better = await self.pool.run(self.password_helper.verify_and_update, prepared(password), stored)
        if user is None or not good:
            return False
        if better is not None:
            await self.user_db.replace(user, hashed_password=better)
        return True

    async def set_password(self, user: User, password: str, **values: Any) -> None:
        """Replace the password, and other columns; raises InvalidPasswordException, Conflict if somebody was faster."""
        await self.user_db.db.release()
        await self.validate_password(password, user)
        if not await self.user_db.replace(user, hashed_password=await self.hash(password), **values):
            raise Conflict("The password was changed meanwhile. Log in again.")


def state_of(user: User) -> str:
    """What a token remembers of its person: another e-mail or password gives another value."""
    return sha256(f"{user.email}\n{user.hashed_password}".encode()).hexdigest()[:32]


async def user_manager(db: DB, runtime: CurrentRuntime) -> UserManager:
    """The manager on this request's session."""
    return UserManager(db, runtime)


Manager = Annotated[UserManager, Depends(user_manager)]
