"""Checks over metrics and changes: pure, from samples and change events to one answer.

METRIC_CHECKS are those a skill can name under the tool `metrics`. Each gets what was seen round the alert: the families
of stanch.yaml's `metrics`, who calls whom, the changes that were announced.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from agent.ports import total

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.ports import Series

SURGE = 1.5
"""Traffic at this multiple of what it was before counts as a surge. Judgement: a third more is an ordinary evening."""

RECENT_CHANGE_S = 900.0
"""A change this long before the impact can still be its reason."""
SLACK_S = 30.0
"""Clocks differ, and an impact start is an estimate."""

SLOWER = 2.0
"""Latency at this multiple of what it was has risen. Judgement: half as slow again is what noise does to a p99."""
FAILED_SHARE = 0.01
"""Of a service's requests; the error budget of a 99 % objective, burnt as fast as it comes (SRE workbook, ch. 5)."""
FAILED_TIMES = 2.0
"""Against the share before: a service that always fails a little has not begun to."""
BUSY_CORES = 0.8
"""Of the one processor a single-threaded service can use; queues grow without bound above it (M/M/1: x5 at 0.8)."""
BUSIER = 1.5
WAITING = 1.0
"""Requests that wait for a connection: a pool that is large enough has none in the median."""
RECENT_S = 15.0
"""The end of what is seen: what is so now, whatever it was since the impact began."""
NOW_S = 3.0
"""The newest sample and those just before it: whether it is still so. A blip is over while RECENT_S still shows it."""
CHANGED = 1.5
"""A symptom stands out at this multiple of its normal size, and only beyond NOISE times its normal scatter."""
NOISE = 4.0

Kind = Literal["latency", "errors", "traffic", "saturation", "other"]


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


# --- What a skill can ask of the metrics ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Family:
    """One entry of stanch.yaml's `metrics` as it was seen: a series a service, several of one service summed; under ""
    what names no service.
    """

    name: str
    kind: Kind
    services: Mapping[str, Series]


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen round the alert.

    callees: who each service calls. databases: names in the graph that are targets. service: the alert's own, None when
    it names none. impact_start: epoch s. changes: all known ones near the impact.
    """

    families: Sequence[Family]
    callees: Mapping[str, tuple[str, ...]]
    databases: frozenset[str]
    service: str | None
    impact_start: float
    changes: Sequence[Change] = ()

    def path(self) -> tuple[str, ...]:
        """The alert's service and all it calls, nearest first; without one, every service that has a series."""
        if self.service is None:
            return tuple(sorted({name for family in self.families for name in family.services if name}))
        order = [self.service]
        for caller in order:
            order += [callee for callee in self.callees.get(caller, ()) if callee not in order]
        return tuple(order)

    def of_kind(self, *kinds: Kind) -> tuple[Family, ...]:
        return tuple(family for family in self.families if family.kind in kinds)


MetricCheck: TypeAlias = Callable[[Seen], Answer]


@dataclass(frozen=True, slots=True)
class _Moved:
    """A series before the impact and now. ratio None: it was nothing before."""

    service: str
    metric: str
    before: float
    now: float

    @property
    def ratio(self) -> float | None:
        return self.now / self.before if self.before > 0 else None

    def rose(self, times: float) -> bool:
        return self.now > 0 and (self.ratio is None or self.ratio >= times)

    def as_data(self) -> dict[str, Any]:
        return {
            "service": self.service, "metric": self.metric, "before": self.before, "now": self.now, "ratio": self.ratio,
        }  # fmt: skip


def _moved(seen: Seen, service: str, *kinds: Kind, named: str = "", recent_s: float = RECENT_S) -> tuple[_Moved, ...]:
    """The service's series of these kinds with samples on both sides; named: a part of the family's name. recent_s: how
    much of the end counts as now.
    """
    found = []
    for family in seen.of_kind(*kinds):
        series = family.services.get(service)
        if series is None or named not in family.name:
            continue
        before = _median(series.values[series.times < seen.impact_start])
        now = _median(_recent(series, seen.impact_start, recent_s))
        if math.isfinite(before) and math.isfinite(now):
            found.append(_Moved(service, family.name, before, now))
    return tuple(found)


