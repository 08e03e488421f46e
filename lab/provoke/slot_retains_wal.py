"""A replication slot whose consumer never came back."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from lab.provoke.scenario import Scenario

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.provoke.server import TroubledServer

_SEGMENTS = 6


@contextlib.contextmanager
def _gone(server: TroubledServer) -> Iterator[None]:
    with server.settings(max_wal_size="64MB"), server.superuser() as admin:
        admin.execute("SELECT pg_create_physical_replication_slot('reporting', true)")
        try:
            for _ in range(_SEGMENTS):
                admin.execute("SELECT pg_logical_emit_message(false, 'provoke', 'x')")
                admin.execute("SELECT pg_switch_wal()")
            yield
        finally:
            admin.execute(
                "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = 'reporting'"
            )


SCENARIOS = (
    Scenario(
        "slot_retains_wal",
        "an inactive physical slot keeps six segments, max_wal_size being four",
        _gone,
        look_alikes=("archiver_failing", "replication_lag", "old_xmin", "checkpoint_storm"),
    ),
)
