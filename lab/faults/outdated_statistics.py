"""The day's prices are loaded in bulk into a table whose autovacuum is off: the planner still expects none of today."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
from psycopg.conninfo import make_conninfo

from connectors import named_sql
from lab.faults.fault import CannotInjectError, Change
from lab.faults.held_session import IMPORT, admin, at_once, login

if TYPE_CHECKING:
    from lab.faults.fault import Surroundings

_SQL = named_sql.load("lab.faults", "outdated_statistics.sql")
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
        """When the load was committed, which takes seconds."""
        try:
            with admin(lab) as connection:
                if connection.execute(_SQL["is_loaded"].encode()).fetchone():
                    raise CannotInjectError(f"the day's prices are in already; undo {self.name} first")
                at_once(connection, _SQL["stop_autovacuum"])
                try:
                    self._load(lab)
                except psycopg.Error:
                    at_once(connection, _SQL["start_autovacuum"])
                    raise
                return time.time()
        except psycopg.Error as refused:
            raise CannotInjectError(f"the target refused: {refused}".strip()) from refused

    def _load(self, lab: Surroundings) -> None:
        """In a session that is over when somebody looks: whatever is slow then is not the load itself."""
        with psycopg.connect(make_conninfo(login(lab, IMPORT), application_name="price-import")) as load:
            load.execute(_SQL["load"].encode())

    def undo(self, lab: Surroundings) -> None:
        with admin(lab) as connection:
            connection.execute(_SQL["unload"].encode())
            at_once(connection, _SQL["start_autovacuum"])
            connection.execute(_SQL["vacuum"].encode())
