"""Somebody at a prompt locks the busiest customers "to look at them", and goes to lunch: their orders wait."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from connectors import named_sql
from lab.faults.held_session import SUPPORT, Held, hold, release

if TYPE_CHECKING:
    from lab.faults.fault import Change, Surroundings

_SQL = named_sql.load("lab.faults", "idle_in_transaction.sql")
_SESSIONS = (Held(SUPPORT, "psql", first=("BEGIN", _SQL["lock_customers"])),)


@dataclass(frozen=True, slots=True)
class IdleInTransaction:
    name: str = "idle-in-transaction"
    component: str = "orders-db"
    mechanism: str = "a session at a prompt has locked customers and idles in its transaction, so their orders wait"
    mechanism_id: str = "idle_in_transaction"
    expected_action: str | None = "terminate_backend"
    change: Change | None = None
    alerts: tuple[str, ...] = ("StorefrontSlow", "StorefrontErrors", "OrdersSlow")
    also: tuple[tuple[str, str], ...] = ()

    def inject(self, lab: Surroundings) -> float:
        return hold(lab, self.name, _SESSIONS)

    def undo(self, lab: Surroundings) -> None:
        release(lab, _SESSIONS)
