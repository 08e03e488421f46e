"""One way to bring an incident about, and how it ought to be called."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg

from agent.database.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from connectors.embedded.postgres import EmbeddedPostgres
    from lab.provoke.server import TroubledServer

LIMITS = Limits(disk_free_share=0.0)
"""The defaults, except that the disk of this machine is none of a scenario's business."""
IMPATIENT = Limits(disk_free_share=0.0, lock_wait_s=0.3, blocking_idle_s=0.3)
LASTS_S = 0.4
"""For waits that are provoked one at a time: what lasts so long is one, and the tests need not wait for more."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """provoke(server) is entered when the incident is on, and leaves no trace when left; the fix may have come before.

    provoke gives the server to look at where it is another than the one it was given, else None. look_alikes: classes
    that a diagnosis must not name besides. window_s: how long it has to look. limits: with ages shortened, where it
    would take minutes else. lasts: the action cures, but it takes its time; its own proof holds at once.
    """

    incident_class: str
    what: str
    provoke: Callable[[TroubledServer], AbstractContextManager[EmbeddedPostgres | None]]
    look_alikes: tuple[str, ...] = ()
    window_s: float = 0.5
    limits: Limits = LIMITS
    lasts: bool = False

    @contextlib.contextmanager
    def on(self, server: TroubledServer) -> Iterator[EmbeddedPostgres | None]:
        """As provoke, and afterwards nobody is left."""
        try:
            with self.provoke(server) as elsewhere:
                yield elsewhere
        finally:
            server.calm()


@contextlib.contextmanager
def again_and_again(*works: Callable[[], object]) -> Iterator[None]:
    """Each in a thread of its own, over and over until the end."""
    over = threading.Event()

    def keep_on(work: Callable[[], object]) -> None:
        while not over.is_set():
            work()

    with running(*(lambda one=one: keep_on(one) for one in works)):
        try:
            yield
        finally:
            over.set()


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
