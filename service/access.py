"""Looks at every target once a minute and writes down what it is and what is not visible there."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Literal

from connectors.store.store import jsonb
from connectors.unreachable import Unreachable
from service.loops import Loop
from service.settings import UnusableSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from service.ports import Ports

LOOK_EVERY_S = 60.0


def looking(given: Ports, connection: Literal["diagnose", "fix"], stop: threading.Event) -> Loop:
    """A loop for a process that holds this way to the targets."""

    def body() -> None:
        for target in given.configuration.targets:
            note(given, target, connection)

    return Loop("access", body, LOOK_EVERY_S, threading.Event(), stop)


def note(given: Ports, target: str, connection: Literal["diagnose", "fix"]) -> None:
    """Raises Unreachable when the store is away; a target that is away is what is written down."""
    try:
        detail = _diagnosing(given, target) if connection == "diagnose" else _fixing(given, target)
        ok = True
    except (Unreachable, UnusableSettings) as error:
        detail, ok = {"why": str(error)}, False
    with given.store.transaction() as tx:
        tx.run("note_access", target=target, connection=connection, ok=ok, detail=jsonb(dict(detail)))


def _diagnosing(given: Ports, target: str) -> Mapping[str, Any]:
    with given.reader(target) as reader:
        hidden = [one.as_data() for one in reader.activity().not_visible]
        return {**reader.identity().as_data(), "not_visible": hidden}


def _fixing(given: Ports, target: str) -> Mapping[str, Any]:
    with given.writer(target) as writer:
        return writer.identity().as_data()
