"""Values that many pages ask for at once and that may be some seconds old: computed once, by whoever comes first."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import structlog

from connectors.unreachable import Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

log = structlog.get_logger()

MOST = 200
"""Keys that are remembered: whoever asks for many others makes the oldest forgotten, not the process larger."""


@dataclass(slots=True)
class _Entry:
    lock: threading.Lock = field(default_factory=threading.Lock)
    at: float = float("-inf")
    max_age_s: float = 0.0
    value: Any = None


@dataclass(slots=True)
class Recent:
    """clock: seconds that only go forward."""

    clock: Callable[[], float] = time.monotonic
    _entries: dict[Hashable, _Entry] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, key: Hashable, max_age_s: float, make: Callable[[], Any], *, grace_s: float = 0.0) -> Any:
        """What make returned at most max_age_s ago. Others wait while one makes it; what it raises is not kept.

        grace_s: for so long after that the old value is given and a new one made beside it, so that nobody waits;
        make then runs on a thread of its own.
        """
        with self._lock:
            entry = self._entries.pop(key, None)
            if entry is None:
                self._forget()
                entry = _Entry(max_age_s=max_age_s + grace_s)
            self._entries[key] = entry
        if max_age_s < self.clock() - entry.at <= max_age_s + grace_s:
            old = entry.value
            if entry.lock.acquire(blocking=False):
                threading.Thread(target=self._renew, args=(entry, make), name="renewal", daemon=True).start()
            return old
        with entry.lock:
            if self.clock() - entry.at > max_age_s:
                entry.value = make()
                entry.at = self.clock()
            return entry.value

    def _renew(self, entry: _Entry, make: Callable[[], Any]) -> None:
        """With the entry's lock, which was taken by whoever asked."""
        try:
            entry.value = make()
            entry.at = self.clock()
        except Unreachable as error:
            log.warning("not counted anew", error=str(error))
        finally:
            entry.lock.release()

    def _forget(self) -> None:
        """What nobody may be given any more, and what was asked for longest ago when there is too much."""
        now = self.clock()
        old = [key for key, one in self._entries.items() if one.at > float("-inf") and now - one.at > one.max_age_s]
        for key in old:
            del self._entries[key]
        while len(self._entries) >= MOST:
            del self._entries[next(iter(self._entries))]
