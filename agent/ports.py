"""What the agent needs of the outside, as Protocols. connectors implement them; each has a fake beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from agent.database.reader import TargetReader, TargetWriter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

__all__ = ["Metrics", "NoData", "Rule", "Series", "TargetReader", "TargetWriter", "total"]


@dataclass(frozen=True, slots=True)
class Series:
    """One time series. times: epoch seconds, regular; values: same length, NaN where there is no sample."""

    labels: Mapping[str, str]
    times: np.ndarray
    values: np.ndarray


def total(series: Sequence[Series]) -> np.ndarray:
    """The sum over series at each time; NaN where none has a sample, for nothing is not zero."""
    stack = np.vstack([one.values for one in series])
    return np.where(np.all(np.isnan(stack), axis=0), np.nan, np.nansum(stack, axis=0))


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
