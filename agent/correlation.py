"""Which open incident an alert of another group belongs to: one cause makes many alerts, and one incident is wanted.

Two alerts that begin within minutes of each other are taken for one cause when they concern the same target, or, where
no target is known, the same service or one that calls the other over a few hops.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True, slots=True)
class Concern:
    """What an alert, or the alert that opened an incident, is about. None: not known, or not allowed to its source."""

    service: str | None
    target: str | None


@dataclass(frozen=True, slots=True)
class Candidate:
    """An incident that is open and was opened recently."""

    id: int
    about: Concern


def same_cause(
    about: Concern, candidates: Iterable[Candidate], graph: Sequence[tuple[str, str]], hops: int
) -> int | None:
    """The incident to join: the nearest, of several the oldest. None: this is something new.

    graph: (caller, callee). A target is never shared with an incident that may not act on it: else whoever may send
    only harmless alerts could open an incident that swallows a real one.
    """
    near = [
        (distance, one.id)
        for one in candidates
        if one.about.target == about.target and (distance := _distance(about, one.about, graph, hops)) is not None
    ]
    return min(near)[1] if near else None


def _distance(one: Concern, other: Concern, graph: Sequence[tuple[str, str]], hops: int) -> int | None:
    """Hops along calls, in one direction; one more than all for the same target alone. None: nothing connects them."""
    if one.service and other.service:
        if one.service == other.service:
            return 0
        down = _calls(one.service, other.service, graph, hops)
        up = _calls(other.service, one.service, graph, hops)
        found = [steps for steps in (down, up) if steps is not None]
        if found:
            return min(found)
    return hops + 1 if one.target is not None else None


def _calls(caller: str, callee: str, graph: Sequence[tuple[str, str]], hops: int) -> int | None:
    reached, edge = {caller}, {caller}
    for steps in range(1, hops + 1):
        edge = {to for at, to in graph if at in edge} - reached
        if callee in edge:
            return steps
        reached |= edge
    return None
