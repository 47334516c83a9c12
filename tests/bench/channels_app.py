"""The bare room of tests.bench.sockets once more, by Django Channels; run by a Python that has both."""
# mypy: ignore-errors

import os
import sys
import time

import uvicorn
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.layers import get_channel_layer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpResponse, JsonResponse
from django.urls import path

LAYER = {"BACKEND": "channels_redis.core.RedisChannelLayer"}
LAYER["CONFIG"] = {"hosts": [os.environ.get("REDIS_URL", "redis://127.0.0.1")], "capacity": 10_000}
settings.configure(
    SECRET_KEY="of a benchmark on the loopback interface",
    ALLOWED_HOSTS=["127.0.0.1"],
    INSTALLED_APPS=["channels"],
    CHANNEL_LAYERS={"default": LAYER},
    ROOT_URLCONF=__name__,
)
TEXT = os.environ.get("BENCH_TEXT", "x")


class Listener(AsyncWebsocketConsumer):
    """One socket of the room."""

    async def connect(self):
        await self.channel_layer.group_add("bench", self.channel_name)
        await self.accept()

    async def bench_said(self, event):
        await self.send(text_data=event["text"])


async def cpu(request):
    return JsonResponse(time.process_time(), safe=False)


async def send(request, count):
    for _ in range(count):
        await get_channel_layer().group_send("bench", {"type": "bench.said", "text": TEXT})
    return HttpResponse()


urlpatterns = [path("health/live", cpu), path("bench/cpu", cpu), path("bench/channels/<int:count>", send)]
app = ProtocolTypeRouter(
    {"http": get_asgi_application(), "websocket": URLRouter([path("bench/channels", Listener.as_asgi())])}
)

if __name__ == "__main__":
    quiet = {"log_level": "warning", "lifespan": "off", "ws_ping_interval": None}
    uvicorn.run(app, port=int(sys.argv[1]), ws_per_message_deflate=False, **quiet)
