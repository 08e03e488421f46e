"""A deploy takes orders_customer_idx for unused and drops it: every list of orders reads the whole table."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import errors, sql
from psycopg.conninfo import make_conninfo

from connectors import named_sql
from lab.faults.fault import CannotInjectError, Change
from lab.shop.seed import DATABASE

if TYPE_CHECKING:
    from lab.faults.fault import Surroundings

INDEX = "orders_customer_idx"
_DEPLOY = Change(service="orders", version="orders-881", summary="drop index orders_customer_idx, reported as unused")
_SQL = named_sql.load("lab.faults", "missing_index.sql")
# The lock is held for milliseconds, but whoever asks for it queues everyone behind: short waits, several tries.
_LOCK_TIMEOUT_MS = 500
_TRIES = 10


@dataclass(frozen=True, slots=True)
class MissingIndex:
    name: str = "missing-index"
    component: str = "orders-db"
    mechanism: str = "no index serves orders by customer, newest first, so each list scans the whole table"
    mechanism_id: str = "missing_index"
    expected_action: str | None = "create_index_concurrently"
    change: Change | None = _DEPLOY
    alerts: tuple[str, ...] = ("StorefrontSlow",)
    also: tuple[tuple[str, str], ...] = ()

    def inject(self, lab: Surroundings) -> float:
        try:
            return self._inject(lab.admin_dsn)
        except psycopg.Error as refused:
            raise CannotInjectError(f"the target refused: {refused}".strip()) from refused

    def _inject(self, admin_dsn: str) -> float:
        with _connect(admin_dsn) as connection:
            present = serving(connection)
            if INDEX not in present:
                raise CannotInjectError(f"{INDEX} is not there or not valid; undo {self.name} first")
            others = sorted(present - {INDEX})
            if others:
                raise CannotInjectError(
                    f"{', '.join(others)} would serve the same query, so dropping {INDEX} would change nothing; "
                    f"undo {self.name} first"
                )
            return _drop(connection)

    def undo(self, lab: Surroundings) -> None:
        """Also drops other indexes that serve: one that Stanch built would hide the next injection."""
        with _connect(lab.admin_dsn) as connection:
            if INDEX not in serving(connection):
                connection.execute(_SQL["drop_remains"].encode())
                connection.execute(_SQL["create"].encode())
            for other in sorted(serving(connection) - {INDEX}):
                drop = sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS public.{}").format(sql.Identifier(other))
                connection.execute(drop)


def _connect(admin_dsn: str) -> psycopg.Connection[tuple[str]]:
    return psycopg.connect(
        make_conninfo(admin_dsn, dbname=DATABASE, application_name="deploy orders-881"), autocommit=True
    )


def serving(connection: psycopg.Connection[Any]) -> set[str]:
    """Names of the valid indexes whose first column is customer_id."""
    return {name for (name,) in connection.execute(_SQL["serving"].encode()).fetchall()}


def _drop(connection: psycopg.Connection[tuple[str]]) -> float:
    connection.execute(sql.SQL("SET lock_timeout = {}").format(_LOCK_TIMEOUT_MS))
    for _ in range(_TRIES):
        try:
            connection.execute(_SQL["drop"].encode())
        except errors.LockNotAvailable:
            continue
        return time.time()
    raise CannotInjectError(
        f"orders was locked by others for {_TRIES} tries of {_LOCK_TIMEOUT_MS} ms; end the long transaction on it"
    )