def _recent(series: Series, impact_start: float, recent_s: float) -> np.ndarray:
    """Values at the end of what was seen, none from before the impact."""
    if not len(series.times):
        return series.values
    from_s = max(impact_start, float(series.times[-1]) - recent_s)
    return series.values[series.times >= from_s]


def _surge(seen: Seen) -> Answer:
    """More requests than before, at the alert's service or, where it has no series, over all."""
    families = seen.of_kind("traffic")
    own = next((one for family in families if (one := family.services.get(seen.service or ""))), None)
    if own is not None:
        return traffic_surge([own], seen.impact_start)
    return traffic_surge([*families[0].services.values()] if families else [], seen.impact_start)


def _failing(seen: Seen, service: str) -> tuple[float, float] | None:
    """Share of the service's requests that failed, before and now. None: not visible, or no requests."""
    traffic = next(iter(_moved(seen, service, "traffic")), None)
    errors = next(iter(_moved(seen, service, "errors")), None)
    if traffic is None or errors is None or traffic.now <= 0:
        return None
    return (errors.before / traffic.before if traffic.before > 0 else 0.0), errors.now / traffic.now


def error_rate_rose(seen: Seen) -> Answer:
    """Does a service on the path fail more of its requests now? data names the deepest: its callers pass it on."""
    shares = {service: share for service in seen.path() if (share := _failing(seen, service)) is not None}
    if not shares:
        return Answer("not_visible", "no error and traffic metrics have samples on both sides of the impact", {})
    failing = {
        service: share
        for service, share in shares.items()
        if share[1] >= FAILED_SHARE and share[1] >= FAILED_TIMES * share[0]
    }
    own = seen.service if seen.service in shares else next(iter(shares))
    named = _deepest(seen, tuple(failing)) if failing else own
    before, now = shares[named]
    data = {
        "service": named,
        "before": before,
        "now": now,
        "all": {name: list(share) for name, share in shares.items()},
    }
    summary = f"{named} fails {now:.1%} of its requests, {before:.1%} before"
    return Answer("yes" if failing else "no", summary, data)


def errors_follow_a_change(seen: Seen) -> Answer:
    """Was the service whose errors rose, and nobody's it calls, changed shortly before?"""
    risen = error_rate_rose(seen)
    if risen.status != "yes":
        return risen
    service = risen.data["service"]
    when = datetime.fromtimestamp(seen.impact_start, tz=UTC)
    changed = recent_change(seen.changes, [service], when)
    return Answer(changed.status, f"{risen.summary}; {changed.summary}", {**risen.data, **changed.data})


def _deepest(seen: Seen, services: tuple[str, ...]) -> str:
    """The one furthest down of which no callee is among them; the nearest to the alert among equals."""
    ends = [one for one in services if not set(_below(seen, one)) & set(services)]
    return (ends or list(services))[0]


def _below(seen: Seen, service: str) -> tuple[str, ...]:
    order = [callee for callee in seen.callees.get(service, ()) if callee != service]
    for callee in order:
        order += [one for one in seen.callees.get(callee, ()) if one not in order and one != service]
    return tuple(order)


def slow_callee(seen: Seen) -> Answer:
    """Is something slow that the alert's service calls, while nothing below that is? A database's slowness says no."""
    found = {
        service: max(moved, key=lambda one: one.ratio or math.inf)
        for service in seen.path()
        if (moved := _moved(seen, service, "latency"))
    }
    called = [one for one in found if one != seen.service]
    if not called:
        return Answer("not_visible", "no latency of anything it calls has samples on both sides of the impact", {})
    slow = tuple(service for service, one in found.items() if one.rose(SLOWER))
    deepest = _deepest(seen, slow) if slow else None
    worst = found[deepest] if deepest else max((found[one] for one in called), key=lambda one: one.ratio or 0.0)
    data = {**worst.as_data(), "slow": list(slow)}
    times = "" if worst.ratio is None else f" (x{worst.ratio:.1f})"
    said = f"{worst.service} {worst.metric} is {worst.now:.3g}, {worst.before:.3g} before{times}"
    if deepest is None:
        return Answer("no", f"nothing it calls has become slow; most of all {said}", data)
    if deepest == seen.service or deepest in seen.databases:
        return Answer("no", f"the slowness begins at {deepest}: {said}", data)
    return Answer("yes", f"{said}, and nothing it calls is slow", data)


