"""Events: what travels on the bus, small and safe to put on any wire."""

import json
import re
from dataclasses import dataclass
from typing import Any

TOPIC = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/-]{0,199}")
TYPE = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
ID = re.compile(r"[!-~]{0,200}")
MAX_BYTES = 32_768


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened.

    Args:
        type: a word of lower-case letters, such as `progress`; `gap` and `end` mean something to listeners already.
        data: what JSON can carry; all who listen in a process are given the same, so nobody changes it.
        id: names the event where events are kept and can be replayed; printable ASCII.

    Raises ValueError for a type or an id of another form.
    """

    type: str
    data: Any = None
    id: str = ""

    def __post_init__(self) -> None:
        if not TYPE.fullmatch(self.type) or not ID.fullmatch(self.id):
            raise ValueError(f"an event cannot have the type {self.type!r} and the id {self.id!r}")


GAP = Event("gap")  # events were lost: whoever listens fetches a snapshot again
END = Event("end")  # of a stream: nothing more will come


def check_topic(topic: str) -> None:
    """Raise ValueError unless the name is letters, digits and `_.:/-`, 200 at most."""
    if not TOPIC.fullmatch(topic):
        raise ValueError(f"a topic cannot be called {topic[:210]!r}")


def encode(event: Event) -> bytes:
    """The event as JSON; raises TypeError or ValueError for what JSON cannot carry or what is too large."""
    encoded = json.dumps({"type": event.type, "data": event.data, "id": event.id}, allow_nan=False).encode()
    if len(encoded) > MAX_BYTES:
        raise ValueError(f"an event of {len(encoded):,} bytes is too large: send an id, and let the listener read")
    return encoded


def decode(encoded: bytes) -> Event:
    """What `encode` made; raises ValueError, TypeError or KeyError for anything else."""
    found = json.loads(encoded)
    return Event(found["type"], found.get("data"), found.get("id", ""))
