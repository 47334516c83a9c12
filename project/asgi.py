"""The door for servers: `uvicorn project.asgi:app`."""

from project.core.asgi import create_app
from project.core.log import configure
from project.settings import Settings

settings = Settings.load()
configure(settings)  # what the server says before the site is open and after it is closed, is said in our format, too
app = create_app(settings)
