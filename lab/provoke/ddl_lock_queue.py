"""A migration that waits for a forgotten reader, with the whole shop behind it; and one that is at work."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from lab.provoke.scenario import IMPATIENT, LASTS_S, Scenario, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.provoke.server import TroubledServer

_READ = "SELECT amount FROM public.stock WHERE id = 7"


@contextlib.contextmanager
def _waiting(server: TroubledServer) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        report = stack.enter_context(server.session("report"))
        report.execute(_READ)
        deploy = stack.enter_context(server.session("migration", dsn=server.deploy))
        readers = [stack.enter_context(server.session("checkout", autocommit=True)) for _ in range(5)]
        stack.callback(server.calm)
        stack.enter_context(running(lambda: deploy.execute("ALTER TABLE public.stock ADD COLUMN note text")))
        stack.callback(server.calm)
        server.until("SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        stack.enter_context(running(*(lambda one=one: one.execute(_READ) for one in readers)))
        stack.callback(server.calm)
        server.until("SELECT count(*) = 6 FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        time.sleep(LASTS_S)
        yield


@contextlib.contextmanager
def _at_work(server: TroubledServer) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        deploy = stack.enter_context(server.session("migration", dsn=server.deploy))
        deploy.execute("LOCK TABLE public.stock IN ACCESS EXCLUSIVE MODE")
        readers = [stack.enter_context(server.session("checkout", autocommit=True)) for _ in range(5)]
        stack.callback(server.calm)
        stack.enter_context(
            running(
                lambda: deploy.execute("SELECT pg_sleep(60)"),
                *(lambda one=one: one.execute(_READ) for one in readers),
            )
        )
        stack.callback(server.calm)
        server.until("SELECT count(*) = 5 FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        time.sleep(LASTS_S)
        yield


_NOT = ("idle_in_transaction", "row_lock_pile_up", "runaway_query")
SCENARIOS = (
    Scenario(
        "ddl_lock_queue", "DDL waits for an idle reader; five readers queue behind it", _waiting, _NOT, limits=IMPATIENT
    ),
    Scenario("ddl_lock_queue", "DDL works on a table; five readers wait for it", _at_work, _NOT, limits=IMPATIENT),
)
