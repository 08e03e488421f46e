"""Values that many pages ask for at once and that may be some seconds old: computed once, by whoever comes first."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

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

    def get(self, key: Hashable, max_age_s: float, make: Callable[[], Any]) -> Any:
        """What make returned at most max_age_s ago. Others wait while one makes it; what it raises is not kept."""
        with self._lock:
            entry = self._entries.pop(key, None)
            if entry is None:
                self._forget()
                entry = _Entry(max_age_s=max_age_s)
            self._entries[key] = entry
        with entry.lock:
            if self.clock() - entry.at > max_age_s:
                entry.value = make()
                entry.at = self.clock()
            return entry.value

    def _forget(self) -> None:
        """What nobody may be given any more, and what was asked for longest ago when there is too much."""
        now = self.clock()
        old = [key for key, one in self._entries.items() if one.at > float("-inf") and now - one.at > one.max_age_s]
        for key in old:
            del self._entries[key]
        while len(self._entries) >= MOST:
            del self._entries[next(iter(self._entries))]
