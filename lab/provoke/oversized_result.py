"""A page that fetches a whole table to show ten rows of it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from lab.provoke.scenario import Scenario
from lab.provoke.tables import at_work

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.provoke.server import TroubledServer


@contextlib.contextmanager
def _everything(server: TroubledServer) -> Iterator[None]:
    with at_work(server, lambda session: session.execute("SELECT id FROM orders WHERE status = 'open'").fetchall()):
        yield


SCENARIOS = (
    Scenario(
        "oversized_result",
        "twenty thousand orders are fetched at each call",
        _everything,
        look_alikes=("missing_index", "query_shape", "outdated_statistics"),
        window_s=0.8,
    ),
)
