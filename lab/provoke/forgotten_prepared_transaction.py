"""A coordinator that prepares a transaction and is never seen again."""

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
def _forgotten(server: TroubledServer) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        with server.session("coordinator") as coordinator:
            coordinator.execute(_TAKE)
            coordinator.execute("PREPARE TRANSACTION 'it''s \"42\"'")
        stack.callback(_cleared, server)
        waiting = [stack.enter_context(server.session("checkout", autocommit=True)) for _ in range(3)]
        stack.enter_context(running(*(lambda one=one: one.execute(_TAKE) for one in waiting)))
        stack.callback(server.calm)
        server.until("SELECT count(*) = 3 FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        time.sleep(LASTS_S)
        yield


def _cleared(server: TroubledServer) -> None:
    with server.superuser() as admin:
        for (command,) in admin.execute("SELECT format('ROLLBACK PREPARED %L', gid) FROM pg_prepared_xacts").fetchall():
            admin.execute(command)


SCENARIOS = (
    Scenario(
        "forgotten_prepared_transaction",
        "a prepared transaction holds a row that three others want",
        _forgotten,
        look_alikes=("idle_in_transaction", "row_lock_pile_up", "ddl_lock_queue", "old_xmin"),
        limits=IMPATIENT,
    ),
)
