"""Many small commits on a server that waits for its disk: WAL is written by one at a time."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from lab.provoke.scenario import Scenario, again_and_again

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.provoke.server import TroubledServer

_CLIENTS = 24


@contextlib.contextmanager
def _commits(server: TroubledServer) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        stack.enter_context(server.settings(fsync="on"))
        sessions = [stack.enter_context(server.session("events", autocommit=True)) for _ in range(_CLIENTS)]
        stack.enter_context(
            again_and_again(
                *(
                    lambda one=one, number=number: one.execute(
                        "UPDATE public.stock SET amount = amount WHERE id = %s", (100 + number,)
                    )
                    for number, one in enumerate(sessions)
                )
            )
        )
        yield


SCENARIOS = (
    Scenario(
        "lwlock_contention",
        f"{_CLIENTS} clients commit one row at a time, and the disk is waited for",
        _commits,
        look_alikes=("row_lock_pile_up", "connection_exhaustion", "cache_misses"),
        window_s=2.0,
    ),
)