def cpu_saturated(seen: Seen) -> Answer:
    """Has a service on the path used up its processor since the impact?"""
    moved = [one for service in seen.path() for one in _moved(seen, service, "saturation", named="cpu")]
    if not moved:
        return Answer("not_visible", "no processor metric has samples on both sides of the impact", {})
    busiest = max(moved, key=lambda one: one.now)
    summary = f"{busiest.service} uses {busiest.now:.2f} cores, {busiest.before:.2f} before"
    full = busiest.now >= BUSY_CORES and busiest.rose(BUSIER)
    return Answer("yes" if full else "no", summary, busiest.as_data())


def pool_waiting(seen: Seen) -> Answer:
    """Do requests wait for a connection of a pool on the path, as they did not before?"""
    moved = [one for service in seen.path() for one in _moved(seen, service, "saturation", named="waiting")]
    if not moved:
        return Answer("not_visible", "no pool metric has samples on both sides of the impact", {})
    longest = max(moved, key=lambda one: one.now)
    summary = f"{longest.now:.0f} requests of {longest.service} wait for a connection, {longest.before:.0f} before"
    return Answer("yes" if longest.now >= WAITING and longest.rose(SLOWER) else "no", summary, longest.as_data())


def symptoms_now(seen: Seen) -> Answer:
    """Is anything of the alert's own service out of the ordinary now: latency, errors, saturation?"""
    service = seen.service or next(iter(seen.path()), "")
    moved = _moved(seen, service, "latency", "errors", "saturation", recent_s=NOW_S)
    if not moved:
        return Answer("not_visible", f"no metric of {service or 'the service'} has samples round the impact", {})
    out = [one for one in moved if one.rose(CHANGED) and one.now - one.before > NOISE * _scatter(seen, one)]
    worst = max(out or moved, key=lambda one: math.inf if one.ratio is None and one.now > 0 else one.ratio or 0.0)
    summary = f"{worst.service} {worst.metric} is {worst.now:.3g} now, {worst.before:.3g} before the impact"
    data = {**worst.as_data(), "out_of_the_ordinary": [one.metric for one in out]}
    return Answer("yes", summary, data) if out else Answer("no", f"nothing stands out: {summary}", data)


def _scatter(seen: Seen, moved: _Moved) -> float:
    """Median distance from the median before the impact: one spike does not move it."""
    family = next(one for one in seen.families if one.name == moved.metric)
    series = family.services[moved.service]
    before = series.values[series.times < seen.impact_start]
    return _median(np.abs(before - moved.before))


METRIC_CHECKS: Mapping[str, tuple[MetricCheck, frozenset[Kind]]] = {
    "traffic_surge": (_surge, frozenset({"traffic"})),
    "error_rate_rose": (error_rate_rose, frozenset({"traffic", "errors"})),
    "errors_follow_a_change": (errors_follow_a_change, frozenset({"traffic", "errors"})),
    "slow_callee": (slow_callee, frozenset({"latency"})),
    "cpu_saturated": (cpu_saturated, frozenset({"saturation"})),
    "pool_waiting": (pool_waiting, frozenset({"saturation"})),
    "symptoms_now": (symptoms_now, frozenset({"latency", "errors", "saturation"})),
}
"""The check, and the kinds of families it reads: the others need not be asked for."""


def ask(name: str, seen: Seen) -> Answer:
    """The named check's answer; not visible for a name that is none, so that the rest of a skill goes on."""
    if name not in METRIC_CHECKS:
        return Answer("not_visible", f"no metric check is named {name[:60]!r}", {})
    check, _ = METRIC_CHECKS[name]
    return check(seen)


CHANGE_CHECKS = frozenset({"recent_change"})
CAUSAL_CHECKS = frozenset({"target_leads", "any_leads"})
"""What a skill can ask of the tools `changes` and `causal`."""
