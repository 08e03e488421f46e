"""A slow statement in a transaction that has locked a hot row."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from lab.provoke.scenario import IMPATIENT, LASTS_S, Scenario, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.provoke.server import TroubledServer

_TAKE = "UPDATE public.stock SET amount = amount - 1 WHERE id = 7"


@contextlib.contextmanager
def _slow(server: TroubledServer) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        batch = stack.enter_context(server.session("nightly-batch"))
        batch.execute(_TAKE)
        waiting = [stack.enter_context(server.session("checkout", autocommit=True)) for _ in range(5)]
        stack.callback(server.calm)
        stack.enter_context(
            running(
                lambda: batch.execute("SELECT pg_sleep(60)"),
                *(lambda one=one: one.execute(_TAKE) for one in waiting),
            )
        )
        stack.callback(server.calm)
        server.until("SELECT count(*) = 5 FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        time.sleep(LASTS_S)
        yield


SCENARIOS = (
    Scenario(
        "row_lock_pile_up",
        "a batch holds a hot row while it runs on; five others want the row",
        _slow,
        look_alikes=("idle_in_transaction", "ddl_lock_queue", "runaway_query", "deadlocks"),
        limits=IMPATIENT,
    ),
)
