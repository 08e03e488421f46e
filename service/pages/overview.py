"""The overview: what waits for a decision, what is under way, how long restoring took, who and what is there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from agent.incident import OPEN_STATES, IncidentState
from connectors.store.store import incident_from_row
from service import view
from service.pages import figures, sentence
from service.pages.text import day_of, shown, span
from service.routes.health import FRESH_S

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from connectors.store.store import Transaction
    from service.context import Context
    from service.identity import Person
    from service.pages.figures import Asked, Figures, Point

LISTED = 50
LISTED_OVER = 10
QUARANTINE_LISTED = 100
FIGURES_AGE_S = 15.0
"""How old the figures may be: they move slowly, and many pages ask."""
FIGURES_GRACE_S = 120.0
FACETS_AGE_S = 60.0
MOST_FACETS = 200
MOST_DOTS = 300
"""Above it the dots are one drawing, and only the open and the slowest are links."""
SLOWEST = 10

NEEDED = {
    "api": "serves this page",
    "agent": "investigates",
    "causal": "ranks causes",
    "executor": "runs approved fixes",
}
_SERVES = {"worker agent": {"agent"}, "worker causal": {"causal"}, "worker both": {"agent", "causal"}}
_TICKS_S = (1, 10, 60, 600, 3600, 6 * 3600, 24 * 3600, 7 * 24 * 3600, 30 * 24 * 3600)
STAGE_WORDS = {
    "detect": "detect",
    "diagnose": "diagnose",
    "wait": "wait for a decision",
    "execute": "execute",
    "verify": "verify",
}
OUTCOME_WORDS = {
    "verified": "recovered, verified",
    "not_recovered": "ran, did not help",
    "rolled_back": "rolled back",
    "regressed": "made it worse",
    "inconclusive": "inconclusive",
    "not_run": "did not run",
    "denied": "denied",
    "expired": "expired",
    "superseded": "edited or replaced",
    "cancelled": "no longer needed",
    "self_resolved": "over before it ended",
    "no_action": "closed without it",
    "not_asked": "left to a human",
    "waiting": "waiting",
    "under_way": "under way",
}
"""What becomes of a proposed fix, the order of the list."""


@dataclass(frozen=True, slots=True)
class Dot:
    """One incident. left and top in per cent; seconds so far when it is open."""

    key: str
    left: float
    top: float
    seconds: float
    open: bool


def read(tx: Transaction, held: Context, person: Person, asked: Asked) -> dict[str, Any]:
    """Everything the overview's templates need."""
    return {**live(tx, held, person), **counted(tx, held, asked)}


PARTS = ("notices", "waiting", "active", "over")
"""Templates that change with an event."""


def live(tx: Transaction, held: Context, person: Person) -> dict[str, Any]:
    """What changes with each event."""
    values = together(tx, held)
    return as_seen(values, standing(values, person))


def standing(values: Mapping[str, Any], person: Person) -> frozenset[str]:
    """All that the page says differently to different people: the keys of what waits for this person."""
    return frozenset(one["id"] for one in values["waiting"] if person.name in one["approvers"])


def as_seen(values: Mapping[str, Any], mine: frozenset[str]) -> dict[str, Any]:
    return {**values, "waiting": [{**one, "may": one["id"] in mine} for one in values["waiting"]]}


def together(tx: Transaction, held: Context) -> dict[str, Any]:
    """What is the same for everybody."""
    active = tx.all("incidents", states=sorted(map(str, OPEN_STATES)), before=None, limit=LISTED)
    now = tx.now()
    lines = [_line(tx, held, row, now) for row in active]
    control = tx.one("control")
    quarantined = len(tx.all("quarantined", limit=QUARANTINE_LISTED))
    over = tx.all("incidents", states=sorted(set(IncidentState) - OPEN_STATES), before=None, limit=LISTED_OVER)
    return {
        "waiting": [one for one in lines if one["left_s"] is not None],
        "active": lines,
        "active_more": len(active) == LISTED,
        "over": [line(row) for row in over],
        "paused": control if control is not None and control["paused"] else None,
        "missing": missing(tx.all("processes")),
        "quarantined": quarantined,
        "quarantined_more": quarantined == QUARANTINE_LISTED,
        "version": (tx.one("latest_audit") or {}).get("id") or 0,
    }


