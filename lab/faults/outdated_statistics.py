"""The day's prices are loaded in bulk into a table whose autovacuum is off: the planner still expects none of today."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg

from connectors import named_sql
from lab.faults.fault import CannotInjectError, Change
from lab.faults.held_session import IMPORT, Held, admin, at_once, hold, release

if TYPE_CHECKING:
    from lab.faults.fault import Surroundings

_SQL = named_sql.load("lab.faults", "outdated_statistics.sql")
_SESSIONS = (Held(IMPORT, "price-import", then=(_SQL["load"],)),)
_CHANGE = Change(service="catalog", version="prices-today", summary="the prices of the day are loaded")


@dataclass(frozen=True, slots=True)
class OutdatedStatistics:
    name: str = "outdated-statistics"
    component: str = "orders-db"
    mechanism: str = "the planner knows nothing of a bulk load and reads the whole day's prices for each category"
    mechanism_id: str = "outdated_statistics"
    expected_action: str | None = "analyze_table"
    change: Change | None = _CHANGE
    alerts: tuple[str, ...] = ("StorefrontSlow", "CatalogSlow", "StorefrontErrors")
    also: tuple[tuple[str, str], ...] = ()

    def inject(self, lab: Surroundings) -> float:
        try:
            with admin(lab) as connection:
                if connection.execute(_SQL["is_loaded"].encode()).fetchone():
                    raise CannotInjectError(f"the day's prices are in already; undo {self.name} first")
                at_once(connection, _SQL["stop_autovacuum"])
        except psycopg.Error as refused:
            raise CannotInjectError(f"the target refused: {refused}".strip()) from refused
        return hold(lab, self.name, _SESSIONS)

    def undo(self, lab: Surroundings) -> None:
        release(lab, _SESSIONS)
        with admin(lab) as connection:
            connection.execute(_SQL["unload"].encode())
            at_once(connection, _SQL["start_autovacuum"])
            connection.execute(_SQL["vacuum"].encode())
