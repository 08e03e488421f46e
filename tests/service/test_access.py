from __future__ import annotations

import contextlib
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from connectors.target.memory import MemoryTarget
from connectors.unreachable import Unreachable
from service.access import looking, note
from tests.connectors.store.database import AGENT, API, EXECUTOR
from tests.service.incident_world import World, ports_of

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration


def rows(world: World) -> list[dict[str, Any]]:
    with world.database.store(API).transaction() as tx:
        return [
            {name: row[name] for name in ("target", "connection", "ok", "detail")} for row in tx.all("target_access")
        ]


def test_what_a_target_is_and_what_is_hidden_there_is_written_down_once_a_connection(fresh_world: World) -> None:
    world, target = fresh_world, MemoryTarget()

    @contextlib.contextmanager
    def reader(_name: str) -> Iterator[MemoryTarget]:
        yield target

    for _ in range(2):
        note(replace(ports_of(world.database.store(AGENT)), reader=reader), "shop", "diagnose")
        note(ports_of(world.database.store(EXECUTOR), target), "shop", "fix")
    diagnose, fix = rows(world)
    assert (diagnose["connection"], diagnose["ok"], fix["connection"], fix["ok"]) == ("diagnose", True, "fix", True)
    assert diagnose["detail"]["server_version_num"] == target.identity().server_version_num
    assert diagnose["detail"]["not_visible"] == [one.as_data() for one in target.activity().not_visible]


def test_a_target_that_is_away_is_written_down_with_the_reason(fresh_world: World) -> None:
    def away(name: str) -> Any:
        raise Unreachable(name, "nobody answers")

    note(replace(ports_of(fresh_world.database.store(AGENT)), reader=away), "shop", "diagnose")
    (row,) = rows(fresh_world)
    assert (row["ok"], row["detail"]) == (False, {"why": "shop: nobody answers"})


def test_each_configured_way_is_looked_at_and_no_other(fresh_world: World) -> None:
    given, stop = ports_of(fresh_world.database.store(EXECUTOR), MemoryTarget()), threading.Event()
    target = next(iter(given.configuration.targets.values()))
    target.__dict__.update(fix_dsn_file=Path("fix"), signal_dsn_file=Path("signal"), admin_dsn_file=None)
    looking(given, ("fix", "signal", "admin"), stop).body()
    assert {row["connection"] for row in rows(fresh_world)} == {"fix", "signal"}
