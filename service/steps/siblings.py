"""The sibling sweep: after a verified fix, a look where else the same is wrong. It reads, and decides nothing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from agent.events import SiblingsSwept
from agent.memory.siblings import Pattern, Sibling, Swept, look, pattern
from agent.runbook.pinned import skill_of
from connectors.unreachable import Unreachable
from service.steps import evidence
from service.steps.evidence import Found
from service.steps.investigate import load_incident

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.events import Event
    from agent.incident import Incident
    from connectors.store.store import Transaction
    from service.ports import Ports
    from service.steps.runner import Handler, Held, Save

SWEEP_S = 20.0
"""No further target is begun after so long: the postmortem waits for the sweep."""


def sweep(ports: Ports, clock: Callable[[], float] = time.monotonic) -> Handler:
    """clock: seconds, for how long it has been looking."""

    def handle(held: Held) -> Save:
        incident = load_incident(held)
        wanted = _wanted(ports, incident)
        if wanted is None:
            return lambda _tx: SiblingsSwept(
                "no check of the database confirmed the cause: nothing to look for elsewhere"
            )
        swept = _sweep(ports, incident, wanted, clock)

        def save(tx: Transaction) -> Event:
            found = Found(swept.status, swept.summary, swept.as_data())
            evidence.store(tx, held.step, "sibling_sweep", "database", found)
            return SiblingsSwept(swept.summary)

        return save

    return handle


def _wanted(ports: Ports, incident: Incident) -> Pattern | None:
    skill = skill_of(ports.skills, incident)
    with ports.store.transaction() as tx:
        proposal = tx.one("latest_proposal", incident=incident.id)
    if skill is None or proposal is None:
        return None
    return pattern(skill, incident.working, proposal["action"], proposal["params"])


def _sweep(ports: Ports, incident: Incident, wanted: Pattern, clock: Callable[[], float]) -> Swept:
    """The repaired target first: what is left there hurts the same people."""
    started = clock()
    names = sorted(ports.configuration.targets, key=lambda name: (name != incident.target, name))
    siblings: list[Sibling] = []
    unseen: list[str] = []
    for name in names:
        if clock() - started >= SWEEP_S:
            unseen.append(name)
            continue
        try:
            with ports.reader(name) as reader:
                siblings += look(reader, name, wanted)
        except Unreachable as error:
            siblings.append(Sibling(name, wanted.check, "not_visible", f"could not be looked at: {error}"[:200]))
    return Swept(wanted, tuple(siblings), tuple(unseen), round(clock() - started, 3))
