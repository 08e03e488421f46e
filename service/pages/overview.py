"""The list of incidents: what waits for a decision, what is under way, how long restoring took."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from agent.incident import OPEN_STATES, IncidentState
from connectors.store.store import incident_from_row
from service import view
from service.pages import sentence
from service.pages.text import moment, span
from service.routes.health import FRESH_S

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from connectors.store.store import Transaction
    from service.context import Context
    from service.identity import Person

NEWEST = 300
LISTED = 50
LISTED_OVER = 20
QUARANTINE_LISTED = 100
DAYS = 30
MIN_FOR_MEDIAN = 5
"""Below it a median says nothing and only the dots are shown."""
MIN_FOR_INTERVAL = 6
"""The smallest sample whose extremes bound the median with 95 % confidence."""

NEEDED = {
    "api": "serves this page",
    "agent": "investigates",
    "causal": "ranks causes",
    "executor": "runs approved fixes",
}
_SERVES = {"worker agent": {"agent"}, "worker causal": {"causal"}, "worker both": {"agent", "causal"}}
_TICKS_S = (1, 10, 60, 600, 3600, 6 * 3600, 24 * 3600, 7 * 24 * 3600)


@dataclass(frozen=True, slots=True)
class Dot:
    """One incident. left and top in per cent; seconds so far when it is open."""

    key: str
    left: float
    top: float
    seconds: float
    open: bool


def read(tx: Transaction, held: Context, person: Person) -> dict[str, Any]:
    """Everything the overview's templates need."""
    now = tx.now()
    active = tx.all("incidents", states=sorted(map(str, OPEN_STATES)), before=None, limit=LISTED)
    newest = tx.all("incidents", states=None, before=None, limit=NEWEST)
    shown = [_line(tx, held, row, person) for row in active]
    control = tx.one("control")
    quarantined = len(tx.all("quarantined", limit=QUARANTINE_LISTED))
    return {
        "waiting": [one for one in shown if one["left_s"] is not None],
        "active": shown,
        "over": [_over(row) for row in newest if row["state"] not in OPEN_STATES][:LISTED_OVER],
        "restore": restore([view.brief(incident_from_row(row)) for row in newest], now),
        "paused": control if control is not None and control["paused"] else None,
        "missing": missing(tx.all("processes")),
        "quarantined": quarantined,
        "quarantined_more": quarantined == QUARANTINE_LISTED,
        "now": now.isoformat(),
    }


def _line(tx: Transaction, held: Context, row: Mapping[str, Any], person: Person) -> dict[str, Any]:
    incident = incident_from_row(dict(row))
    proposal = None
    if incident.state is IncidentState.AWAITING_APPROVAL:
        proposal = view.proposal(tx, incident, held.ports.configuration)
    percent = None
    if incident.state is IncidentState.EXECUTING:
        runs = tx.all("executions", incident=incident.id)
        percent = (runs[-1]["progress"] or {}).get("percent") if runs and runs[-1]["state"] == "started" else None
    brief = view.brief(incident)
    said = {**brief, "labels": dict(incident.labels), "proposal": proposal}
    approval = proposal["approval"] if proposal else None
    return {
        **brief,
        "heading": sentence.heading(said),
        "badge": sentence.badge(brief["state"], brief["outcome"], percent),
        "left_s": approval["seconds_left"] if approval else None,
        "may": proposal is not None and person.name in proposal["approvers"],
    }


def _over(row: Mapping[str, Any]) -> dict[str, Any]:
    incident = incident_from_row(dict(row))
    brief = view.brief(incident)
    said = {**brief, "labels": dict(incident.labels), "proposal": None}
    return {
        **brief, "heading": sentence.heading(said), "badge": sentence.badge(brief["state"], brief["outcome"])
    }  # fmt: skip


