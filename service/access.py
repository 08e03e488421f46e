"""Looks at every target once a minute and writes down what it is and what is not visible there."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Literal

from connectors.store.store import jsonb
from connectors.unreachable import Unreachable
from service.loops import Loop
from service.settings import UnusableSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from guardrails.index_action import Connection
    from service.ports import Ports

LOOK_EVERY_S = 60.0

Way = Literal["diagnose", "fix", "signal", "admin"]


def looking(given: Ports, ways: Sequence[Way], stop: threading.Event) -> Loop:
    """A loop for a process that holds these ways to the targets; one that a target does not have is not tried."""

    def body() -> None:
        for name, target in given.configuration.targets.items():
            for way in ways:
                if target.dsn_file(way) is not None:
                    note(given, name, way)

    return Loop("access", body, LOOK_EVERY_S, threading.Event(), stop)


def note(given: Ports, target: str, way: Way) -> None:
    """Raises Unreachable when the store is away; a target that is away is what is written down."""
    try:
        detail = _diagnosing(given, target) if way == "diagnose" else _writing(given, target, way)
        ok = True
    except (Unreachable, UnusableSettings) as error:
        detail, ok = {"why": str(error)}, False
    with given.store.transaction() as tx:
        tx.run("note_access", target=target, connection=way, ok=ok, detail=jsonb(dict(detail)))


def _diagnosing(given: Ports, target: str) -> Mapping[str, Any]:
    with given.reader(target) as reader:
        hidden = [one.as_data() for one in reader.activity().not_visible]
        return {**reader.identity().as_data(), "not_visible": hidden}


def _writing(given: Ports, target: str, way: Connection) -> Mapping[str, Any]:
    with given.writer(target, way) as writer:
        return writer.identity().as_data()
