"""One way to bring an incident about, and how it ought to be called."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psycopg

from agent.database.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from lab.provoke.server import TroubledServer


@dataclass(frozen=True, slots=True)
class Scenario:
    """provoke(server) is entered when the incident is on, and leaves no trace when left; the fix may have come before.

    look_alikes: classes that a diagnosis must not name besides. window_s: how long it has to look. limits: with ages
    shortened, where it would take minutes else. of: which server to look at.
    """

    incident_class: str
    what: str
    provoke: Callable[[TroubledServer], AbstractContextManager[None]]
    look_alikes: tuple[str, ...] = ()
    window_s: float = 0.5
    limits: Limits = field(default_factory=Limits)


@contextlib.contextmanager
def running(*statements: Callable[[], object]) -> Iterator[None]:
    """Each in a thread of its own, for statements that wait for something. What breaks them off is their business."""
    threads = [threading.Thread(target=_quietly, args=(one,), daemon=True) for one in statements]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for thread in threads:
            thread.join(timeout=30)


def _quietly(statement: Callable[[], object]) -> None:
    """An incident's statements are cancelled, terminated, or victims of a deadlock: that is what they are for."""
    with contextlib.suppress(psycopg.Error):
        statement()
