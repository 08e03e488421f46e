"""A migration without lock_timeout waits behind a report that reads orders page by page; everybody waits behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from connectors import named_sql
from lab.faults.fault import Change
from lab.faults.held_session import DEPLOY, REPORTING, Held, admin, at_once, hold, release

if TYPE_CHECKING:
    from lab.faults.fault import Surroundings

_SQL = named_sql.load("lab.faults", "ddl_lock_queue.sql")
_SESSIONS = (
    Held(REPORTING, "reporting", first=("BEGIN", _SQL["open_report"]), then=(_SQL["next_page"],), again_after_s=0.3),
    Held(DEPLOY, "migration", then=(_SQL["add_column"],)),
)
_DEPLOY = Change(service="orders", version="orders-884", summary="orders.gift_note, a new column for the checkout")


@dataclass(frozen=True, slots=True)
class DdlLockQueue:
    name: str = "ddl-lock-queue"
    component: str = "orders-db"
    mechanism: str = "ALTER TABLE orders waits for a long report, and every read and write of orders waits behind it"
    mechanism_id: str = "ddl_lock_queue"
    expected_action: str | None = "cancel_backend"
    change: Change | None = _DEPLOY
    alerts: tuple[str, ...] = ("StorefrontErrors", "StorefrontSlow", "OrdersSlow")
    also: tuple[tuple[str, str], ...] = ()

    def inject(self, lab: Surroundings) -> float:
        return hold(lab, self.name, _SESSIONS)

    def undo(self, lab: Surroundings) -> None:
        """The column goes too, in case the migration came through."""
        release(lab, _SESSIONS)
        with admin(lab) as connection:
            if connection.execute(_SQL["has_column"].encode()).fetchone():
                at_once(connection, _SQL["drop_column"])
