"""Tells open pages that an incident changed: one listener on the store, many streams, and what they share."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.concurrency import run_in_threadpool

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

Made = TypeVar("Made")

ANY = "*"
"""The topic of whoever wants to know of each change."""


@dataclass(eq=False, slots=True)
class Shared:
    """A value, and what was made of it: once for all who ask for the same."""

    value: Any
    _made: dict[Hashable, asyncio.Task[Any]] = field(default_factory=dict)

    async def once(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """What make returns, called on a thread by the first who asks. Raises what make raises."""
        if key not in self._made:
            self._made[key] = asyncio.ensure_future(run_in_threadpool(make))
        made: Made = await asyncio.shield(self._made[key])
        return made


@dataclass(eq=False, slots=True)
class Topic:
    """What the streams of one incident, or of all, have in common. It lives as long as somebody follows."""

    waiting: set[asyncio.Event] = field(default_factory=set)
    generation: int = 0
    """Counts the changes that were told."""
    _latest: tuple[int, asyncio.Task[Shared]] | None = None

    async def latest(self, read: Callable[[], Any]) -> Shared:
        """What read returned, called on a thread after the newest change was told: by the first who asks, for all who
        do until the next. Whoever goes away does not end it for the others. Raises what read raises.
        """
        if self._latest is None or self._latest[0] != self.generation:
            self._latest = self.generation, asyncio.ensure_future(_shared(read))
        return await asyncio.shield(self._latest[1])


async def _shared(read: Callable[[], Any]) -> Shared:
    return Shared(await run_in_threadpool(read))


class Broadcast:
    """Notifications come from the listener's thread; streams wait on the event loop."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._topics: dict[str, Topic] = {}

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def tell(self, incident_id: str) -> None:
        """incident_id empty: of something that every page may show, as the kill switch."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._set, incident_id)

    def _set(self, incident_id: str) -> None:
        told = (ANY, incident_id) if incident_id else tuple(self._topics)
        for topic in (self._topics[name] for name in told if name in self._topics):
            topic.generation += 1
            for event in topic.waiting:
                event.set()

    @contextmanager
    def follow(self, incident_id: str) -> Iterator[tuple[Topic, asyncio.Event]]:
        """The topic, and an event that is set when the incident (or any, for ANY) changed. The caller clears it."""
        topic = self._topics.setdefault(incident_id, Topic())
        event = asyncio.Event()
        topic.waiting.add(event)
        try:
            yield topic, event
        finally:
            topic.waiting.discard(event)
            if not topic.waiting and self._topics.get(incident_id) is topic:
                del self._topics[incident_id]

    @property
    def followed(self) -> frozenset[str]:
        return frozenset(self._topics)
