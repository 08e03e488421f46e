"""Sessions that asked for the common value first keep its plan for the rare one."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from lab.provoke.scenario import Scenario
from lab.provoke.tables import at_work, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

    from lab.provoke.server import TroubledServer

_MADE = (
    (
        "CREATE TABLE public.tickets AS SELECT g AS id, CASE WHEN g % 1000 = 0 THEN 'open' ELSE 'closed' END AS state,"
        " repeat('x', 40) AS body FROM generate_series(1, 100000) g"
    ),
    "CREATE INDEX ON public.tickets (state)",
    "ANALYZE public.tickets",
)
_QUERY = "SELECT count(body) FROM tickets WHERE state = %s"
_PLANNED_WITH_VALUES = 5
_ASKED_AFTER = 60
_LUCKY = 40
"""So many, that on a busy machine too one of them shows how fast the statement can be."""


def _ask(session: psycopg.Connection, state: str) -> None:
    session.execute(_QUERY, (state,), prepare=True)


def _unlucky(session: psycopg.Connection) -> None:
    for _ in range(_PLANNED_WITH_VALUES + 1):
        _ask(session, "closed")
    for _ in range(_ASKED_AFTER):
        _ask(session, "open")


@contextlib.contextmanager
def _common_first(server: TroubledServer) -> Iterator[None]:
    with table(server, "tickets", *_MADE):
        with server.session(autocommit=True) as lucky:
            for _ in range(_LUCKY):
                _ask(lucky, "open")
        try:
            with at_work(server, _unlucky, once=True):
                yield
        finally:
            with server.superuser() as admin:
                admin.execute("ALTER ROLE shop_app RESET plan_cache_mode")


SCENARIOS = (
    Scenario(
        "plan_flip",
        "a session that asked for closed tickets first reads them all to find the few open ones",
        _common_first,
        look_alikes=("missing_index", "outdated_statistics", "query_shape"),
    ),
)
