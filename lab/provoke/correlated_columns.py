"""A city lies in one country, which the planner does not know."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from lab.provoke.scenario import Scenario
from lab.provoke.tables import at_work, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.provoke.server import TroubledServer

_MADE = (
    (
        "CREATE TABLE public.addresses AS SELECT g AS id, g % 100 AS city, g % 50 AS country, g % 25 AS continent"
        " FROM generate_series(1, 30000) g"
    ),
    "CREATE INDEX ON public.addresses (city, country, continent)",
    "ANALYZE public.addresses",
)
_QUERY = "SELECT id FROM addresses WHERE city = %s AND country = %s AND continent = %s"


@contextlib.contextmanager
def _asked_by_all(server: TroubledServer) -> Iterator[None]:
    with (
        table(server, "addresses", *_MADE),
        at_work(server, lambda session: session.execute(_QUERY, (77, 27, 2)).fetchall()),
    ):
        yield


SCENARIOS = (
    Scenario(
        "correlated_columns",
        "a city is asked for with its country and continent",
        _asked_by_all,
        look_alikes=("outdated_statistics", "missing_index", "plan_flip"),
    ),
)
