"""Who calls whom: a fault travels from callee to caller, against the arrows."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


# Istio, Envoy and OpenTelemetry's service graph name both ends of a call in their labels.
_CALLER = re.compile(r'\b(?:source|client|caller)(?:_(?:workload|service|app))?="([^"]+)"')
_CALLEE = re.compile(r'\b(?:destination|server|callee)(?:_(?:workload|service|app))?="([^"]+)"')


@dataclass(frozen=True, slots=True)
class ServiceGraph:
    """Call edges. Cycles and names without series are allowed; an unknown service has no callee and no caller."""

    callees: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    callers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def from_edges(cls, edges: Iterable[Sequence[str]]) -> ServiceGraph:
        """From [caller, callee] pairs; a repeated edge counts once, a call to oneself not at all."""
        down: dict[str, set[str]] = {}
        up: dict[str, set[str]] = {}
        for caller, callee in edges:
            if caller != callee:
                down.setdefault(caller, set()).add(callee)
                up.setdefault(callee, set()).add(caller)
        return cls(
            {caller: tuple(sorted(names)) for caller, names in down.items()},
            {callee: tuple(sorted(names)) for callee, names in up.items()},
        )

    @classmethod
    def from_metrics(cls, metrics: Iterable[str]) -> ServiceGraph:
        """The calls that metric labels name, as in `requests{source="web",destination="api"}`; empty when none do."""
        found = ((_CALLER.search(metric), _CALLEE.search(metric)) for metric in metrics)
        return cls.from_edges([caller[1], callee[1]] for caller, callee in found if caller and callee)

    @property
    def services(self) -> frozenset[str]:
        return frozenset(self.callees) | frozenset(self.callers)

    def __bool__(self) -> bool:
        return bool(self.callees)

    def reachable(self, start: str) -> Mapping[str, int]:
        """Every service that `start` depends on with its number of calls away, `start` itself at 0."""
        distance = {start: 0}
        waiting = deque([start])
        while waiting:
            here = waiting.popleft()
            for callee in self.callees.get(here, ()):
                if callee not in distance:
                    distance[callee] = distance[here] + 1
                    waiting.append(callee)
        return distance

    def path(self, start: str, end: str) -> tuple[str, ...]:
        """A shortest chain of calls from `start` to `end`, both included; empty when there is none."""
        came_from = {start: start}
        waiting = deque([start])
        while waiting and end not in came_from:
            here = waiting.popleft()
            for callee in self.callees.get(here, ()):
                if callee not in came_from:
                    came_from[callee] = here
                    waiting.append(callee)
        if end not in came_from:
            return ()
        chain = [end]
        while chain[-1] != start:
            chain.append(came_from[chain[-1]])
        return tuple(reversed(chain))
