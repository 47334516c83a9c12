"""A bus that remembers what was published on it."""

from project.core.live.bus import Bus
from project.core.live.events import Event, decode


class RecordedBus(Bus):
    """The app's bus that also remembers: `bus.published` is [(topic, event), …]."""

    def __init__(self) -> None:
        super().__init__()
        self.published: list[tuple[str, Event]] = []

    def send(self, topic: str, encoded: bytes) -> None:
        self.published.append((topic, decode(encoded)))
        super().send(topic, encoded)
