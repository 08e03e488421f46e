"""Two workers that take the same two rows in opposite order."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import psycopg

from lab.provoke.scenario import Scenario, again_and_again

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.provoke.server import TroubledServer

_TAKE = "UPDATE public.stock SET amount = amount WHERE id = %s"


@contextlib.contextmanager
def _crossing(server: TroubledServer) -> Iterator[None]:
    def transfer(session: psycopg.Connection, first: int, second: int) -> None:
        try:
            session.execute(_TAKE, (first,))
            time.sleep(0.05)
            session.execute(_TAKE, (second,))
            session.commit()
        except psycopg.errors.DeadlockDetected:
            session.rollback()

    with contextlib.ExitStack() as stack:
        stack.enter_context(server.settings(deadlock_timeout="100ms"))
        one = stack.enter_context(server.session("transfer"))
        other = stack.enter_context(server.session("transfer"))
        stack.enter_context(again_and_again(lambda: transfer(one, 1, 2), lambda: transfer(other, 2, 1)))
        server.until("SELECT deadlocks > 0 FROM pg_stat_database WHERE datname = current_database()")
        yield


SCENARIOS = (
    Scenario(
        "deadlocks",
        "two workers update the same two rows in opposite order",
        _crossing,
        look_alikes=("row_lock_pile_up", "idle_in_transaction", "ddl_lock_queue"),
        window_s=1.0,
    ),
)
