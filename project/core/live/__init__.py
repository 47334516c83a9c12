"""Live: events that travel after the commit, and the streams that bring them to pages and API clients.

await publish(db, "blog/posts", Event("created", {"id": str(post.id)}))        in any unit of work
await runtime.bus.publish(topic, Event("progress", {"done": 3, "total": 9}))    where there is none
async with runtime.bus.subscribe(topic) as events: ...                          hear them
return stream(request, runtime, topic, snapshot=...)                            send them to a browser
return stream(request, runtime, topic, since=...)                               or a log, from where it was left
await socket(websocket, runtime, topic, ...)                                    the same both ways: web/sockets.py
await notify(db, user, "Your export is ready")                                  a toast for one person
await revoke(db, user.id)                                                       end what they may not follow any more
"""

from project.core.live.bus import Bus, Subscription, publish
from project.core.live.events import END, GAP, Event
from project.core.live.notices import notify
from project.core.live.revoking import revoke
from project.core.live.streams import stream

__all__ = ["END", "GAP", "Bus", "Event", "Subscription", "notify", "publish", "revoke", "stream"]
