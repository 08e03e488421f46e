"""An analyst's notebook takes every order's reference apart with regular expressions, on all processors it gets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from connectors import named_sql
from lab.faults.held_session import ANALYST, Held, hold, release

if TYPE_CHECKING:
    from lab.faults.fault import Change, Surroundings

_SQL = named_sql.load("lab.faults", "runaway_query.sql")
_SESSIONS = (Held(ANALYST, "jupyter", first=(_SQL["more_workers"], _SQL["small_pieces"]), then=(_SQL["take_apart"],)),)


@dataclass(frozen=True, slots=True)
class RunawayQuery:
    name: str = "runaway-query"
    component: str = "orders-db"
    mechanism: str = "one analytical statement with parallel workers takes the server's processors for minutes"
    mechanism_id: str = "runaway_query"
    expected_action: str | None = "cancel_backend"
    change: Change | None = None
    alerts: tuple[str, ...] = ("DatabaseBusy", "StorefrontSlow", "OrdersSlow")
    also: tuple[tuple[str, str], ...] = ()

    def inject(self, lab: Surroundings) -> float:
        return hold(lab, self.name, _SESSIONS)

    def undo(self, lab: Surroundings) -> None:
        release(lab, _SESSIONS)
