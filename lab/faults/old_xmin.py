"""An export keeps its snapshot open while a job rewrites the catalog's stock: what it leaves cannot be vacuumed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from connectors import named_sql
from lab.faults.held_session import EXPORT, IMPORT, Held, admin, hold, release

if TYPE_CHECKING:
    from lab.faults.fault import Change, Surroundings

_SQL = named_sql.load("lab.faults", "old_xmin.sql")
_SESSIONS = (
    Held(EXPORT, "warehouse-export", first=(_SQL["begin"], _SQL["look"])),
    Held(IMPORT, "stock-sync", then=("SET synchronous_commit = off", _SQL["sync"])),
)


@dataclass(frozen=True, slots=True)
class OldXmin:
    name: str = "old-snapshot"
    component: str = "orders-db"
    mechanism: str = "an export keeps an old snapshot, so vacuum cannot remove what a busy job leaves in products"
    mechanism_id: str = "old_xmin"
    expected_action: str | None = "terminate_backend"
    change: Change | None = None
    alerts: tuple[str, ...] = ("DatabaseDeadRows",)
    also: tuple[tuple[str, str], ...] = ()

    def inject(self, lab: Surroundings) -> float:
        return hold(lab, self.name, _SESSIONS)

    def undo(self, lab: Surroundings) -> None:
        """Also removes the dead rows, which the next injection is counted by."""
        release(lab, _SESSIONS)
        with admin(lab) as connection:
            connection.execute(_SQL["vacuum"].encode())
