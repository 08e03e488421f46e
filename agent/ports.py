"""What the agent needs of the outside, as Protocols. connectors implement them; each has a fake beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from agent.database.reader import TargetReader, TargetWriter

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    import numpy as np

__all__ = ["Metrics", "NoData", "Rule", "Series", "TargetReader", "TargetWriter"]


@dataclass(frozen=True, slots=True)
class Series:
    """One time series. times: epoch seconds, regular; values: same length, NaN where there is no sample."""

    labels: Mapping[str, str]
    times: np.ndarray
    values: np.ndarray


@dataclass(frozen=True, slots=True)
class NoData:
    """The query matched nothing in the window. Not zero: nothing."""

    query: str
    window: str


@dataclass(frozen=True, slots=True)
class Rule:
    """An alerting rule: it fires when expr has had a result for for_s seconds."""

    name: str
    expr: str
    for_s: float


class Metrics(Protocol):
    def query_range(self, query: str, start: datetime, end: datetime, step_s: float) -> tuple[Series, ...] | NoData: ...

    def rule(self, alertname: str, labels: Mapping[str, str]) -> Rule | None: ...

    def active_since(self, alertname: str, labels: Mapping[str, str]) -> datetime | None: ...
