"""The plug around the pasted routers: all that has to be written."""

from project.core import AppConfig
from tests.core.pasted.router import router
from tests.core.pasted.sockets import sockets

config = AppConfig(label="pasted", api=router, websockets=sockets)
