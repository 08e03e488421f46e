"""What an incident says of itself in sentences. Built by code from facts; nothing here is a text from outside."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, assert_never

from agent.incident import ExecutionState, IncidentState
from service.pages.chart import unit_in
from service.pages.text import clock, moment, number, shown, size, span
from service.steps.causes import SIGNAL

if TYPE_CHECKING:
    from collections.abc import Mapping

Tone = Literal["waiting", "running", "good", "wrong", "quiet"]
NAME_CHARS = 80

_SLOW = re.compile(r"slow|latency|duration|timeout|p9[059]", re.IGNORECASE)
_FAILING = re.compile(r"error|fail|5xx|unavailable|down", re.IGNORECASE)
_OVER = frozenset({IncidentState.RESOLVED, IncidentState.SELF_RESOLVED, IncidentState.CLOSED})


@dataclass(frozen=True, slots=True)
class Badge:
    """A state as an icon and words. icon: a name in icons.html."""

    icon: str
    words: str
    tone: Tone


def badge(state: str, outcome: str | None, percent: float | None = None) -> Badge:
    """percent: of the phase that runs; None when nobody knows."""
    current = IncidentState(state)
    match current:
        case IncidentState.RECEIVED:
            return Badge("dot", "Received", "quiet")
        case IncidentState.INVESTIGATING:
            return Badge("search", "Looking for the cause", "running")
        case IncidentState.AWAITING_APPROVAL:
            return Badge("clock", "Waiting for a decision", "waiting")
        case IncidentState.EXECUTING:
            return Badge("play", "Running" if percent is None else f"Running, {percent:.0f} % of this phase", "running")
        case IncidentState.VERIFYING:
            return Badge("search", "Checking that it recovered", "running")
        case IncidentState.NEEDS_HUMAN:
            return Badge("alert", "Needs a human", "wrong")
        case IncidentState.RESOLVED:
            return Badge("check", "Recovered, verified", "good")
        case IncidentState.SELF_RESOLVED:
            return Badge("dot", "Over by itself", "quiet")
        case IncidentState.CLOSED:
            return Badge("dot", f"Closed: {outcome.replace('_', ' ')}" if outcome else "Closed", "quiet")
        case _:
            assert_never(current)


def heading(whole: Mapping[str, Any]) -> str:
    """One sentence that says the cause, or that there is none yet."""
    over = IncidentState(whole["state"]) in _OVER
    felt = _capital(_felt(whole, over=over))
    cause = whole["cause"]
    if cause is not None:
        return f"{felt} because {_because(whole, cause, over=over)}"
    if whole["state"] in {IncidentState.RECEIVED, IncidentState.INVESTIGATING}:
        return f"{felt}; the cause is being looked for"
    return f"{felt}; the cause {'was' if over else 'is'} not established"


def _felt(whole: Mapping[str, Any], *, over: bool) -> str:
    service = shown(whole["service"] or "A service", NAME_CHARS)
    name = whole["labels"].get("alertname", "")
    if _SLOW.search(name):
        return f"{service} {'was' if over else 'is'} slow"
    if _FAILING.search(name):
        return f"{service} {'failed' if over else 'fails'}"
    return f"{service} {'alerted' if over else 'alerts'}"


def _because(whole: Mapping[str, Any], cause: Mapping[str, Any], *, over: bool) -> str:
    target = shown(whole["target"] or "the database", NAME_CHARS)
    is_, has = ("was", "had") if over else ("is", "has")
    match cause["id"]:
        case "missing_index":
            return f"{_relation(whole) or target} {'lacked' if over else 'lacks'} an index"
        case "stale_statistics":
            return f"{target} {'planned' if over else 'plans'} with stale statistics"
        case "lock_contention":
            return f"sessions in {target} {'waited' if over else 'wait'} for locks"
        case "connections_exhausted":
            return f"{target} {has} no connection left"
        case "traffic_surge":
            return f"there {is_} more traffic than before"
        case "recent_change":
            return "of a recent change"
        case "downstream_service":
            return "a service it depends on is in trouble" if not over else "a service it depends on was in trouble"
        case _:
            return f"of: {shown(cause['title'], NAME_CHARS)}"


def _relation(whole: Mapping[str, Any]) -> str | None:
    params = (whole["proposal"] or {}).get("params", {})
    return shown(f"{params['schema']}.{params['table']}", NAME_CHARS) if {"schema", "table"} <= set(params) else None


def _capital(sentence: str) -> str:
    """Service names are lower case more often than not; a sentence is not."""
    return sentence[:1].upper() + sentence[1:]


def _unit(whole: Mapping[str, Any]) -> str:
    unit = unit_in(((whole["proposal"] or {}).get("verification") or {}).get("expr") or "")
    return f" {unit}" if unit else ""


def lines(whole: Mapping[str, Any]) -> tuple[str, ...]:
    """Under the heading: what is felt and since when, how sure the cause is, what has been changed."""
    return (_impact(whole), _certainty(whole), changed(whole))


def _impact(whole: Mapping[str, Any]) -> str:
    ranking = whole["ranking"] or {}
    service, said = whole["service"], []
    signal = next(
        (one for one in ranking.get("metrics", ()) if (one["service"], one["metric"]) == (service, SIGNAL)), None
    )
    if signal is not None:
        said.append(
            f"The alert's own signal went from {number(signal['before'])} to {number(signal['during'])}{_unit(whole)}."
        )
    began = whole["milestones"].get("impact_start")
    if began is not None:
        change = ranking.get("change")
        give = f", give or take {span(max(1.0, (change['high'] - change['low']) / 2))}" if change else ""
        said.append(f"It began at {clock(began)} UTC{give}.")
    restored = whole["milestones"].get("restored")
    if restored is not None and began is not None:
        said.append(f"Restored after {span((moment(restored) - moment(began)).total_seconds())}.")
    return " ".join(said) or "When it began is not known yet."


def _certainty(whole: Mapping[str, Any]) -> str:
    cause = whole["cause"]
    if cause is None:
        return shown(whole["why"]) if whole["why"] else f"{len(whole['evidence'])} checks answered so far."
    belief = next((one for one in whole["causes"] if one["id"] == cause["id"]), None)
    between = ""
    if belief is not None and belief["low"] is not None:
        between = f" ({belief['low']:.2f} to {belief['high']:.2f} with any one check left out)"
    why = f" {shown(whole['why'])}" if whole["state"] == IncidentState.NEEDS_HUMAN and whole["why"] else ""
    where = f" It lies in {shown(whole['component'], 80)}." if whole.get("component") else ""
    return f"Stanch is {cause['probability']:.2f} sure of it{between}.{where}{why}"


def changed(whole: Mapping[str, Any]) -> str:
    """What Stanch did to the target, in one sentence."""
    runs = whole["executions"]
    if not runs:
        return "Nothing has been changed."
    last, state = runs[-1], ExecutionState(runs[-1]["state"])
    what = "The way back" if last["phase"] == "rollback" else "The approved command"
    match state:
        case ExecutionState.AUTHORISED:
            return f"{what} is approved and about to start."
        case ExecutionState.STARTED | ExecutionState.ABORTING | ExecutionState.ROLLING_BACK:
            return f"{what} is running."
        case ExecutionState.FINISHED:
            return f"{what} has run: {shown(last['detail'] or 'done')}."
        case ExecutionState.ROLLED_BACK:
            return f"What was changed has been taken back: {shown(last['detail'] or 'done')}."
        case ExecutionState.FAILED:
            return f"{what} failed: {shown(last['detail'] or 'no detail')}."
        case ExecutionState.ABORTED:
            return f"Nothing has been changed: {shown(last['detail'] or 'it did not start')}."
        case ExecutionState.UNKNOWN:
            return f"What became of it is not known; the target is being asked: {shown(last['detail'] or '')}"
        case _:
            assert_never(state)


def amount_of(table: Mapping[str, Any]) -> str:
    """How big a table is, as the target says."""
    rows = "rows not known" if table["rows"] is None else f"{table['rows']:,} rows"
    return f"{rows}, {size(table['bytes'])}"
