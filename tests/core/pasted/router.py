"""Routes as a FastAPI tutorial writes them: nothing here knows of this project."""

import threading
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any, Literal

from fastapi import (
    APIRouter,
    BackgroundTasks,
    Cookie,
    Depends,
    File,
    Form,
    Header,
    HTTPException,
    Path,
    Query,
    Request,
    Response,
    UploadFile,
    status,
)
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, StreamingResponse
from fastapi.security import OAuth2PasswordBearer
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, Field

journal: list[str] = []
router = APIRouter()


class Item(BaseModel):
    name: str
    price: float = Field(gt=0)
    tags: list[str] = []
    description: str | None = None


class ItemInDB(Item):
    secret: str = "known to the shop only"


class ItemPublic(BaseModel):
    name: str
    price: float
    description: str | None = None


items: dict[int, ItemInDB] = {1: ItemInDB(name="Hammer", price=9.5), 2: ItemInDB(name="Saw", price=20)}


# Bodies, response models, status codes, background tasks


def write_notification(email: str, message: str = "") -> None:
    journal.append(f"mail to {email}: {message}")


@router.post("/items/", response_model=ItemPublic, status_code=201)
async def create_item(item: Item, background_tasks: BackgroundTasks) -> Any:
    background_tasks.add_task(write_notification, "shop@example.com", message=item.name)
    return ItemInDB(**item.model_dump())


@router.get("/items/", response_model=list[ItemPublic], response_model_exclude_unset=True)
async def read_items(skip: int = 0, limit: int = Query(10, ge=1, le=100)) -> Any:
    return [item.model_dump(exclude_unset=True) for item in list(items.values())[skip : skip + limit]]


@router.get("/items/{item_id}")
def read_item(item_id: Annotated[int, Path(gt=0)]) -> ItemPublic:
    if item_id not in items:
        raise HTTPException(status_code=404, detail="Item not found", headers={"X-Error": "There goes my error"})
    return items[item_id]  # type: ignore[return-value]


@router.delete("/items/{item_id}", status_code=status.HTTP_204_NO_CONTENT)
async def delete_item(item_id: int) -> None:
    raise HTTPException(status_code=418, detail={"reason": "Nope! I don't like you.", "item": item_id})


# Parameters


class CommonHeaders(BaseModel):
    user_agent: str
    x_tag: list[str] = []


@router.get("/params/{kind}")
async def read_params(
    kind: Literal["short", "long"],
    headers: Annotated[CommonHeaders, Header()],
    q: Annotated[list[str] | None, Query(alias="item-query", max_length=3)] = None,
    ads_id: Annotated[str | None, Cookie()] = None,
) -> dict[str, Any]:
    return {"kind": kind, "q": q, "agent": headers.user_agent, "tags": headers.x_tag, "ads_id": ads_id}


class FormData(BaseModel):
    username: str
    password: str


@router.post("/login/")
async def login(data: Annotated[FormData, Form()]) -> dict[str, str]:
    return {"username": data.username}


@router.post("/files/")
async def create_files(
    file: Annotated[bytes, File()], uploads: list[UploadFile], note: Annotated[str, Form()] = ""
) -> dict[str, Any]:
    read = {upload.filename: len(await upload.read()) for upload in uploads}
    return {"file_size": len(file), "uploads": read, "note": note}


# Dependencies: sync, async, classes, nested, cached, with yield


def count_call() -> int:
    journal.append("counted")
    return len(journal)


def first(counted: Annotated[int, Depends(count_call)]) -> int:
    return counted


async def second(counted: Annotated[int, Depends(count_call)]) -> int:
    return counted


@router.get("/cached")
async def cached(
    one: Annotated[int, Depends(first)],
    two: Annotated[int, Depends(second)],
    fresh: Annotated[int, Depends(count_call, use_cache=False)],
) -> list[int]:
    return [one, two, fresh]


def thread_of_sync() -> str:
    return threading.current_thread().name


async def thread_of_async() -> str:
    return threading.current_thread().name


@router.get("/threads")
async def threads(
    sync: Annotated[str, Depends(thread_of_sync)], on_loop: Annotated[str, Depends(thread_of_async)]
) -> list[str]:
    return [sync, on_loop]


class CommonQueryParams:
    def __init__(self, q: str | None = None, skip: int = 0) -> None:
        self.q = q
        self.skip = skip


@router.get("/commons")
async def read_commons(commons: Annotated[CommonQueryParams, Depends()]) -> dict[str, Any]:
    return {"q": commons.q, "skip": commons.skip}


class OwnerError(Exception):
    pass


async def get_db() -> AsyncIterator[str]:
    journal.append("open")
    try:
        yield "db"
    except Exception as error:
        journal.append(f"rollback {type(error).__name__}")
        raise
    finally:
        journal.append("close")


def get_session(db: Annotated[str, Depends(get_db)]) -> Iterator[str]:
    journal.append("begin")
    try:
        yield f"session on {db}"
    finally:
        journal.append("end")


@router.get("/cleanup/{how}")
async def cleanup(how: str, session: Annotated[str, Depends(get_session)]) -> dict[str, str]:
    if how == "refuse":
        raise HTTPException(status_code=409, detail="Taken")
    if how == "break":
        raise OwnerError(how)
    return {"session": session}


# Routers in routers, dependencies of a whole router, security

admin = APIRouter(prefix="/admin", tags=["admin"])
oauth2_scheme = OAuth2PasswordBearer(tokenUrl="token")


async def get_token_header(x_token: Annotated[str, Header()]) -> None:
    if x_token != "fake-super-secret-token":
        raise HTTPException(status_code=400, detail="X-Token header invalid")


@admin.get("/me")
async def read_me(token: Annotated[str, Depends(oauth2_scheme)], request: Request) -> dict[str, Any]:
    return {"token": token, "here": request.url_for("read_me").path}


router.include_router(admin, dependencies=[Depends(get_token_header)])


# Responses


@router.get("/html", response_class=HTMLResponse)
async def read_html() -> str:
    return "<h1>Look ma! HTML!</h1>"


@router.get("/text", response_class=PlainTextResponse)
def read_text() -> str:
    return "Hello World"


@router.get("/legacy")
def read_legacy() -> Response:
    return Response(content="<shampoo/>", media_type="application/xml")


@router.get("/teleport")
async def teleport(to: str = "elsewhere") -> RedirectResponse:
    return RedirectResponse(f"/{to}")


@router.put("/tasks/{task_id}", responses={202: {"model": ItemPublic}})
def upsert_task(task_id: int, response: Response) -> dict[str, int]:
    response.status_code = status.HTTP_202_ACCEPTED
    response.headers["X-Cat-Dog"] = "alone in the world"
    response.set_cookie(key="fakesession", value="fake-cookie-session-value")
    return {"task": task_id}


@router.get("/portal")
async def portal(plain: bool = False) -> Response:
    return JSONResponse({"portal": True}, headers={"X-Portal": "1"}) if plain else HTMLResponse("portal")


@router.get("/stream")
async def stream() -> StreamingResponse:
    async def numbers() -> AsyncIterator[str]:
        for number in range(3):
            yield f"{number}\n"

    return StreamingResponse(numbers(), media_type="text/plain")


@router.get("/events", response_class=EventSourceResponse)
async def events() -> AsyncIterator[ServerSentEvent]:
    for number in range(2):
        yield ServerSentEvent(data={"number": number}, event="tick", id=str(number))
