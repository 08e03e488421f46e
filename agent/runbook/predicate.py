"""A threshold of a skill's own over what a check measured: yes or no by a figure in the answer's data.

    predicate: {field: findings.0.data.session.query_age_s, op: ge, threshold: 20, bounds: [10, 600]}

bounds say how far the threshold may be moved by anybody but a person. Where the figure is not there, the check's own
word holds; what a check could not see stays not visible.
"""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from agent.runbook.parameters import MissingEvidence, walk

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agent.replay.case import Status

Op = Literal["ge", "gt", "le", "lt"]
_OPS: Mapping[str, Callable[[float, float], bool]] = {
    "ge": operator.ge, "gt": operator.gt, "le": operator.le, "lt": operator.lt,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Predicate:
    """yes when the figure at the path stands in this relation to the threshold; true and false count as 1 and 0."""

    field: tuple[str, ...]
    op: Op
    threshold: float
    bounds: tuple[float, float]

    def status(self, said: Status, data: Mapping[str, Any]) -> Status:
        """What the check says by this threshold. said: its own word, which stays when it is neither yes nor no."""
        if said not in {"yes", "no"}:
            return said
        try:
            figure = walk(data, self.field, "no figure")
        except MissingEvidence:
            return said
        if not isinstance(figure, int | float) or math.isnan(figure):
            return said
        return "yes" if _OPS[self.op](figure, self.threshold) else "no"


def read_predicate(what: str, written: Mapping[str, Any] | None) -> Predicate | None:
    """From the YAML value of `predicate`. what: how a message names the place. Raises ValueError, KeyError."""
    if written is None:
        return None
    if unknown := sorted(set(written) - {"field", "op", "threshold", "bounds"}):
        raise ValueError(f"{what} has no {unknown[0]!r}")
    path = tuple(str(written["field"]).split("."))
    if not all(path):
        raise ValueError(f"{what}: {written['field']!r} is no path")
    if written["op"] not in _OPS:
        raise ValueError(f"{what}: op is one of {', '.join(_OPS)}, not {written['op']!r}")
    low, high = (_finite(what, bound) for bound in written["bounds"])
    threshold = _finite(what, written["threshold"])
    if not low <= threshold <= high:
        raise ValueError(f"{what}: the threshold {threshold:g} is not within {low:g} to {high:g}")
    return Predicate(path, written["op"], threshold, (low, high))


def _finite(what: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{what}: {value!r} is no finite number")
    return value
