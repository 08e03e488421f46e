"""An index that nobody asks, on a table that is written."""

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
    "CREATE TABLE public.pages AS SELECT g AS id, g AS rank FROM generate_series(1, 80000) g",
    "CREATE INDEX pages_rank ON public.pages (rank)",
    "VACUUM ANALYZE public.pages",
)


@contextlib.contextmanager
def _forgotten(server: TroubledServer) -> Iterator[None]:
    with table(server, "pages", *_MADE):
        yield


SCENARIOS = (
    Scenario(
        "unused_index",
        "an index of a megabyte and more that no scan has used",
        _forgotten,
        look_alikes=("duplicate_index", "index_bloat", "invalid_index"),
        window_s=0.1,
        limits=replace(LIMITS, index_unused_s=0.0),
    ),
)
