"""A report that sorts more than fits into work_mem."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from lab.provoke.scenario import LIMITS, Scenario
from lab.provoke.tables import at_work

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.provoke.server import TroubledServer

_REPORT = "SELECT * FROM orders ORDER BY customer_id, created_at OFFSET 199990"


@contextlib.contextmanager
def _report(server: TroubledServer) -> Iterator[None]:
    try:
        with at_work(server, lambda session: session.execute(_REPORT).fetchall(), "report", once=True):
            yield
    finally:
        with server.superuser() as admin:
            admin.execute("ALTER ROLE shop_app RESET work_mem")


SCENARIOS = (
    Scenario(
        "temp_file_spill",
        "a report sorts all orders with the default work_mem",
        _report,
        look_alikes=("missing_index", "disk_full", "query_shape", "oversized_result"),
        window_s=1.0,
        limits=replace(LIMITS, temp_bytes_per_s=1_000_000.0),
    ),
)
