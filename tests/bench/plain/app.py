"""The baseline: FastAPI, SQLModel and asyncpg as the tutorials write it, one file, no batteries.

After FastAPI's own tutorials (dependencies with yield, OAuth2 with JWT, templates, static files) and its full-stack
template (a list answers its rows and their count; `commit` and `refresh` in the handler), with async sessions.
It does what the site's routes do for the same person and the same rows. What it lacks is what the site has more:
sessions that can be revoked, rights, a guard, limits, idempotency, request ids, security headers, refusals in words.
"""

import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import randint
from typing import Annotated, Any
from uuid import UUID, uuid4

import jwt
import sqlalchemy as sa
from fastapi import Cookie, Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import HTMLResponse
from fastapi.security import OAuth2PasswordBearer, OAuth2PasswordRequestForm
from fastapi.staticfiles import StaticFiles
from fastapi.templating import Jinja2Templates
from pwdlib import PasswordHash
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlmodel import Field, SQLModel, col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

SECRET_KEY, ALGORITHM = os.environ["SECRET_KEY"], "HS256"

engine = create_async_engine(os.environ["DATABASE_URL"], pool_size=10, max_overflow=10)
async_session = async_sessionmaker(engine, class_=AsyncSession, expire_on_commit=False)
password_hash = PasswordHash.recommended()
templates = Jinja2Templates(directory=Path(__file__).parent / "templates")
app = FastAPI()
app.mount("/static", StaticFiles(directory=os.environ["STATIC_FOLDER"]), name="static")


def moment() -> datetime:
    return datetime.now(UTC)


class UserBase(SQLModel):
    email: str = Field(unique=True, index=True, max_length=320)
    name: str = Field(default="", max_length=100)
    is_active: bool = True
    is_staff: bool = False
    is_verified: bool = False


class User(UserBase, table=True):
    __tablename__ = "plain_user"

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    hashed_password: str
    is_superuser: bool = False
    created_at: datetime = Field(default_factory=moment, sa_type=sa.DateTime(timezone=True))
    updated_at: datetime = Field(default_factory=moment, sa_type=sa.DateTime(timezone=True))


class UserPublic(UserBase):
    id: UUID
    created_at: datetime


class ThingBase(SQLModel):
    title: str = Field(min_length=1, max_length=200)


class ThingCreate(ThingBase):
    pass


class Thing(ThingBase, table=True):
    __tablename__ = "plain_thing"

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    owner_id: UUID = Field(foreign_key="plain_user.id", index=True)
    created_at: datetime = Field(default_factory=moment, sa_type=sa.DateTime(timezone=True))
    updated_at: datetime = Field(default_factory=moment, sa_type=sa.DateTime(timezone=True))


class ThingPublic(ThingBase):
    id: UUID
    created_at: datetime
    updated_at: datetime


class ThingsPublic(SQLModel):
    data: list[ThingPublic]
    count: int


async def get_session() -> AsyncIterator[AsyncSession]:
    async with async_session() as session:
        yield session


SessionDep = Annotated[AsyncSession, Depends(get_session)]
TokenDep = Annotated[str, Depends(OAuth2PasswordBearer(tokenUrl="/login/access-token"))]


async def get_user(session: AsyncSession, token: str) -> User:
    try:
        payload = jwt.decode(token, SECRET_KEY, algorithms=[ALGORITHM])
    except jwt.InvalidTokenError:
        raise HTTPException(status_code=403, detail="Could not validate credentials") from None
    user = await session.get(User, UUID(payload["sub"]))
    if not user:
        raise HTTPException(status_code=404, detail="User not found")
    if not user.is_active:
        raise HTTPException(status_code=400, detail="Inactive user")
    return user


async def get_current_user(session: SessionDep, token: TokenDep) -> User:
    return await get_user(session, token)


async def get_visitor(session: SessionDep, access_token: Annotated[str, Cookie()]) -> User:
    return await get_user(session, access_token)


