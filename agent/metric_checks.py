"""Checks over metrics and changes: pure, from samples and change events to one answer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from agent.ports import total

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from agent.ports import Series

SURGE = 1.5
"""Traffic at this multiple of what it was before counts as a surge. Judgement: a third more is an ordinary evening."""

RECENT_CHANGE_S = 900.0
"""A change this long before the impact can still be its reason."""
SLACK_S = 30.0
"""Clocks differ, and an impact start is an estimate."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: Literal["yes", "no", "not_visible"]
    summary: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """A deploy or another change that somebody told us of."""

    service: str
    version: str | None
    summary: str
    at: datetime


def traffic_surge(series: Sequence[Series], impact_start: float) -> Answer:
    """Did traffic rise with the impact? series: requests per second, summed over series. impact_start: epoch s."""
    if not series:
        return Answer("not_visible", "no traffic metric has samples", {})
    times = series[0].times
    traffic = total(series)
    before, after = _median(traffic[times < impact_start]), _median(traffic[times >= impact_start])
    data = {"before_per_s": _finite(before), "after_per_s": _finite(after)}
    if math.isnan(before) or math.isnan(after) or before <= 0:
        return Answer("not_visible", "no traffic samples on both sides of the impact", data)
    ratio = after / before
    summary = f"traffic {after:.1f}/s since the impact, {before:.1f}/s before (x{ratio:.2f})"
    return Answer("yes" if ratio >= SURGE else "no", summary, {**data, "ratio": ratio})


def recent_change(changes: Sequence[Change], services: Sequence[str], impact_start: datetime) -> Answer:
    """Was something on the alert's path changed shortly before the impact? changes: all known ones near it."""
    near = [
        change
        for change in changes
        if change.service in services and -SLACK_S <= (impact_start - change.at).total_seconds() <= RECENT_CHANGE_S
    ]
    data = {
        "changes": [
            {"service": c.service, "version": c.version, "summary": c.summary, "at": c.at.isoformat()} for c in near
        ]
    }
    if not near:
        path = ", ".join(services) or "the service"
        return Answer("no", f"no change of {path} was announced before the impact", data)
    last = max(near, key=lambda change: change.at)
    lead_s = (impact_start - last.at).total_seconds()
    when = f"{lead_s:.0f} s before the impact" if lead_s >= 0 else f"{-lead_s:.0f} s after the impact was first seen"
    named = f"{last.service} {last.version}" if last.version else last.service
    return Answer("yes", f"{named} changed {when}: {last.summary[:120]}", data)


def _median(values: np.ndarray) -> float:
    return float(np.nanmedian(values)) if np.isfinite(values).any() else math.nan


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
