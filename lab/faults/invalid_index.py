"""A migration replaces an index: the new one's concurrent build fails and stays invalid, the old one is dropped."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
from psycopg import errors
from psycopg.conninfo import make_conninfo

from connectors import named_sql
from lab.faults.fault import CannotInjectError, Change
from lab.faults.held_session import DEPLOY, admin, at_once, login
from lab.faults.missing_index import INDEX, MissingIndex, serving

if TYPE_CHECKING:
    from lab.faults.fault import Surroundings

REPLACEMENT = "orders_customer_recent_idx"
_SQL = named_sql.load("lab.faults", "invalid_index.sql")
_DEPLOY = Change(service="orders", version="orders-889", summary=f"{REPLACEMENT} takes the place of {INDEX}")


@dataclass(frozen=True, slots=True)
class InvalidIndex:
    name: str = "invalid-index"
    component: str = "orders-db"
    mechanism: str = "a concurrent build failed and left an invalid index in place of the one that served orders"
    mechanism_id: str = "invalid_index"
    expected_action: str | None = "reindex_index_concurrently"
    change: Change | None = _DEPLOY
    alerts: tuple[str, ...] = ("StorefrontSlow", "StorefrontErrors", "OrdersSlow")
    also: tuple[tuple[str, str], ...] = ()

    def inject(self, lab: Surroundings) -> float:
        try:
            with admin(lab) as connection:
                if serving(connection) != {INDEX}:
                    raise CannotInjectError(f"{INDEX} is not the one index that serves orders; undo {self.name} first")
                self._fail_to_build(lab)
                try:
                    at_once(connection, _SQL["drop_old"])
                except (CannotInjectError, psycopg.Error):
                    connection.execute(_SQL["drop_replacement"].encode())
                    raise
                return time.time()
        except psycopg.Error as refused:
            raise CannotInjectError(f"the target refused: {refused}".strip()) from refused

    def _fail_to_build(self, lab: Surroundings) -> None:
        """The build waits for a writer and gives up, as a build with a lock_timeout does on a busy table."""
        dsn = make_conninfo(login(lab, DEPLOY), application_name="migration")
        with psycopg.connect(dsn) as writer, psycopg.connect(dsn, autocommit=True) as migration:
            writer.execute(_SQL["write"].encode())
            migration.execute(_SQL["be_impatient"].encode())
            with contextlib.suppress(errors.LockNotAvailable):
                migration.execute(_SQL["build"].encode())
                migration.execute(_SQL["drop_replacement"].encode())
                raise CannotInjectError("the build came through although a writer was in its way; try again")

    def undo(self, lab: Surroundings) -> None:
        with admin(lab) as connection:
            connection.execute(_SQL["drop_replacement"].encode())
        MissingIndex().undo(lab)
