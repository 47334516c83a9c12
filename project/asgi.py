"""The door for servers: `uvicorn project.asgi:app`."""

from project.core.asgi import create_app
from project.settings import Settings

app = create_app(Settings.load())
