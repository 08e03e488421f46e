"""How long it took and what came of it: the numbers of the overview, of its exports and of /metrics, from one place.

Time to restore is restored minus impact start. Never a lone mean: the median with its interval and the ninth decile,
and what is not counted is said. Source: VOID report 2022 on why means of incident durations mislead.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from connectors.store.store import Transaction

DAYS = (1, 7, 30, 90, 365)
USUAL_DAYS = 30
MIN_FOR_MEDIAN = 5
"""Below it a median says nothing and only the dots are shown."""
MIN_FOR_INTERVAL = 6
"""The smallest sample whose extremes bound the median with 95 % confidence."""
MOST_POINTS = 20_000
MOST_DECIDERS = 5
STAGES = ("detect", "diagnose", "wait", "execute", "verify")
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
BOUNDS_S = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 14_400.0, 86_400.0)
"""Upper bounds of the histograms at /metrics, each inclusive."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is counted. days: back from now; service and severity None: of any."""

    days: int = USUAL_DAYS
    service: str | None = None
    severity: str | None = None

    @property
    def only(self) -> str:
        """Service and severity for an address; empty when any counts."""
        named = {"service": self.service, "severity": self.severity}
        return urlencode({name: value for name, value in named.items() if value})

    @property
    def query(self) -> str:
        """All of it for an address; empty when everything is as usual."""
        days = "" if self.days == USUAL_DAYS else f"days={self.days}"
        return "&".join(part for part in (days, self.only) if part)


@dataclass(frozen=True, slots=True)
class Point:
    """One incident. began: epoch seconds; seconds: to restore it, or so far; open: nobody has restored it yet."""

    number: int
    began: float
    seconds: float
    open: bool


@dataclass(frozen=True, slots=True)
class Summary:
    """Seconds. median, p90 and mean None below five values, between below six: 95 % of the median."""

    n: int
    median: float | None
    between: tuple[float, float] | None
    p90: float | None
    mean: float | None


@dataclass(frozen=True, slots=True)
class Stage:
    """Seconds; None below five values. before: the median of the period before."""

    name: str
    n: int
    median: float | None
    p90: float | None
    before: float | None


@dataclass(frozen=True, slots=True)
class Figures:
    """Of incidents opened in [since, until). without: over, never restored, by outcome. prior_*: as much time before.

    cut: there were more incidents than points.
    """

    asked: Asked
    since: datetime
    until: datetime
    points: tuple[Point, ...]
    cut: bool
    restore: Summary
    without: Mapping[str, int]
    stages: tuple[Stage, ...]
    outcomes: Mapping[str, int]
    prior_restore: Summary
    prior_outcomes: Mapping[str, int]
    incidents: int
    unsocial: int
    prior_incidents: int
    deciders: tuple[tuple[str, int], ...]


def since(asked: Asked, now: datetime) -> datetime:
    """The start of the period, not before 1970."""
    return now - min(timedelta(days=asked.days), now - BEGINNING)


def read(tx: Transaction, asked: Asked, now: datetime) -> Figures:
    """Raises Unreachable."""
    start = since(asked, now)
    this, prior = _window(asked, start, now), _window(asked, since(asked, start), start)
    rows = tx.all("incident_times", **this, limit=MOST_POINTS)
    points = tuple(
        Point(row["id"], row["began"], _seconds(row, now), row["seconds"] is None)
        for row in rows
        if row["seconds"] is not None or row["open"]
    )
    load, prior_load = tx.one("load_of", **this) or {}, tx.one("load_of", **prior) or {}
    earlier = [row["seconds"] for row in tx.all("incident_times", **prior, limit=MOST_POINTS)]
    return Figures(
        asked=asked,
        since=this["since"],
        until=now,
        points=points,
        cut=len(rows) == MOST_POINTS,
        restore=summary([row["seconds"] for row in rows if row["seconds"] is not None]),
        without=_without(rows),
        stages=_stages(tx.one("stage_times", **this) or {}, tx.one("stage_times", **prior) or {}),
        outcomes={row["outcome"]: row["n"] for row in tx.all("fix_outcomes", **this)},
        prior_restore=summary([one for one in earlier if one is not None]),
        prior_outcomes={row["outcome"]: row["n"] for row in tx.all("fix_outcomes", **prior)},
        incidents=load.get("incidents", 0),
        unsocial=load.get("unsocial", 0),
        prior_incidents=prior_load.get("incidents", 0),
        deciders=tuple((row["person"], row["n"]) for row in tx.all("deciders", **this, limit=MOST_DECIDERS)),
    )


