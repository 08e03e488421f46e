"""A log table that somebody indexed by every column."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from lab.provoke.scenario import LIMITS, Scenario
from lab.provoke.tables import at_work, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.provoke.server import TroubledServer

_MADE = (
    "CREATE TABLE public.clicks (a int, b int, c int, d int, e int, f int, g int, h int)",
    (
        "INSERT INTO public.clicks SELECT v, v, v, v, v, v, v, v"
        " FROM (SELECT n * 7919 % 100003 AS v FROM generate_series(1, 80000) n) s"
    ),
    *(f"CREATE INDEX ON public.clicks ({column})" for column in "abcdefgh"),
    "ANALYZE public.clicks",
)
_CLICK = (
    "INSERT INTO clicks SELECT v, v, v, v, v, v, v, v"
    " FROM (SELECT n * 7919 % 100003 AS v FROM generate_series(1, 200) n) s"
)


@contextlib.contextmanager
def _logged(server: TroubledServer) -> Iterator[None]:
    with table(server, "clicks", *_MADE), at_work(server, lambda session: session.execute(_CLICK)):
        yield


SCENARIOS = (
    Scenario(
        "too_many_indexes",
        "every click is written to eight indexes that nobody reads",
        _logged,
        look_alikes=("hot_update_loss", "table_bloat", "duplicate_index"),
        window_s=1.2,
        limits=replace(LIMITS, index_unused_s=0.0),
    ),
)