def counted(tx: Transaction, held: Context, asked: Asked) -> dict[str, Any]:
    """What is counted over the period asked for. Past FIGURES_AGE_S the old figures are shown once more, with the time
    they are of, while new ones are counted: ten thousand incidents take longer than a reader should wait.
    """

    def make() -> dict[str, Any]:
        with held.ports.store.transaction() as own:
            return _drawn(own, asked)

    drawn: dict[str, Any] = held.recent.get(("figures", asked), FIGURES_AGE_S, make, grace_s=FIGURES_GRACE_S)
    return {"asked": asked, "days": figures.DAYS, "facets": facets(tx, held), "health": health(tx), **drawn}


def _drawn(tx: Transaction, asked: Asked) -> dict[str, Any]:
    found = figures.read(tx, asked, tx.now())
    return {
        "figures": found,
        "restore": restore(found),
        "stages": stages(found),
        "outcomes": outcomes(found),
    }


def facets(tx: Transaction, held: Context) -> dict[str, list[str]]:
    """What one may filter by; a minute old at most. Names that a page does not show as they are are left out."""

    def make() -> dict[str, list[str]]:
        row = tx.one("incident_facets") or {}
        return {
            name: sorted(one for one in row.get(name) or () if shown(one) == one)[:MOST_FACETS]
            for name in ("services", "severities")
        }

    found: dict[str, list[str]] = held.recent.get("facets", FACETS_AGE_S, make)
    return found


def health(tx: Transaction) -> dict[str, Any]:
    """received: sources with the age of their newest body; processes: the newest sign of life of each kind. Seconds."""
    kinds: dict[str, float] = {}
    for row in tx.all("processes"):
        kinds[row["kind"]] = min(row["age_s"], kinds.get(row["kind"], math.inf))
    return {
        "received": [(row["source"], row["age_s"]) for row in tx.all("last_received")],
        "processes": [(kind, age_s, age_s <= FRESH_S) for kind, age_s in sorted(kinds.items())],
        "backlog": tx.one("backlog") or {"due": 0, "running": 0},
    }


def line(row: Mapping[str, Any]) -> dict[str, Any]:
    """An incident as a line of a list, from its row alone."""
    incident = incident_from_row(dict(row))
    brief = view.brief(incident)
    said = {**brief, "labels": dict(incident.labels), "proposal": None}
    return {
        **brief, "heading": sentence.heading(said), "badge": sentence.badge(brief["state"], brief["outcome"])
    }  # fmt: skip


def _line(tx: Transaction, held: Context, row: Mapping[str, Any], now: datetime) -> dict[str, Any]:
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
        "approvers": proposal["approvers"] if proposal else (),
        "age_s": max(0.0, (now - incident.opened_at).total_seconds()),
    }


