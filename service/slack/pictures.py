"""The charts of an incident's page as pictures for its thread."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from agent.expression import signal_of
from agent.incident import IncidentState
from connectors.slack.picture import Line, png
from service.pages import chart
from service.pages.text import moment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Picture = tuple[str, str, "Callable[[], bytes | None]"]
"""Its name, its title, and what draws it when it is to be sent."""
SERIES = 3


def of(whole: Mapping[str, Any]) -> Iterator[Picture]:
    """The cause's series once the investigation is over, for the alert's limit comes with the proposal; and the alert's
    own signal round the fix once that was checked.
    """
    ranking = whole["ranking"] or {}
    looking = whole["state"] in {IncidentState.RECEIVED, IncidentState.INVESTIGATING}
    if whole["cause"] is not None and not looking and ranking.get("series"):
        yield "cause", "what moved", partial(_cause, whole, ranking)
    found = whole["verification"]
    if found is not None and found.get("series"):
        yield "check", "before and after the fix", partial(_check, whole, found)


def _cause(whole: Mapping[str, Any], ranking: Mapping[str, Any]) -> bytes | None:
    expr = ((whole["proposal"] or {}).get("verification") or {}).get("expr") or ""
    signal = signal_of(expr) if expr else None
    lines = [
        _line(one, chart.unit_in(expr) if index == 0 else chart.unit_of(str(one["name"]).partition("|")[2]),
              signal.threshold if signal and index == 0 else None)
        for index, one in enumerate(ranking["series"][:SERIES])
    ]  # fmt: skip
    change = ranking.get("change")
    return png(lines, marks=[(change["low"], change["high"])] if change else [])


def _check(whole: Mapping[str, Any], found: Mapping[str, Any]) -> bytes | None:
    unit = chart.unit_in(found["expr"] or "")
    runs = [
        (moment(one["started_at"]).timestamp(), moment(one["finished_at"]).timestamp())
        for one in whole["executions"]
        if one["started_at"] and one["finished_at"]
    ]
    return png([_line(one, unit, found["threshold"]) for one in found["series"][:SERIES]], marks=runs)


def _line(one: Mapping[str, Any], unit: str, threshold: float | None) -> Line:
    samples = chart.reduced(list(zip(one["times"], one["values"], strict=False)))
    return Line(str(one["name"])[:80], [at for at, _ in samples], [value for _, value in samples], unit, threshold)
