"""Half a table is dead, and autovacuum is told to wait for more."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from lab.provoke.scenario import Scenario
from lab.provoke.tables import table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.provoke.server import TroubledServer

_MADE = (
    (
        "CREATE TABLE public.drafts WITH (autovacuum_vacuum_scale_factor = 0.9) AS"
        " SELECT g AS id, repeat('x', 100) AS body FROM generate_series(1, 40000) g"
    ),
    "ANALYZE public.drafts",
    "DELETE FROM public.drafts WHERE id % 2 = 0",
)


@contextlib.contextmanager
def _deleted(server: TroubledServer) -> Iterator[None]:
    with table(server, "drafts", *_MADE):
        server.until("SELECT n_dead_tup >= 20000 FROM pg_stat_user_tables WHERE relname = 'drafts'")
        yield


SCENARIOS = (
    Scenario(
        "table_bloat",
        "half the drafts were deleted; autovacuum would come for nine tenths",
        _deleted,
        look_alikes=("autovacuum_starved", "old_xmin", "index_bloat"),
    ),
)
