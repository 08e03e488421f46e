"""A batch came in after the last ANALYZE, and the planner knows nothing of it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from lab.provoke.scenario import Scenario
from lab.provoke.tables import at_work, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.provoke.server import TroubledServer

_MADE = (
    "CREATE TABLE public.returns AS SELECT g AS id, g % 1000 AS batch FROM generate_series(1, 10000) g",
    "CREATE INDEX ON public.returns (batch)",
    "ANALYZE public.returns",
    "INSERT INTO public.returns SELECT g, 7 FROM generate_series(1, 6000) g",
)


@contextlib.contextmanager
def _late_batch(server: TroubledServer) -> Iterator[None]:
    with (
        table(server, "returns", *_MADE),
        at_work(server, lambda session: session.execute("SELECT id FROM returns WHERE batch = %s", (7,)).fetchall()),
    ):
        server.until("SELECT n_mod_since_analyze >= 6000 FROM pg_stat_user_tables WHERE relname = 'returns'")
        yield


SCENARIOS = (
    Scenario(
        "outdated_statistics",
        "six thousand rows of one batch where the planner expects ten",
        _late_batch,
        look_alikes=("plan_flip", "missing_index", "oversized_result"),
    ),
)
