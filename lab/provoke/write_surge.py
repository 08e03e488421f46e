"""An import that nobody announced."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from lab.provoke.scenario import Scenario
from lab.provoke.tables import at_work, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.provoke.server import TroubledServer

_WINDOW_S = 1.2
_QUIET_S = 2.0


@contextlib.contextmanager
def _import(server: TroubledServer) -> Iterator[None]:
    rows = "INSERT INTO imports SELECT g, 'x' FROM generate_series(1, 500) g"
    with table(server, "imports", "CREATE TABLE public.imports (id int, body text)"):
        with server.superuser() as admin:
            admin.execute("SELECT pg_stat_reset()")  # so that there is a time before, and it was quiet
        time.sleep(_QUIET_S)
        with at_work(server, lambda session: session.execute(rows), "importer"):
            yield


SCENARIOS = (
    Scenario(
        "write_surge",
        "an importer writes a hundred thousand rows a second into a quiet database",
        _import,
        look_alikes=("too_many_indexes", "hot_update_loss", "table_bloat"),
        window_s=_WINDOW_S,
    ),
)
