"""An index was built on a column that every update writes."""

from __future__ import annotations

import contextlib
import itertools
import time
from typing import TYPE_CHECKING

from lab.provoke.scenario import Scenario
from lab.provoke.tables import at_work, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

    from lab.provoke.server import TroubledServer

_MADE = (
    "CREATE TABLE public.carts (id int PRIMARY KEY, seen_at timestamptz, note text) WITH (fillfactor = 50)",
    "INSERT INTO public.carts SELECT g, now(), repeat('x', 50) FROM generate_series(1, 1000) g",
    "ANALYZE public.carts",
)
_EARLIER = 3_000
_SEEN = "SELECT n_tup_upd >= 3000 FROM pg_stat_user_tables WHERE relname = 'carts'"


@contextlib.contextmanager
def _indexed(server: TroubledServer) -> Iterator[None]:
    carts = itertools.count()

    def see(session: psycopg.Connection) -> None:
        session.execute("UPDATE carts SET seen_at = clock_timestamp() WHERE id = %s", (next(carts) * 7 % 1000 + 1,))

    def see_at_leisure(session: psycopg.Connection) -> None:
        see(session)
        time.sleep(0.002)

    with table(server, "carts", *_MADE):
        with server.session(autocommit=True) as before:
            for _ in range(_EARLIER):
                see(before)
        server.until(_SEEN)
        with server.superuser() as admin:
            admin.execute("CREATE INDEX carts_seen_at ON public.carts (seen_at)")
        with at_work(server, see_at_leisure):
            yield


SCENARIOS = (
    Scenario(
        "hot_update_loss",
        "carts are touched at each sight, and the time of it was indexed",
        _indexed,
        look_alikes=("write_surge", "too_many_indexes", "table_bloat", "unused_index"),
        window_s=1.2,
    ),
)
