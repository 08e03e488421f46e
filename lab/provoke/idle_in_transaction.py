"""An application that begins, changes a row, and goes off to do something else."""

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
        forgetful = stack.enter_context(server.session("forgetful"))
        forgetful.execute(_TAKE)
        waiting = [stack.enter_context(server.session("checkout", autocommit=True)) for _ in range(3)]
        stack.enter_context(running(*(lambda one=one: one.execute(_TAKE) for one in waiting)))
        stack.callback(forgetful.close)
        server.until("SELECT count(*) = 3 FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        time.sleep(LASTS_S)
        yield


SCENARIOS = (
    Scenario(
        "idle_in_transaction",
        "a session updates a row and goes idle; three others want the row",
        _forgotten,
        look_alikes=("row_lock_pile_up", "runaway_query", "ddl_lock_queue"),
        limits=IMPATIENT,
    ),
)
