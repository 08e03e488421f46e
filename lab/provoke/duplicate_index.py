"""Two indexes that answer the same questions."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from lab.provoke.scenario import Scenario
from lab.provoke.tables import table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.provoke.server import TroubledServer

_MADE = "CREATE TABLE public.stamps AS SELECT g AS id, g % 10 AS letter FROM generate_series(1, 1000) g"


@contextlib.contextmanager
def _twice(server: TroubledServer) -> Iterator[None]:
    with table(server, "stamps", _MADE, *["CREATE INDEX ON public.stamps (letter)"] * 2):
        yield


@contextlib.contextmanager
def _beginning(server: TroubledServer) -> Iterator[None]:
    more = "CREATE INDEX ON public.stamps (letter, id)"
    with table(server, "stamps", _MADE, "CREATE INDEX ON public.stamps (letter)", more):
        yield


SCENARIOS = (
    Scenario("duplicate_index", "an index was built twice", _twice, ("unused_index",), window_s=0.1),
    Scenario("duplicate_index", "an index is the beginning of another", _beginning, ("unused_index",), window_s=0.1),
)
