"""A serial column that has nearly used up its four bytes."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from lab.provoke.scenario import Scenario
from lab.provoke.tables import table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.provoke.server import TroubledServer

_MADE = (
    "CREATE TABLE public.log_lines (id serial PRIMARY KEY, line text)",
    "SELECT setval('public.log_lines_id_seq', 2100000000)",
    "GRANT SELECT ON SEQUENCE public.log_lines_id_seq TO stanch_diagnose",
)


@contextlib.contextmanager
def _nearly_full(server: TroubledServer) -> Iterator[None]:
    with table(server, "log_lines", *_MADE):
        yield


SCENARIOS = (Scenario("sequence_exhaustion", "a serial column at 98 % of its values", _nearly_full, window_s=0.1),)
