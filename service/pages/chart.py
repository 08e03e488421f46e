"""Series as lines to draw: geometry in per cent, so that text keeps its size and the line fills any width."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from service.pages.text import compact

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BUCKETS = 140
"""Lowest and highest of each are drawn, so that a spike stays whatever the number of samples."""
TABLE_ROWS = 12
MOST_POINTS = 2000
"""Of a series, for a script that can look closer than a page is wide."""
NICE = (1, 1.2, 1.6, 2, 2.4, 3, 4, 5, 6, 8, 10)
"""What a scale may end at, times a power of ten: its half is short too."""
STEPS_S = (10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)
MAX_TICKS = 5

_UNITS = {
    "_per_second": "per second",
    "_seconds": "seconds",
    "_bytes": "bytes",
    "_ratio": "ratio",
    "_percent": "percent",
    "_cores": "cores",
}

Sample = tuple[float, float | None]


@dataclass(frozen=True, slots=True)
class Tick:
    """at: per cent from the left or from the top."""

    label: str
    at: float


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a chart's table: lowest and highest from this time on until the next row's."""

    at: str
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Plot:
    """One chart. path: SVG path in a 1000 by 100 box. Marks are per cent; None: not there."""

    service: str
    metric: str
    unit: str
    path: str
    ticks: tuple[Tick, ...]
    threshold: float | None
    threshold_at: float | None
    anomaly_at: float | None
    before: float | None
    during: float | None
    highest: float
    highest_at: str
    samples: int
    rows: tuple[Row, ...]
    start: float
    end: float
    top: float
    bottom: float


@dataclass(frozen=True, slots=True)
class Panel:
    """Charts under one another on one time axis, whose ticks are UTC. bands: (from, width, what it was); events: what
    happened when.
    """

    plots: tuple[Plot, ...]
    ticks: tuple[Tick, ...]
    bands: tuple[tuple[float, float, str], ...]
    events: tuple[Tick, ...]


@dataclass(frozen=True, slots=True)
class Marks:
    """What is drawn over a series. Epoch seconds; None: not known. threshold is for the first series only.
    bands: (from, to, what it was); events: (at, what happened), deploys above all.
    """

    anomaly_from: float | None = None
    threshold: float | None = None
    signal_unit: str = ""
    bands: tuple[tuple[float, float, str], ...] = ()
    events: tuple[tuple[float, str], ...] = ()


def panel(series: Sequence[Mapping[str, Any]], marks: Marks) -> Panel | None:
    """series: {name, times, values}, a value null where there was no sample. None: nothing to draw."""
    seen = [(str(one["name"]), _samples(one)) for one in series]
    seen = [(name, samples) for name, samples in seen if any(value is not None for _, value in samples)]
    if not seen:
        return None
    start = min(samples[0][0] for _, samples in seen)
    end = max(start + 1, *(samples[-1][0] for _, samples in seen))
    plots = tuple(
        _plot(name, samples, start, end, marks, first=index == 0) for index, (name, samples) in enumerate(seen)
    )
    events = tuple(Tick(what, _percent(at, start, end)) for at, what in marks.events if start <= at <= end)
    return Panel(plots, _time_ticks(start, end), tuple(_band(band, start, end) for band in marks.bands), events)


