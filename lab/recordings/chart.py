"""Charts as SVG text, drawn by hand: no script and nothing fetched. Colours are the page's CSS classes."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WIDTH = 720
_LABEL = 220
_ROW = 22
_RIGHT = 90


@dataclass(frozen=True, slots=True)
class Bar:
    """value, low and high in the chart's unit; None: nothing to show. said: the figure in words, at the end."""

    label: str
    value: float | None
    said: str
    low: float | None = None
    high: float | None = None
    kind: str = "own"


def bars(title: str, rows: Sequence[Bar], most: float) -> str:
    """One horizontal bar a row, from 0 to most, with a whisker from low to high."""
    room, height = WIDTH - _LABEL - _RIGHT, _ROW * len(rows) + 6
    drawn = [_opened(title, height)]
    for place, row in enumerate(rows):
        y = place * _ROW + 4
        drawn.append(f'<text class="label" x="{_LABEL - 8}" y="{y + 12}" text-anchor="end">{escape(row.label)}</text>')
        if row.value is not None:
            drawn.append(
                f'<rect class="{row.kind}" x="{_LABEL}" y="{y}" width="{_x(row.value, most, room):.1f}" height="15"/>'
            )
        if row.low is not None and row.high is not None:
            left, right = _LABEL + _x(row.low, most, room), _LABEL + _x(row.high, most, room)
            drawn.append(f'<path class="whisker" d="M{left:.1f} {y + 7.5}H{right:.1f}M{left:.1f} {y + 3}v9')
            drawn.append(f'M{right:.1f} {y + 3}v9"/>')
        drawn.append(f'<text class="said" x="{WIDTH - _RIGHT + 8}" y="{y + 12}">{escape(row.said)}</text>')
    return "".join([*drawn, "</svg>"])


@dataclass(frozen=True, slots=True)
class Mark:
    """A vertical line at x, in the chart's own unit."""

    x: float
    label: str


def line(
    title: str, points: Sequence[tuple[float, float | None]], marks: Sequence[Mark] = (), *, limit: float | None = None
) -> str:
    """A line through the points that have a value; gaps stay gaps. limit: a horizontal one."""
    width, height, left, top = 340, 140, 44, 24
    known = [value for _, value in points if value is not None] + ([] if limit is None else [limit])
    if not known:
        return _opened(title, 20, width) + f'<text class="label" x="4" y="14">{escape(title)}: no samples</text></svg>'
    xs = [x for x, _ in points]
    low_x, span_x = min(xs), max(max(xs) - min(xs), 1e-9)
    top_y = max(max(known) * 1.08, 1e-9)

    def at(x: float, y: float) -> tuple[float, float]:
        return left + (x - low_x) / span_x * (width - left - 8), top + (1 - y / top_y) * (height - top - 18)

    drawn = [_opened(title, height, width), f'<text class="label" x="4" y="11">{escape(title)}</text>']
    for mark in marks:
        x, _ = at(min(max(mark.x, low_x), low_x + span_x), 0.0)
        drawn.append(f'<path class="mark" d="M{x:.1f} {top}V{height - 18}"/>')
        drawn.append(f'<text class="tick" x="{x + 2:.1f}" y="{top + 8}">{escape(mark.label)}</text>')
    if limit is not None:
        _, y = at(low_x, limit)
        drawn.append(f'<path class="limit" d="M{left} {y:.1f}H{width - 8}"/>')
    drawn.append(f'<path class="line" d="{_path(points, at)}"/>')
    for value in (0.0, top_y):
        _, y = at(low_x, value)
        drawn.append(f'<text class="tick" x="{left - 4}" y="{y + 3:.1f}" text-anchor="end">{_short(value)}</text>')
    ends = ((low_x, "start"), (low_x + span_x, "end"))
    for x, anchor in ends:
        drawn.append(f'<text class="tick" x="{at(x, 0)[0]:.1f}" y="{height - 6}" text-anchor="{anchor}">{x:.0f}</text>')
    return "".join([*drawn, "</svg>"])


def _path(points: Sequence[tuple[float, float | None]], at: Callable[[float, float], tuple[float, float]]) -> str:
    steps, pen_up = [], True
    for x, value in points:
        if value is None:
            pen_up = True
            continue
        px, py = at(x, value)
        steps.append(f"{'M' if pen_up else 'L'}{px:.1f} {py:.1f}")
        pen_up = False
    return "".join(steps)


def _short(value: float) -> str:
    """Three digits, and a letter for thousands and above: there is room for no more."""
    for letter, scale in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= scale:
            return f"{value / scale:.3g}{letter}"
    return f"{value:.3g}"


def _x(value: float, most: float, room: int) -> float:
    return max(0.0, min(1.0, value / most if most else 0.0)) * room


def _opened(title: str, height: int, width: int = WIDTH) -> str:
    return f'<svg role="img" viewBox="0 0 {width} {height}" width="{width}"><title>{escape(title)}</title>'
