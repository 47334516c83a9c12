"""A WebSocket route as a FastAPI tutorial writes it: nothing here knows of this project."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, WebSocket, WebSocketDisconnect, WebSocketException, status

from tests.core.pasted.router import journal

sockets = APIRouter()


async def get_token(token: Annotated[str | None, Query()] = None) -> str:
    """Refuse the handshake without a token."""
    if token is None:
        raise WebSocketException(code=status.WS_1008_POLICY_VIOLATION)
    return token


@sockets.websocket("/items/{item_id}/ws")
async def websocket_endpoint(websocket: WebSocket, item_id: int, token: Annotated[str, Depends(get_token)]) -> None:
    """Echo until the other side leaves."""
    await websocket.accept()
    try:
        while True:
            data = await websocket.receive_text()
            await websocket.send_text(f"{token} says to item {item_id}: {data}")
    except WebSocketDisconnect:
        journal.append("left")
