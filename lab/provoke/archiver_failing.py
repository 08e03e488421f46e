"""An archive command that fails."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from lab.provoke.scenario import Scenario

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.provoke.server import TroubledServer


@contextlib.contextmanager
def _failing(server: TroubledServer) -> Iterator[None]:
    with server.superuser() as admin:
        with server.settings(archive_command="false"):
            _switch(server)
            server.until(
                "SELECT coalesce(last_failed_time > last_archived_time, failed_count > 0) FROM pg_stat_archiver"
            )
            yield
        _switch(server)
        server.until("SELECT last_archived_time > last_failed_time FROM pg_stat_archiver")
        admin.execute("SELECT pg_stat_reset_shared('archiver')")


def _switch(server: TroubledServer) -> None:
    with server.superuser() as admin:
        admin.execute("SELECT pg_logical_emit_message(false, 'provoke', 'x')")
        admin.execute("SELECT pg_switch_wal()")


SCENARIOS = (
    Scenario(
        "archiver_failing",
        "the archive command fails",
        _failing,
        look_alikes=("slot_retains_wal", "disk_full"),
    ),
)
