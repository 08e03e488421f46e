"""A disk that counts as full: the limit is raised to all of it, since nobody wants a test to fill one."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from lab.provoke.scenario import LIMITS, Scenario

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.provoke.server import TroubledServer


@contextlib.contextmanager
def _any_disk(server: TroubledServer) -> Iterator[None]:
    del server
    yield


SCENARIOS = (
    Scenario(
        "disk_full",
        "the disk of this machine, with a limit that no disk meets",
        _any_disk,
        look_alikes=("slot_retains_wal", "archiver_failing"),
        limits=replace(LIMITS, disk_free_share=1.0),
    ),
)
