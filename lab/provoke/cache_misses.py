"""A report that reads a table larger than the cache, over and over."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from lab.provoke.scenario import Scenario, again_and_again

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.provoke.server import TroubledServer

_MAKE = """
CREATE UNLOGGED TABLE public.attachment AS SELECT g AS id, repeat('x', 1000) AS body FROM generate_series(1, 150000) g
"""
"""150 MB, more than shared_buffers: no part of it stays."""


@contextlib.contextmanager
def _scanning(server: TroubledServer) -> Iterator[None]:
    with server.superuser() as admin:
        admin.execute(_MAKE)
        try:
            with server.session("archive-report", autocommit=True) as session, contextlib.ExitStack() as stack:
                stack.enter_context(again_and_again(lambda: session.execute("SELECT count(*) FROM public.attachment")))
                yield
        finally:
            admin.execute("DROP TABLE public.attachment")


SCENARIOS = (
    Scenario(
        "cache_misses",
        "a report reads a table larger than shared_buffers again and again",
        _scanning,
        look_alikes=("lwlock_contention", "runaway_query"),
        window_s=1.0,
    ),
)
