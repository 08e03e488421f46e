"""Metrics without a Prometheus, for the tests of other rooms: it answers what it was given."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from agent.ports import NoData, Series

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from agent.ports import Rule
    from connectors.unreachable import Unreachable


@dataclass
class MemoryMetrics:
    """The Metrics port. Set what it should answer.

    curves: by query text, the series as labels and a function of epoch seconds to a value, NaN for no sample; a query
    that is not there matches nothing. rules and active: by alert name. unreachable, when set, is raised by every
    method. asked: the queries, in order.
    """

    curves: Mapping[str, Sequence[tuple[Mapping[str, str], Callable[[float], float]]]] = field(default_factory=dict)
    rules: Mapping[str, Rule] = field(default_factory=dict)
    active: Mapping[str, datetime] = field(default_factory=dict)
    unreachable: Unreachable | None = None
    asked: list[str] = field(default_factory=list)

    def query_range(self, query: str, start: datetime, end: datetime, step_s: float) -> tuple[Series, ...] | NoData:
        self._answer()
        self.asked.append(query)
        span_s = max((end - start).total_seconds(), step_s)
        times = round(start.timestamp()) + np.arange(math.floor(span_s / step_s) + 1) * step_s
        drawn = [
            Series(dict(labels), times, np.array([curve(float(at)) for at in times], dtype=float))
            for labels, curve in self.curves.get(query, ())
        ]
        seen = tuple(one for one in drawn if not np.all(np.isnan(one.values)))
        return seen or NoData(query, f"{start.isoformat()} to {end.isoformat()}")

    def rule(self, alertname: str, labels: Mapping[str, str]) -> Rule | None:  # noqa: ARG002 one rule a name here
        self._answer()
        return self.rules.get(alertname)

    def active_since(self, alertname: str, labels: Mapping[str, str]) -> datetime | None:  # noqa: ARG002 the same
        self._answer()
        return self.active.get(alertname)

    def _answer(self) -> None:
        if self.unreachable is not None:
            raise self.unreachable