CurrentUser = Annotated[User, Depends(get_current_user)]
Visitor = Annotated[User, Depends(get_visitor)]


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@app.post("/login/access-token")
async def login(
    response: Response, session: SessionDep, form: Annotated[OAuth2PasswordRequestForm, Depends()]
) -> dict[str, str]:
    user = (await session.exec(select(User).where(User.email == form.username))).first()
    if not user or not password_hash.verify(form.password, user.hashed_password):
        raise HTTPException(status_code=400, detail="Incorrect email or password")
    expire = datetime.now(UTC) + timedelta(minutes=60)
    token = jwt.encode({"sub": str(user.id), "exp": expire}, SECRET_KEY, algorithm=ALGORITHM)
    response.set_cookie("access_token", token, httponly=True)
    return {"access_token": token, "token_type": "bearer"}


@app.get("/users/me", response_model=UserPublic)
async def read_me(current_user: CurrentUser) -> Any:
    return current_user


async def found(session: AsyncSession, user: User, q: str, limit: int, offset: int) -> tuple[list[Thing], int]:
    """The rows and their count, for both voices."""
    statement, counted = select(Thing), select(func.count()).select_from(Thing)
    conditions: list[Any] = [Thing.owner_id == user.id, *([col(Thing.title).icontains(q)] if q else [])]
    count = (await session.exec(counted.where(*conditions))).one()
    statement = statement.where(*conditions).order_by(col(Thing.created_at).desc()).offset(offset).limit(limit)
    return list((await session.exec(statement)).all()), count


@app.get("/api/things", response_model=ThingsPublic)
async def read_things(
    session: SessionDep,
    current_user: CurrentUser,
    q: str = "",
    limit: Annotated[int, Query(le=100)] = 10,
    offset: int = 0,
) -> Any:
    things, count = await found(session, current_user, q, limit, offset)
    return ThingsPublic(data=[ThingPublic.model_validate(thing) for thing in things], count=count)


@app.get("/api/things/{thing_id}", response_model=ThingPublic)
async def read_thing(session: SessionDep, current_user: CurrentUser, thing_id: UUID) -> Any:
    thing = await session.get(Thing, thing_id)
    if not thing or thing.owner_id != current_user.id:
        raise HTTPException(status_code=404, detail="Thing not found")
    return thing


@app.post("/api/things", response_model=ThingPublic, status_code=201)
async def create_thing(session: SessionDep, current_user: CurrentUser, thing_in: ThingCreate) -> Any:
    thing = Thing.model_validate(thing_in, update={"owner_id": current_user.id})
    session.add(thing)
    await session.commit()
    await session.refresh(thing)
    return thing


@app.get("/api/twenty", response_model=list[ThingPublic])
async def read_twenty(session: SessionDep, current_user: CurrentUser) -> Any:
    return [await read_thing(session, current_user, UUID(int=randint(1, 100))) for _ in range(20)]


@app.get("/things", response_class=HTMLResponse)
async def list_things(request: Request, session: SessionDep, user: Visitor, q: str = "", page: int = 1) -> Any:
    things, count = await found(session, user, q, 100, (page - 1) * 100)
    context = {"user": user, "things": things, "count": count, "q": q, "page": page}
    return templates.TemplateResponse(request=request, name="things.html", context=context)


@app.get("/things/new")
@app.post("/logout")
async def elsewhere() -> None:
    """Where the page's links lead."""


@app.get("/things/{thing_id}")
async def show_thing(thing_id: UUID) -> None:
    pass


@app.post("/things/{thing_id}/delete")
async def delete_thing(thing_id: UUID) -> None:
    pass


async def prepare(email: str, password: str) -> None:
    """The tables, the person, a hundred things of theirs, and another person who will add things."""
    async with engine.begin() as connection:
        await connection.run_sync(SQLModel.metadata.create_all)
    async with async_session() as session:
        hashed = password_hash.hash(password)
        user, other = User(email=email, hashed_password=hashed), User(email=f"w{email}", hashed_password=hashed)
        session.add_all([user, other])
        await session.commit()
        session.add_all([Thing(id=UUID(int=n), title=f"Thing {n}", owner_id=user.id) for n in range(1, 101)])
        await session.commit()
    await engine.dispose()


if __name__ == "__main__":
    import asyncio
    import sys

    asyncio.run(prepare(*sys.argv[1:]))