def points(series: Sequence[Mapping[str, Any]], marks: Marks) -> dict[str, Any]:
    """The same for the script: at most MOST_POINTS a series, spikes kept. JSON-ready, epoch seconds."""
    seen = [(str(one["name"]), _samples(one)) for one in series]
    return {
        "series": [
            {
                "times": [at for at, _ in kept],
                "values": [value for _, value in kept],
                "threshold": marks.threshold if index == 0 else None,
            }
            for index, kept in enumerate(
                reduced(samples, MOST_POINTS // 2)
                for _, samples in seen
                if any(value is not None for _, value in samples)
            )
        ],
        "anomaly_from": marks.anomaly_from,
        "bands": [band[:2] for band in marks.bands],
        "events": list(marks.events),
    }


def _samples(one: Mapping[str, Any]) -> list[Sample]:
    return list(zip(one["times"], one["values"], strict=False))


def _band(band: tuple[float, float, str], start: float, end: float) -> tuple[float, float, str]:
    left, right = (_percent(min(max(at, start), end), start, end) for at in band[:2])
    return left, max(right - left, 0.3), band[2]


def _percent(value: float, low: float, high: float) -> float:
    return round((value - low) / (high - low) * 100, 2)


def _plot(name: str, samples: list[Sample], start: float, end: float, marks: Marks, *, first: bool) -> Plot:
    service, bar, metric = name.partition("|")
    known = [(at, value) for at, value in samples if value is not None]
    threshold = marks.threshold if first else None
    bottom, top = _scale([value for _, value in known] + ([threshold] if threshold is not None else []))
    change = marks.anomaly_from if marks.anomaly_from is not None and marks.anomaly_from <= end else None
    highest_at, highest = max(known, key=lambda sample: sample[1])
    return Plot(
        service=service,
        metric=metric if bar else "value",
        unit=marks.signal_unit if first else unit_of(metric),
        path=_path(reduced(samples), start, end, bottom, top),
        ticks=tuple(
            Tick(compact(value), 100 - _percent(value, bottom, top)) for value in (top, (top + bottom) / 2, bottom)
        ),
        threshold=threshold,
        threshold_at=None if threshold is None else 100 - _percent(threshold, bottom, top),
        anomaly_at=None if change is None else max(0.0, _percent(change, start, end)),
        before=None if change is None else _median([value for at, value in known if at < change]),
        during=_median([value for at, value in known if change is None or at >= change]),
        highest=highest,
        highest_at=_clock(highest_at),
        samples=len(known),
        rows=_rows(known),
        start=start,
        end=end,
        top=top,
        bottom=bottom,
    )


def unit_of(metric: str) -> str:
    """By Prometheus' naming convention; empty when the name does not say."""
    return next((unit for suffix, unit in _UNITS.items() if metric.endswith(suffix)), "")


def unit_in(expression: str) -> str:
    """The unit of a quantile or a mean over a histogram of seconds; empty for anything else."""
    if "_seconds_bucket" in expression or ("_seconds_sum" in expression and "_seconds_count" in expression):
        return "seconds"
    return ""


def _scale(values: Sequence[float]) -> tuple[float, float]:
    """From zero, so that a small change looks small; below zero only where values are."""
    low, high = min(0.0, *values), max(0.0, *values)
    if low == high:
        return low, low + 1.0
    return -_nice(-low), _nice(high)


SMALLEST = 1e-300
"""Below it a power of ten is no longer exact; nothing measured is that small."""


def _nice(value: float) -> float:
    if value <= 0:
        return 0.0
    value = max(value, SMALLEST)
    power = 10.0 ** math.floor(math.log10(value))
    return next(step for step in NICE if step * power >= value * 0.9999) * power


def reduced(samples: Sequence[Sample], buckets: int = BUCKETS) -> list[Sample]:
    """At most two samples a bucket, its lowest and its highest in their order; a bucket without data is a gap."""
    if len(samples) <= 2 * buckets:
        return list(samples)
    kept: list[Sample] = []
    for index in range(buckets):
        part = samples[index * len(samples) // buckets : (index + 1) * len(samples) // buckets]
        known = [(at, value) for at, value in part if value is not None]
        if not known:
            kept.append((part[0][0], None))
            continue
        ends = {min(known, key=lambda sample: sample[1]), max(known, key=lambda sample: sample[1])}
        kept += sorted(ends)
    return kept


def _path(samples: Sequence[Sample], start: float, end: float, bottom: float, top: float) -> str:
    drawn, pen_down = [], False
    for at, value in samples:
        if value is None:
            pen_down = False
            continue
        x, y = (at - start) / (end - start) * 1000, (top - value) / (top - bottom) * 100
        drawn.append(f"{'L' if pen_down else 'M'}{x:.1f} {y:.1f}")
        if not pen_down:
            drawn.append("h0")  # a lone sample between gaps is a dot
        pen_down = True
    return "".join(drawn)


def _rows(known: Sequence[tuple[float, float]]) -> tuple[Row, ...]:
    count = min(TABLE_ROWS, len(known))
    parts = [known[index * len(known) // count : (index + 1) * len(known) // count] for index in range(count)]
    return tuple(
        Row(_clock(part[0][0]), min(value for _, value in part), max(value for _, value in part)) for part in parts
    )


def _median(values: Sequence[float]) -> float | None:
    if not values:
        return None
    ordered, middle = sorted(values), len(values) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def _clock(epoch_s: float) -> str:
    return f"{datetime.fromtimestamp(epoch_s, UTC):%H:%M:%S}"


def _time_ticks(start: float, end: float) -> tuple[Tick, ...]:
    """Round times within the axis."""
    step = next(step for step in (*STEPS_S, math.inf) if (end - start) / step <= MAX_TICKS)
    if math.isinf(step):
        return (Tick(_clock(start), 0.0), Tick(_clock(end), 100.0))
    first = math.ceil(start / step)
    times = [multiple * step for multiple in range(first, math.floor(end / step) + 1)]
    style = "%H:%M" if step >= 60 else "%H:%M:%S"  # noqa: PLR2004 a minute
    return tuple(Tick(f"{datetime.fromtimestamp(at, UTC):{style}}", _percent(at, start, end)) for at in times)
