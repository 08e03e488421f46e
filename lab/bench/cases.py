"""Cases for root-cause ranking: read from folders, cut from normal periods, or generated with a known cause."""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from array import array
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from causal.graph import ServiceGraph
from causal.series import Frame, UnusableInput

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Case:
    """`cause`: the service at fault, None when there is none or it is not known. Times are epoch seconds."""

    name: str
    system: str
    frame: Frame
    inject_time: float | None
    alert_time: float | None
    target: str | None
    graph: ServiceGraph
    cause: str | None = None
    fault: str | None = None
    cause_metric: str | None = None


def read_case(folder: Path) -> Case:
    """A folder with metrics.csv or metrics.csv.gz and case.json. Raises UnusableInput with one line that says what."""
    try:
        return _case(folder)
    except UnusableInput as error:
        raise UnusableInput(f"{folder.name}: {error}") from error


def _case(folder: Path) -> Case:
    frame = _read_metrics(folder)
    try:
        described = json.loads((folder / "case.json").read_text(encoding="utf-8"))
    except OSError as error:
        raise UnusableInput(f"case.json cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UnusableInput("case.json is not JSON") from error
    if not isinstance(described, dict):
        raise UnusableInput("case.json is not an object")
    return Case(
        name=folder.name,
        system=folder.resolve().parent.name,
        frame=frame,
        inject_time=_time(described, "inject_time"),
        alert_time=_time(described, "alert_time"),
        target=_text(described, "target"),
        graph=_graph(described.get("graph")),
        cause=_text(described, "root_cause_service"),
        fault=_text(described, "fault_type"),
        cause_metric=_text(described, "root_cause_metric"),
    )


def _read_metrics(folder: Path) -> Frame:
    plain, packed = folder / "metrics.csv", folder / "metrics.csv.gz"
    try:
        if plain.exists():
            with plain.open(encoding="utf-8", newline="") as lines:
                return _table(lines)
        with gzip.open(packed, "rt", encoding="utf-8", newline="") as lines:
            return _table(lines)
    except FileNotFoundError as error:
        raise UnusableInput("there is no metrics.csv or metrics.csv.gz") from error
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise UnusableInput(f"the metrics cannot be read: {error}") from error


def _table(lines: Iterator[str]) -> Frame:
    rows = csv.reader(lines)
    head = next(rows, [])
    if "time" not in head:
        raise UnusableInput("there is no column named time")
    if len(set(head)) != len(head):
        raise UnusableInput("two columns have the same name")
    flat = array("d")
    for row in rows:
        if row and len(row) != len(head):
            raise UnusableInput(f"a row has {len(row)} cells, the head {len(head)}")
        flat.extend(_number(cell) for cell in row)
    table = np.frombuffer(flat, dtype=np.float64).reshape(-1, len(head))
    at = head.index("time")
    return Frame.from_columns(table[:, at], {name: table[:, j] for j, name in enumerate(head) if j != at})


def _number(cell: str) -> float:
    if not cell:
        return np.nan
    try:
        return float(cell)
    except ValueError:
        raise UnusableInput(f"{cell[:40]!r} is not a number") from None


def _time(described: dict[str, Any], key: str) -> float | None:
    value = described.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise UnusableInput(f"{key} is not a time in epoch seconds")
    return float(value)


def _text(described: dict[str, Any], key: str) -> str | None:
    value = described.get(key)
    if value is not None and not isinstance(value, str):
        raise UnusableInput(f"{key} is not a text")
    return value or None


def _graph(edges: object) -> ServiceGraph:
    if edges is None:
        return ServiceGraph()
    pair = 2
    if not isinstance(edges, list) or not all(
        isinstance(edge, list) and len(edge) == pair and all(isinstance(end, str) for end in edge) for edge in edges
    ):
        raise UnusableInput("graph is not a list of [caller, callee]")
    return ServiceGraph.from_edges(edges)


def fault_free(case: Case, *, windows: int = 6) -> list[Case]:
    """The same system without its fault: cuts of its normal period that end in as many samples as the fault had.

    Where they end is drawn by the case's name, since cases of one system often share their normal period.
    """
    if case.inject_time is None:
        return []
    frame = case.frame
    normal = int(np.searchsorted(frame.times, case.inject_time))
    width = max(1, min(len(frame.times) - normal, normal // 4))
    draw = np.random.default_rng(zlib.crc32(case.name.encode()))
    ends = np.unique(draw.integers(normal // 2, normal + 1, windows))
    return [
        replace(
            case,
            name=f"{case.name}@{end}",
            frame=frame.rows(0, int(end)),
            inject_time=float(frame.times[end - width]),
            alert_time=None,
            cause=None,
            fault=None,
        )
        for end in ends
        if end > 2 * width
    ]
