"""Queries written in a way that the planner can do nothing about."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from lab.provoke.scenario import Scenario, running
from lab.provoke.tables import at_work, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.provoke.server import TroubledServer

_BASKETS = (
    "CREATE TABLE public.baskets AS SELECT g AS id FROM generate_series(1, 4000) g",
    "ANALYZE public.baskets",
)
_GOODS = (
    "CREATE TABLE public.goods AS SELECT g % 4000 AS basket_id, g AS price FROM generate_series(1, 40000) g",
    "CREATE INDEX ON public.goods (basket_id)",
    "ANALYZE public.goods",
)
_DEAREST = (
    "SELECT b.id, (SELECT max(g.price) FROM goods g WHERE g.basket_id = b.id) AS dearest,"
    " (SELECT min(g.price) FROM goods g WHERE g.basket_id = b.id) AS cheapest,"
    " (SELECT count(*) FROM goods g WHERE g.basket_id = b.id) AS many FROM baskets b"
)
_FRIENDS = (
    (
        "CREATE TABLE public.friends AS SELECT g AS id, CASE WHEN g % 5 > 0 THEN g % 1000 END AS of FROM"
        " generate_series(1, 300000) g"
    ),
    "ANALYZE public.friends",
)
_FRIENDLESS = "SELECT id FROM friends WHERE of NOT IN (SELECT id FROM friends WHERE id > 500)"


@contextlib.contextmanager
def _correlated(server: TroubledServer) -> Iterator[None]:
    with (
        table(server, "baskets", *_BASKETS),
        table(server, "goods", *_GOODS),
        at_work(server, lambda session: session.execute(_DEAREST).fetchall()),
    ):
        yield


@contextlib.contextmanager
def _not_in(server: TroubledServer) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        stack.enter_context(table(server, "friends", *_FRIENDS))
        session = stack.enter_context(server.session("friendless", autocommit=True))
        stack.enter_context(running(lambda: session.execute(_FRIENDLESS)))
        stack.callback(session.cancel)
        server.until(
            "SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'friendless' AND state = 'active'"
        )
        time.sleep(1.1)
        yield


SCENARIOS = (
    Scenario(
        "query_shape",
        "three subqueries are asked again for each of four thousand rows",
        _correlated,
        look_alikes=("missing_index", "oversized_result", "plan_flip", "outdated_statistics"),
        window_s=1.2,
    ),
    Scenario(
        "query_shape",
        "NOT IN over more rows than a hash table may take",
        _not_in,
        look_alikes=("missing_index", "runaway_query"),
        window_s=0.2,
    ),
)
