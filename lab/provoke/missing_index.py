"""An index was lost, and a query that needs it reads the whole table."""

from __future__ import annotations

import contextlib
import itertools
from typing import TYPE_CHECKING

from lab.provoke.scenario import Scenario
from lab.provoke.tables import at_work

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

    from lab.provoke.server import TroubledServer

_QUERY = "SELECT id FROM orders WHERE customer_id = %s AND created_at > '2026-01-01'"


@contextlib.contextmanager
def _lost(server: TroubledServer) -> Iterator[None]:
    customers = itertools.count()

    def ask(session: psycopg.Connection) -> None:
        session.execute(_QUERY, (next(customers) % 20_000,)).fetchall()

    with at_work(server, ask):
        yield


SCENARIOS = (
    Scenario(
        "missing_index",
        "orders are asked for by customer, and nothing leads to them",
        _lost,
        look_alikes=("outdated_statistics", "plan_flip", "oversized_result", "query_shape"),
    ),
)
