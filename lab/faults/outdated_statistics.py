"""The day's prices are loaded in bulk and nobody analyses them: the planner still expects none of today."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg

from connectors import named_sql
from lab.faults.fault import CannotInjectError, Change
from lab.faults.held_session import admin, at_once

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
        """When the new prices are there for everybody. Filling them in, out of sight, takes seconds before."""
        try:
            with admin(lab) as connection:
                if connection.execute(_SQL["is_attached"].encode()).fetchone():
                    raise CannotInjectError(f"the day's prices are in already; undo {self.name} first")
                try:
                    for step in ("drop", "copy", "analyse", "load"):
                        connection.execute(_SQL[step].encode())
                    at_once(connection, _SQL["attach"])
                except (CannotInjectError, psycopg.Error):
                    at_once(connection, _SQL["drop"])
                    raise
                return time.time()
        except psycopg.Error as refused:
            raise CannotInjectError(f"the target refused: {refused}".strip()) from refused

    def undo(self, lab: Surroundings) -> None:
        """Analyses first: between slow reads that overlap there is never a moment for the table to be dropped in."""
        with admin(lab) as connection:
            if connection.execute(_SQL["is_attached"].encode()).fetchone():
                connection.execute(_SQL["analyse"].encode())
            at_once(connection, _SQL["drop"])
