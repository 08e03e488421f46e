"""What the hooks turned away, counted, and written to the audit a few times a minute: a flood is one row, not many."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING

from service.loops import Loop

if TYPE_CHECKING:
    from connectors.store.store import Store

EVERY_S = 5.0
MOST_KINDS = 200
"""Hooks, reasons and senders kept apart between two rows; what comes after them is counted as others."""


class Refusals:
    """Counts in memory until they are in the store; a store that is away delays them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str, str]] = Counter()

    def count(self, hook: str, reason: str, sender: str) -> None:
        """sender: the address the request came from."""
        key = (hook, reason, sender)
        with self._lock:
            if key not in self._counts and len(self._counts) >= MOST_KINDS:
                key = (hook, reason, "others")
            self._counts[key] += 1

    def flush(self, store: Store) -> int:
        """Rows written. Raises Unreachable; then the counts are still here."""
        with self._lock:
            taken, self._counts = self._counts, Counter()
        try:
            with store.transaction() as tx:
                for (hook, reason, sender), times in taken.items():
                    data = {"hook": hook, "note": reason, "sender": sender, "times": times}
                    tx.audit(None, "hooks", "refused", data)
        except BaseException:
            with self._lock:
                self._counts.update(taken)
            raise
        return len(taken)


def loop(refusals: Refusals, store: Store, stop: threading.Event) -> Loop:
    def body() -> None:
        refusals.flush(store)

    return Loop("refusals", body, EVERY_S, threading.Event(), stop)
