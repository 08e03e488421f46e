"""A statement that counts for hours and is in nobody's way."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from lab.provoke.scenario import LIMITS, Scenario, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.provoke.server import TroubledServer

_COUNT = "SELECT count(*) FROM (SELECT generate_series(1, 1000000000000)) s"


@contextlib.contextmanager
def _counting(server: TroubledServer) -> Iterator[None]:
    with server.session("notebook", autocommit=True) as notebook, contextlib.ExitStack() as stack:
        stack.enter_context(running(lambda: notebook.execute(_COUNT)))
        stack.callback(server.calm)
        time.sleep(1.2)
        yield


SCENARIOS = (
    Scenario(
        "runaway_query",
        "an ad-hoc statement counts on and on",
        _counting,
        look_alikes=("row_lock_pile_up", "idle_in_transaction", "old_xmin"),
        limits=replace(LIMITS, long_query_s=1.0),
    ),
)
