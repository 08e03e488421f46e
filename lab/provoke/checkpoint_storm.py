"""A bulk load against a max_wal_size that is far too small."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from lab.provoke.scenario import Scenario, again_and_again

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.provoke.server import TroubledServer

_WRITE = "SELECT pg_logical_emit_message(false, 'load', repeat('x', 1000000))"


@contextlib.contextmanager
def _load(server: TroubledServer) -> Iterator[None]:
    with (
        server.settings(min_wal_size="32MB", max_wal_size="32MB"),
        server.superuser() as admin,
        again_and_again(lambda: admin.execute(_WRITE)),
    ):
        yield


SCENARIOS = (
    Scenario(
        "checkpoint_storm",
        "a load writes WAL against a max_wal_size of two segments",
        _load,
        look_alikes=("archiver_failing", "slot_retains_wal", "replication_lag"),
        window_s=2.0,
    ),
)