def _window(asked: Asked, start: datetime, until: datetime) -> dict[str, Any]:
    return {"since": start, "until": until, "service": asked.service, "severity": asked.severity}


def _seconds(row: Mapping[str, Any], now: datetime) -> float:
    seconds: float | None = row["seconds"]
    return max(0.0, now.timestamp() - row["began"]) if seconds is None else seconds


def _without(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    counted: dict[str, int] = {}
    for row in rows:
        if row["seconds"] is None and not row["open"]:
            name = row["outcome"] or "no outcome"
            counted[name] = counted.get(name, 0) + 1
    return dict(sorted(counted.items(), key=lambda one: -one[1]))


def _stages(row: Mapping[str, Any], before: Mapping[str, Any]) -> tuple[Stage, ...]:
    return tuple(
        Stage(name, row.get(f"{name}_n", 0), _known(row, name, 0), _known(row, name, 1), _known(before, name, 0))
        for name in STAGES
    )


def _known(row: Mapping[str, Any], stage: str, index: int) -> float | None:
    return row[stage][index] if row.get(f"{stage}_n", 0) >= MIN_FOR_MEDIAN else None


def summary(seconds: Sequence[float]) -> Summary:
    ordered = sorted(seconds)
    if len(ordered) < MIN_FOR_MEDIAN:
        return Summary(len(ordered), None, None, None, None)
    return Summary(
        len(ordered),
        quantile(ordered, 0.5),
        median_interval(ordered),
        quantile(ordered, 0.9),
        sum(ordered) / len(ordered),
    )


def quantile(ordered: Sequence[float], share: float) -> float:
    """By linear interpolation between order statistics of at least one value."""
    position = (len(ordered) - 1) * share
    low = int(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)


def median_interval(ordered: Sequence[float]) -> tuple[float, float] | None:
    """95 % interval of the median from order statistics; None below six values.

    Source: binomial tails, Conover, Practical Nonparametric Statistics, 3rd ed., section 3.2; above a thousand values
    their normal approximation, for the tails are then smaller than a float can be.
    """
    count = len(ordered)
    if count < MIN_FOR_INTERVAL:
        return None
    if count > 1000:  # noqa: PLR2004 see above
        rank = int((count - 1.96 * count**0.5) / 2)
        return ordered[rank - 1], ordered[count - rank]
    tail, rank = 0.5**count, 0
    cumulative = tail
    while cumulative <= 0.025:  # noqa: PLR2004 half of 5 %
        rank += 1
        tail *= (count - rank + 1) / rank
        cumulative += tail
    return ordered[rank - 1], ordered[count - rank]


# --- For machines ------------------------------------------------------------------------------------------------


def as_data(found: Figures) -> dict[str, Any]:
    """JSON-ready, seconds."""

    def told(one: Summary) -> dict[str, Any]:
        return {"n": one.n, "median": one.median, "median_95": one.between, "p90": one.p90, "mean": one.mean}

    return {
        "definition": "restored - impact_start, seconds; null: not restored (yet)",
        "since": found.since.isoformat(),
        "until": found.until.isoformat(),
        "service": found.asked.service,
        "severity": found.asked.severity,
        "restore": {
            **told(found.restore),
            "open": sum(point.open for point in found.points),
            "not_counted": dict(found.without),
        },
        "prior": {"restore": told(found.prior_restore), "outcomes": dict(found.prior_outcomes),
                  "opened": found.prior_incidents},
        "stages": {one.name: {"n": one.n, "median": one.median, "p90": one.p90, "prior_median": one.before}
                   for one in found.stages},
        "outcomes": dict(found.outcomes),
        "load": {"opened": found.incidents, "at_night_or_weekend": found.unsocial, "decided_by": dict(found.deciders)},
    }  # fmt: skip


def buckets(rows: Sequence[Mapping[str, Any]]) -> dict[str, tuple[list[tuple[str, float]], float]]:
    """By stage: cumulative counts as a Prometheus histogram wants them, and the sum. rows: of `stage_buckets`."""
    counts: dict[str, list[int]] = {}
    sums: dict[str, float] = {}
    for row in rows:
        each = counts.setdefault(row["stage"], [0] * (len(BOUNDS_S) + 1))
        each[len(BOUNDS_S) - row["within"]] += row["n"]
        sums[row["stage"]] = sums.get(row["stage"], 0.0) + row["total"]
    found = {}
    for stage, each in counts.items():
        running, cumulative = 0, []
        for bound, count in zip([*map(str, BOUNDS_S), "+Inf"], each, strict=True):
            running += count
            cumulative.append((bound, float(running)))
        found[stage] = (cumulative, sums[stage])
    return found
