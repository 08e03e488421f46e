"""The causal graph of an incident as nodes and edges, for the drawing and for the list beside it."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from service.pages.text import number, shown, words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MOST_NODES = 14
NAME_CHARS = 28
NOTE_CHARS = 34


def graph(whole: Mapping[str, Any], calls: Sequence[tuple[str, str]]) -> dict[str, Any] | None:
    """Services and what they do to one another, cause first. calls: (caller, callee); an effect goes the other way.

    None: no path from a cause to the alert is known. Edge kinds: strong (on the way from the likely cause to the
    alert), rejected (at a service that was looked at and ruled out), plain.
    """
    ranking = whole["ranking"] or {}
    paths = ranking.get("paths") or ()
    if not paths:
        return None
    way = list(reversed(paths[0]))
    ruled = {out["service"]: out["why"] for out in ranking.get("ruled_out", ()) if out["service"] not in way}
    ranked = [one["service"] for one in ranking.get("services", ())]
    names = list(dict.fromkeys((*way, *(name for path in paths[1:] for name in path), *ranked, *ruled)))[:MOST_NODES]
    likely = {one["service"]: one["probability"] for one in ranking.get("services", ())}
    ids = {name: f"n{index}" for index, name in enumerate(names)}
    nodes = [_node(name, way, ruled, likely, _loudest(ranking)) | {"id": ids[name]} for name in names]
    edges = _edges(names, way, ruled, calls)
    drawn = [{"from": ids[start], "to": ids[end], "kind": kind} for start, end, kind in edges]
    return {"nodes": nodes, "edges": drawn}


def _loudest(ranking: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The most unusual series of each service."""
    found: dict[str, Mapping[str, Any]] = {}
    for one in ranking.get("metrics", ()):
        found.setdefault(one["service"], one)
    return found


def _node(
    name: str,
    way: Sequence[str],
    ruled: Mapping[str, str],
    likely: Mapping[str, float],
    loudest: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    cause, alert, out = name == way[0], name == way[-1], name in ruled
    metric, moved = ("", "") if out else _moved(loudest.get(name))
    return {
        "name": shown(name, NAME_CHARS),
        "note": f"{metric} {moved}"
        if moved
        else "ruled out"
        if out
        else "likely cause"
        if cause
        else "nothing unusual",
        "moved": moved,
        "why": shown(ruled[name]) if out else "",
        "probability": likely.get(name),
        "kind": "cause" if cause else "alert" if alert else "out" if out else "plain",
    }


def _moved(metric: Mapping[str, Any] | None) -> tuple[str, str]:
    """The metric, and from what to what it moved: the end of the note, which a drawing may put on a line of its own."""
    if metric is None:
        return "", ""
    return shown(words(metric["metric"]), NOTE_CHARS), f"{number(metric['before'])} to {number(metric['during'])}"


def _edges(
    names: Sequence[str], way: Sequence[str], ruled: Mapping[str, str], calls: Sequence[tuple[str, str]]
) -> list[tuple[str, str, str]]:
    strong = set(pairwise(way))
    effects = dict.fromkeys((*strong, *((callee, caller) for caller, callee in calls)))
    found = []
    for start, end in effects:
        if start in names and end in names and start != end:
            kind = "strong" if (start, end) in strong else "rejected" if {start, end} & set(ruled) else "plain"
            found.append((start, end, kind))
    # One that was ruled out and calls nobody here still shows what it was asked about.
    drawn = {name for start, end, _ in found for name in (start, end)}
    alone = [name for name in names if name in ruled and name not in drawn]
    found += [(name, way[-1], "rejected") for name in alone]
    return found
