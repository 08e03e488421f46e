"""The invoice run locks the customers it bills and then works through them one by one, in one transaction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from connectors import named_sql
from lab.faults.held_session import INVOICING, Held, hold, release

if TYPE_CHECKING:
    from lab.faults.fault import Change, Surroundings

_SQL = named_sql.load("lab.faults", "row_lock_pile_up.sql")
_SESSIONS = (
    Held(INVOICING, "invoice-run", first=("BEGIN", _SQL["lock_customers"]), then=(_SQL["write_invoices"], "COMMIT")),
)


@dataclass(frozen=True, slots=True)
class RowLockPileUp:
    name: str = "row-lock-pile-up"
    component: str = "orders-db"
    mechanism: str = "a long invoice run holds the rows of the customers it bills while it works, so their orders wait"
    mechanism_id: str = "row_lock_pile_up"
    expected_action: str | None = "cancel_backend"
    change: Change | None = None
    alerts: tuple[str, ...] = ("StorefrontSlow", "StorefrontErrors", "OrdersSlow")
    also: tuple[tuple[str, str], ...] = ()

    def inject(self, lab: Surroundings) -> float:
        return hold(lab, self.name, _SESSIONS)

    def undo(self, lab: Surroundings) -> None:
        release(lab, _SESSIONS)
