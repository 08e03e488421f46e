"""Tells open pages that an incident changed: one listener on the store, many streams."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Broadcast:
    """Notifications come from the listener's thread; streams wait on the event loop."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: set[tuple[str, asyncio.Event]] = set()

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def tell(self, incident_id: str) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._set, incident_id)

    def _set(self, incident_id: str) -> None:
        for wanted, event in self._waiting:
            if wanted in {"*", incident_id}:
                event.set()

    @contextmanager
    def follow(self, incident_id: str) -> Iterator[asyncio.Event]:
        """An event that is set when the incident (or any, for "*") changed. The caller clears it."""
        entry = (incident_id, asyncio.Event())
        self._waiting.add(entry)
        try:
            yield entry[1]
        finally:
            self._waiting.discard(entry)
