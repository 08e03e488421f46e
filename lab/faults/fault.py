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


class Surroundings(Protocol):
    """What a fault may touch of the lab that it breaks.

    admin_dsn: a superuser on the target. app_dsn: the application's own role on database `shop`.
    """

    @property
    def admin_dsn(self) -> str: ...
    @property
    def app_dsn(self) -> str: ...

    def control(self, service: str) -> str:
        """URL of /control of one of the shop's processes, the load (`load`) included; see lab/shop/control.py."""
        ...

    def post_change(self, *, service: str, version: str, summary: str) -> None:
        """Reports a change as a delivery pipeline would. A fault's own `change` is reported by who injects it."""
        ...


class Fault(Protocol):
    """Something to break, and the truth about it.

    name: on the command line. component: where it breaks (a service of the graph, or `billing`). mechanism: the truth
    in words; mechanism_id: the same as a key of agent.replay.case.MECHANISMS. expected_action: the kind of typed action
    that repairs it, None when a human must or when nothing is broken. change: None when nothing announces the fault.
    alerts: names of the alerts it is expected to raise, the first to fire first; one of them does. also:
    (component, mechanism_id) of what else breaks at the same time.
    """

    @property
    def name(self) -> str: ...
    @property
    def component(self) -> str: ...
    @property
    def mechanism(self) -> str: ...
    @property
    def mechanism_id(self) -> str: ...
    @property
    def expected_action(self) -> str | None: ...
    @property
    def change(self) -> Change | None: ...
    @property
    def alerts(self) -> tuple[str, ...]: ...
    @property
    def also(self) -> tuple[tuple[str, str], ...]: ...

    def inject(self, lab: Surroundings) -> float:
        """Break it; when, epoch seconds. Raises CannotInjectError, leaving all as it was.

        Returns at once: what has to go on (a session that is held, a thread that burns) ends by itself in bounded time
        when nobody calls `undo`.
        """
        ...

    def undo(self, lab: Surroundings) -> None:
        """Bring back the state from before `inject`, whatever was done since; safe to call at any time."""
        ...