def missing(processes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Jobs that nobody is seen to do, with how long ago somebody was. Seconds; None: never."""
    found = []
    for job, does in NEEDED.items():
        ages = [row["age_s"] for row in processes if job in _SERVES.get(row["kind"], {row["kind"]})]
        if not ages or min(ages) > FRESH_S:
            found.append({"job": job, "does": does, "age_s": min(ages) if ages else None})
    return found


# --- Time to restore ---------------------------------------------------------------------------------------------


def restore(briefs: Sequence[Mapping[str, Any]], now: datetime) -> dict[str, Any]:
    """Restored minus impact start, every incident a dot on a logarithmic scale; never a lone mean."""
    since = now - timedelta(days=DAYS)
    points = [(one, began) for one in briefs if (began := _began(one)) is not None and began >= since]
    done = [(one, began, one["seconds"]["restore"]) for one, began in points if one["seconds"]["restore"] is not None]
    pending = [
        (one, began, (now - began).total_seconds())
        for one, began in points
        if one["seconds"]["restore"] is None and one["state"] in OPEN_STATES
    ]
    seconds = sorted(value for _, _, value in done)
    ticks = _ticks([value for _, _, value in (*done, *pending)])
    dots = [_dot(*one, since, now, ticks, still_open=False) for one in done]
    dots += [_dot(*one, since, now, ticks, still_open=True) for one in pending]
    median, between = _quantile(seconds, 0.5), median_interval(seconds)
    return {
        "dots": dots,
        "ticks": [(span(tick), _top(tick, ticks)) for tick in ticks],
        "days": [(f"{at.day} {at:%b}", left) for at, left in ((since, 0), (since + (now - since) / 2, 50), (now, 100))],
        "n": len(seconds),
        "open": len(pending),
        "without": len(points) - len(done) - len(pending),
        "median": median if len(seconds) >= MIN_FOR_MEDIAN else None,
        "median_top": _top(median, ticks) if median and len(seconds) >= MIN_FOR_MEDIAN else None,
        "between": between,
        "between_tops": [_top(value, ticks) for value in reversed(between)] if between else None,
        "p90": _quantile(seconds, 0.9) if len(seconds) >= MIN_FOR_MEDIAN else None,
    }  # fmt: skip


def _began(one: Mapping[str, Any]) -> datetime | None:
    at = one["milestones"].get("impact_start")
    return moment(at) if at else None


def _ticks(seconds: Sequence[float]) -> tuple[int, ...]:
    """The marks that enclose all values."""
    if not seconds:
        return ()
    low = max((tick for tick in _TICKS_S if tick <= min(seconds)), default=_TICKS_S[0])
    high = min((tick for tick in _TICKS_S if tick >= max(seconds)), default=_TICKS_S[-1])
    kept = tuple(tick for tick in _TICKS_S if low <= tick <= high)
    return kept if len(kept) > 1 else (_TICKS_S[0], kept[0] if kept[0] > 1 else _TICKS_S[1])


def _top(seconds: float, ticks: Sequence[int]) -> float:
    low, high = math.log(ticks[0]), math.log(ticks[-1])
    value = math.log(min(max(seconds, ticks[0]), ticks[-1]))
    return round(100 - (value - low) / (high - low) * 100, 2)


def _dot(
    one: Mapping[str, Any],
    began: datetime,
    seconds: float,
    since: datetime,
    now: datetime,
    ticks: Sequence[int],
    *,
    still_open: bool,
) -> Dot:
    left = (began - since) / (now - since) * 100
    return Dot(one["id"], round(left, 2), _top(seconds, ticks), seconds, still_open)


def _quantile(ordered: Sequence[float], share: float) -> float | None:
    """By linear interpolation between order statistics."""
    if not ordered:
        return None
    position = (len(ordered) - 1) * share
    low = int(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)


def median_interval(ordered: Sequence[float]) -> tuple[float, float] | None:
    """95 % interval of the median from order statistics; None below six values.

    Source: binomial tails, Conover, Practical Nonparametric Statistics, 3rd ed., section 3.2.
    """
    count = len(ordered)
    if count < MIN_FOR_INTERVAL:
        return None
    tail, rank = 0.5**count, 0
    cumulative = tail
    while cumulative <= 0.025:  # noqa: PLR2004 half of 5 %
        rank += 1
        tail *= (count - rank + 1) / rank
        cumulative += tail
    return ordered[rank - 1], ordered[count - rank]
