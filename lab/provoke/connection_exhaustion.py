"""A pool that opens connections and never gives one back."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from lab.provoke.scenario import Scenario

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.provoke.server import TroubledServer

LEAKED = 53


@contextlib.contextmanager
def _leak(server: TroubledServer) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for _ in range(LEAKED):
            stack.enter_context(server.session("leaky", autocommit=True))
        yield


SCENARIOS = (
    Scenario(
        "connection_exhaustion",
        f"one application holds {LEAKED} idle connections of 57",
        _leak,
        look_alikes=("idle_in_transaction", "runaway_query"),
    ),
)
