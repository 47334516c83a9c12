"""fastapi-users' manager over our storage: the adapter never commits, hashing leaves the event loop."""

from typing import Annotated, Any
from uuid import UUID

import jwt
from fastapi import Depends, Request
from fastapi.security import OAuth2PasswordRequestForm
from fastapi_users import BaseUserManager, InvalidPasswordException, UUIDIDMixin, exceptions
from fastapi_users.db import BaseUserDatabase
from fastapi_users.jwt import decode_jwt, generate_jwt
from fastapi_users.password import PasswordHelper
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm.attributes import set_committed_value
from sqlmodel import col, select

from apps.accounts.conf import AccountsSettings
from apps.accounts.models import User
from apps.accounts.schemas import UserCreate, normalise_email
from project.core import DB, AsyncSession, Conflict, CurrentRuntime, Runtime
from project.core.signing import Signer

# OWASP's floor is 19 MiB, t=2, p=1; a weaker stored hash is replaced at the next log-in.
HASHER = PasswordHelper(PasswordHash((Argon2Hasher(time_cost=2, memory_cost=19_456, parallelism=1),)))


# Nobody knows the password of this hash: it makes an unknown e-mail cost what a known one costs (Django #20760).
NOBODY = "$argon2id$v=19$m=19456,t=2,p=1$STm1Ln1OBxCK0cm5ut+HUw$xTd67Xs/y9dsJFwMhum4AcOVrL+5JapRD2a7seTpePY"


class UserDB(BaseUserDatabase[User, UUID]):
    """fastapi-users' storage on a session of ours: it flushes, the unit of work commits."""

    def __init__(self, db: AsyncSession) -> None:
        self.db = db

    async def get(self, id: UUID) -> User | None:
        return await self.db.get(User, id)

    async def get_by_email(self, email: str) -> User | None:
        return (await self.db.exec(select(User).where(User.email == normalise_email(email)))).first()

    async def create(self, create_dict: dict[str, Any]) -> User:
        user = User(**create_dict)
        self.db.add(user)
        await self.db.flush()
        return user

    async def update(self, user: User, update_dict: dict[str, Any]) -> User:
        user.sqlmodel_update(update_dict)
        self.db.add(user)
        await self.db.flush()
        return user

    async def replace_hash(self, user: User, hashed: str) -> bool:
        """Write a new hash unless somebody wrote another one since `user` was read."""
        mine = (col(User.id) == user.id) & (col(User.hashed_password) == user.hashed_password)
        changed = await self.db.exec(update(User).where(mine).values(hashed_password=hashed))
        if changed.rowcount:
            set_committed_value(user, "hashed_password", hashed)
        return bool(changed.rowcount)

    async def delete(self, user: User) -> None:
        await self.db.delete(user)
        await self.db.flush()


class UserManager(UUIDIDMixin, BaseUserManager[User, UUID]):
    """fastapi-users' flows and hooks (`on_after_register`, …) with hashing in the runtime's bounded pool.

    Reset and verification tokens are fastapi-users' own, signed with keys derived from SECRET_KEY.
    """

    user_db: UserDB

    def __init__(self, db: AsyncSession, runtime: Runtime) -> None:
        super().__init__(UserDB(db), HASHER)
        signer = Signer(runtime.settings.keys)
        self.reset_password_token_secret = signer.key("accounts.reset")
        self.verification_token_secret = signer.key("accounts.verify")
        self.pool = runtime.hashing
        self.conf = runtime.conf(AccountsSettings)

    async def hash(self, password: str) -> str:
        """The password's argon2id hash, off the event loop; raises Unavailable when too many wait."""
        return await self.pool.run(self.password_helper.hash, password)

    async def validate_password(self, password: str, user: Any) -> None:
        """Raise InvalidPasswordException for a password that is the person's own e-mail."""
        if normalise_email(password) == normalise_email(user.email):
            raise InvalidPasswordException("Choose a password that is not your e-mail.")

    async def create(self, user_create: Any, safe: bool = True, request: Request | None = None) -> User:
        """Add a person; raises UserAlreadyExists, also when somebody else was faster by a moment."""
        data: UserCreate = user_create
        password = data.password.get_secret_value()
        await self.validate_password(password, data)
        await self.user_db.db.release()
        hashed = await self.hash(password)
        try:
            user = await self.user_db.create({"email": data.email, "name": data.name, "hashed_password": hashed})
        except IntegrityError:
            raise exceptions.UserAlreadyExists from None
        await self.on_after_register(user, request)
        return user

    async def forgot_password(self, user: User, request: Request | None = None) -> None:
        """Give the hook `on_after_forgot_password` a token that dies with the present password."""
        if not user.is_active:
            raise exceptions.UserInactive
        await self.user_db.db.release()
        claims = {
            "sub": str(user.id),
            "password_fgpt": await self.hash(user.hashed_password),
            "aud": self.reset_password_token_audience,
        }
        lifetime = self.reset_password_token_lifetime_seconds
        token = generate_jwt(claims, self.reset_password_token_secret, lifetime)
        await self.on_after_forgot_password(user, token, request)

    async def reset_password(self, token: str, password: str, request: Request | None = None) -> User:
        """Set the password with a token of forgot_password, once; raises InvalidResetPasswordToken."""
        try:
            claims = decode_jwt(token, self.reset_password_token_secret, [self.reset_password_token_audience])
            user = await self.get(self.parse_id(claims["sub"]))
            fingerprint = str(claims["password_fgpt"])
        except (jwt.PyJWTError, KeyError, exceptions.InvalidID, exceptions.UserNotExists):
            raise exceptions.InvalidResetPasswordToken from None
        await self.user_db.db.release()
        good, _ = await self.pool.run(self.password_helper.verify_and_update, user.hashed_password, fingerprint)
        if not good:
            raise exceptions.InvalidResetPasswordToken
        if not user.is_active:
            raise exceptions.UserInactive
        await self.set_password(user, password)
        await self.on_after_reset_password(user, request)
        return user

    async def _update(self, user: User, update_dict: dict[str, Any]) -> User:
        """fastapi-users' update, its password hashed off the event loop."""
        values = dict(update_dict)
        password = values.pop("password", None)
        if password is not None:
            await self.set_password(user, password)
        return await super()._update(user, values)

    async def authenticate(self, credentials: OAuth2PasswordRequestForm) -> User | None:
        """The active person with this e-mail and password, or None; the same work is done for everybody."""
        user = await self.user_db.get_by_email(credentials.username)
        if not await self.password_matches(user, credentials.password):
            return None
        return user if user is not None and user.is_active else None

    async def password_matches(self, user: User | None, password: str) -> bool:
        """Whether the password is this person's; nobody's never matches, after the same time."""
        await self.user_db.db.release()
        stored = user.hashed_password if user is not None else NOBODY
        good, better = await self.pool.run(self.password_helper.verify_and_update, password, stored)
        if user is None or not good:
            return False
        if better is not None:
            await self.user_db.replace_hash(user, better)
        return True

    async def set_password(self, user: User, password: str) -> None:
        """Replace the password; raises InvalidPasswordException, or Conflict when somebody was faster."""
        await self.validate_password(password, user)
        await self.user_db.db.release()
        if not await self.user_db.replace_hash(user, await self.hash(password)):
            raise Conflict("The password was changed meanwhile. Log in again.")


def user_manager(db: DB, runtime: CurrentRuntime) -> UserManager:
    """The manager on this request's session."""
    return UserManager(db, runtime)


Manager = Annotated[UserManager, Depends(user_manager)]
