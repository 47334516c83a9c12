"""Tickets: a socket for clients whose bearer token cannot travel in a header, as in a browser's WebSocket.

They get a ticket by `POST /api/v1/live/tickets` and offer it as a subprotocol, never in the address:
`new WebSocket(url, ["uptempo", "ticket." + ticket])`. It opens one socket, of the session that asked for it.
"""

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.requests import Request

from project.core.errors import Forbidden
from project.core.signing import Signer
from project.core.web.deps import TICKET, SignedIn

SECONDS = 30
api = APIRouter()


class Ticket(BaseModel):
    """What opens one socket."""

    ticket: str = Field(description="Offer it once, as the subprotocol `ticket.<ticket>` beside `uptempo`.")
    expires_in: int = Field(default=SECONDS, description="Seconds for which it counts.")


@api.post("/tickets", status_code=201)
async def make_ticket(request: Request, user: SignedIn) -> Ticket:
    """A ticket for one socket of this session; an API token has none, and travels in a header."""
    if user.scopes is not None:
        raise Forbidden("An API token opens sockets by its header.", code="in_person")
    signer: Signer = request.app.state.signer
    return Ticket(ticket=signer.sign(TICKET, str(user.session_id), SECONDS))
