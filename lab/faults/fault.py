"""What a fault is: something that really breaks the shop, can be undone, and whose truth is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class CannotInjectError(Exception):
    """The fault would not do what it is named for; str() says why and what to do first."""


@dataclass(frozen=True, slots=True)
class Change:
    """The deploy a fault comes with, as a delivery pipeline would report it to /webhooks/changes."""

    service: str
    version: str
    summary: str


class Fault(Protocol):
    """name: on the command line. component: where it breaks (a service of the graph). mechanism: the truth, for
    scoring a diagnosis. expected_action: the kind of typed action that repairs it, None when a human must.
    change: None when nothing announces the fault.
    """

    @property
    def name(self) -> str: ...
    @property
    def component(self) -> str: ...
    @property
    def mechanism(self) -> str: ...
    @property
    def expected_action(self) -> str | None: ...
    @property
    def change(self) -> Change | None: ...

    def inject(self, admin_dsn: str) -> float:
        """Break it; when, epoch seconds. Raises CannotInjectError, leaving all as it was."""
        ...

    def undo(self, admin_dsn: str) -> None:
        """Bring back the state from before `inject`, whatever was done since; safe to call at any time."""
        ...