def missing(processes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Jobs that nobody is seen to do, with how long ago somebody was. Seconds; None: never."""
    found = []
    for job, does in NEEDED.items():
        ages = [row["age_s"] for row in processes if job in _SERVES.get(row["kind"], {row["kind"]})]
        if not ages or min(ages) > FRESH_S:
            found.append({"job": job, "does": does, "age_s": min(ages) if ages else None})
    return found


# --- What was counted, drawn -------------------------------------------------------------------------------------


def restore(found: Figures) -> dict[str, Any]:
    """Every incident a dot on a logarithmic scale of seconds, over the days of the period."""
    ticks = _ticks([point.seconds for point in found.points])
    summary = found.restore
    linked, drawn = _linked(found.points)
    return {
        "dots": [_dot(point, found, ticks) for point in linked],
        "cloud": _cloud(drawn, found, ticks),
        "ticks": [(span(tick), _top(tick, ticks)) for tick in ticks],
        "days": [(day_of(found.since), 0), (day_of(found.since + (found.until - found.since) / 2), 50),
                 (day_of(found.until), 100)],
        "open": sum(point.open for point in found.points),
        "slowest": [_dot(point, found, ticks) for point in _slowest(found.points)],
        "median_top": None if summary.median is None else _top(summary.median, ticks),
        "between_tops": [_top(value, ticks) for value in reversed(summary.between)] if summary.between else None,
    }  # fmt: skip


def _linked(points: Sequence[Point]) -> tuple[list[Point], list[Point]]:
    """Dots that are links, and those that are only drawn."""
    if len(points) <= MOST_DOTS:
        return list(points), []
    slowest = {point.number for point in _slowest(points)}
    linked = [point for point in points if point.open or point.number in slowest][:MOST_DOTS]
    numbers = {point.number for point in linked}
    return linked, [point for point in points if point.number not in numbers]


def _slowest(points: Sequence[Point]) -> list[Point]:
    return sorted((point for point in points if not point.open), key=lambda point: -point.seconds)[:SLOWEST]


def _cloud(points: Sequence[Point], found: Figures, ticks: Sequence[int]) -> str:
    """One path in a 1000 by 200 box; of dots that fall on one another one is drawn. The same places as _dot's."""
    if not points:
        return ""
    start, end = found.since.timestamp(), found.until.timestamp()
    began, seconds = np.array([(point.began, point.seconds) for point in points]).T
    left = np.clip((began - start) / (end - start), 0, 1) * 1000
    low, high = math.log(ticks[0]), math.log(ticks[-1])
    top = (1 - (np.log(np.clip(seconds, ticks[0], ticks[-1])) - low) / (high - low)) * 200
    places = np.unique(np.rint(np.stack([left, top], axis=1)).astype(int), axis=0)
    return "".join(f"M{x} {y}h0" for x, y in places.tolist())


def _ticks(seconds: Sequence[float]) -> tuple[int, ...]:
    """The marks that enclose all values."""
    if not seconds:
        return ()
    low = max((tick for tick in _TICKS_S if tick <= min(seconds)), default=_TICKS_S[0])
    high = min((tick for tick in _TICKS_S if tick >= max(seconds)), default=_TICKS_S[-1])
    kept = tuple(tick for tick in _TICKS_S if low <= tick <= high)
    return kept if len(kept) > 1 else (_TICKS_S[0], kept[0] if kept[0] > 1 else _TICKS_S[1])


def _top(seconds: float, ticks: Sequence[int]) -> float:
    if not ticks:
        return 100.0
    low, high = math.log(ticks[0]), math.log(ticks[-1])
    value = math.log(min(max(seconds, ticks[0]), ticks[-1]))
    return round(100 - (value - low) / (high - low) * 100, 2)


def _dot(point: Point, found: Figures, ticks: Sequence[int]) -> Dot:
    start, end = found.since.timestamp(), found.until.timestamp()
    left = min(max((point.began - start) / (end - start) * 100, 0.0), 100.0)
    return Dot(f"INC-{point.number}", round(left, 2), _top(point.seconds, ticks), point.seconds, point.open)


def stages(found: Figures) -> list[dict[str, Any]]:
    """Each with its part of the bar in per cent, from the left; nothing of a stage whose median is not known."""
    whole = sum(one.median or 0.0 for one in found.stages)
    left, drawn = 0.0, []
    for one in found.stages:
        width = (one.median or 0.0) / whole * 100 if whole else 0.0
        drawn.append({"stage": one, "words": STAGE_WORDS[one.name], "left": round(left, 2), "width": round(width, 2)})
        left += width
    return drawn


def outcomes(found: Figures) -> list[tuple[str, str, int, int]]:
    """(name, words, how many, how many in the period before); what never happened in either is left out."""
    return [
        (name, words, found.outcomes.get(name, 0), found.prior_outcomes.get(name, 0))
        for name, words in OUTCOME_WORDS.items()
        if found.outcomes.get(name, 0) or found.prior_outcomes.get(name, 0)
    ]
