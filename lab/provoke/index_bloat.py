"""Most of a table's rows are gone, and its index kept every page."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from lab.provoke.scenario import LIMITS, Scenario
from lab.provoke.tables import table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.provoke.server import TroubledServer

_MADE = (
    "CREATE TABLE public.tokens AS SELECT g AS id FROM generate_series(1, 100000) g",
    "CREATE INDEX tokens_id ON public.tokens (id)",
)


@contextlib.contextmanager
def _sparse(server: TroubledServer) -> Iterator[None]:
    with table(server, "tokens", *_MADE):
        with server.session(autocommit=True) as session:
            session.execute("DELETE FROM tokens WHERE id % 10 <> 0")
        server.until("SELECT n_dead_tup > 0 FROM pg_stat_user_tables WHERE relname = 'tokens'")
        with server.superuser() as admin:
            admin.execute("VACUUM ANALYZE public.tokens")
        yield


@contextlib.contextmanager
def _sparse_and_measured(server: TroubledServer) -> Iterator[None]:
    with server.superuser() as admin:
        admin.execute("CREATE EXTENSION IF NOT EXISTS pgstattuple")
    try:
        with _sparse(server):
            yield
    finally:
        with server.superuser() as admin:
            admin.execute("DROP EXTENSION IF EXISTS pgstattuple")


_SMALL = replace(LIMITS, bloat_bytes=1_000_000)
SCENARIOS = (
    Scenario(
        "index_bloat",
        "nine of ten rows were deleted, and the pages of the index stayed",
        _sparse,
        look_alikes=("table_bloat", "unused_index"),
        window_s=0.1,
        limits=_SMALL,
    ),
    Scenario(
        "index_bloat",
        "the same, where pgstattuple can measure it",
        _sparse_and_measured,
        look_alikes=("table_bloat", "unused_index"),
        window_s=0.1,
        limits=_SMALL,
    ),
)
