"""The incident page: view.whole, put into the order in which a person reads it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

import orjson

from agent.expression import signal_of
from agent.incident import OPEN_STATES, ExecutionState, IncidentState, Milestone
from agent.runbook.pinned import skill_of
from guardrails.audit import seal
from guardrails.canonical import UnusableDocument
from service import view
from service.loops import audit_row
from service.pages import chart, decision, sentence, similar
from service.pages.graph import graph
from service.pages.text import moment, shown
from service.routes.incidents import titles

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent.incident import Incident
    from connectors.store.store import Transaction
    from service.context import Context
    from service.identity import Person

SHARED_AGE_S = 1.0
"""Each change has a key of its own; this long may the time that is left be old."""

PANELS_AGE_S = 300.0
"""Nothing of them grows old; they are forgotten."""

BUILD_PHASES = (
    ("initializing", "prepare"),
    ("waiting for writers before build", "wait for writers"),
    ("building index", "build"),
    ("waiting for writers before validation", "wait for writers"),
    ("index validation", "validate"),
    ("waiting for old snapshots", "wait for old snapshots"),
    ("waiting for readers", "finish"),
)
"""Phases of CREATE INDEX CONCURRENTLY as pg_stat_progress_create_index names them (first words), and ours."""


PARTS = (
    "head", "progress", "decision", "verification", "evidence", "checks", "why", "timeline", "similar", "hidden",
    "alerts",
)  # fmt: skip
"""Templates that change with an event."""


def read(tx: Transaction, held: Context, incident: Incident, person: Person) -> dict[str, Any]:
    """Everything the templates of one incident need."""
    values = together(tx, held, incident)
    return as_seen(values, standing(values, person))


def together(tx: Transaction, held: Context, incident: Incident) -> dict[str, Any]:
    """What is the same for everybody; put together once for the many pages that one event makes ask."""
    latest = (tx.one("latest_audit_of", incident=incident.id) or {}).get("id") or 0
    key = ("incident", incident.id, incident.version, latest)
    shared: dict[str, Any] = held.recent.get(key, SHARED_AGE_S, lambda: _shared(tx, held, incident))
    control = tx.one("control")
    paused = control if control is not None and control["paused"] else None
    return {**shared, "paused": paused, "version": latest}


def standing(values: Mapping[str, Any], person: Person) -> decision.Standing:
    """All that the page says differently to different people, but for the token of its forms."""
    return decision.standing(values["incident"]["proposal"], person)


def as_seen(values: Mapping[str, Any], by: decision.Standing) -> dict[str, Any]:
    return {**values, "card": decision.card(values["incident"], values["advice"], by, values["paused"])}


def _shared(tx: Transaction, held: Context, incident: Incident) -> dict[str, Any]:
    whole = with_changes(tx, held, incident)
    return arrange(whole) | _panels(held, whole) | {
        "advice": _advice(tx, held, incident, whole["proposal"]),
        "graph": graph(whole, held.ports.configuration.graph),
        "similar": similar.remembered(tx, held.ports, incident),
        "told": told(whole),
        "sealed": sealed(tx, incident),
        "revisions": [{**row, "created_at": row["created_at"].isoformat()}
                      for row in tx.all("proposal_revisions", incident=incident.id)],
    }  # fmt: skip


def with_changes(tx: Transaction, held: Context, incident: Incident) -> dict[str, Any]:
    """view.whole, and what was changed round the impact."""
    whole = view.whole(tx, incident, held.ports.configuration, titles(held, incident))
    return whole | {"changes": changes(tx, incident)}


def revision(tx: Transaction, held: Context, incident: Incident, person: Person, number: int) -> dict[str, Any] | None:
    """A revision of the fix as its own card. None: there is none of this number."""
    found = view.proposal(tx, incident, held.ports.configuration, revision=number)
    if found is None:
        return None
    advice = _advice(tx, held, incident, found)
    revisions = tx.all("proposal_revisions", incident=incident.id)
    return {
        "incident": view.brief(incident),
        "card": decision.card({"proposal": found}, advice, decision.standing(found, person), None),
        "newest": revisions[0]["revision"],
    }


def arrange(whole: dict[str, Any]) -> dict[str, Any]:
    """Pure: the same values give the same page."""
    progress = running(whole)
    return {
        "incident": whole,
        "live": IncidentState(whole["state"]) in OPEN_STATES,
        "heading": sentence.heading(whole),
        "lines": sentence.lines(whole),
        "badge": sentence.badge(whole["state"], whole["outcome"], progress["percent"] if progress else None),
        "progress": progress,
        "hidden": hidden(whole),
    }


def _panels(held: Context, whole: Mapping[str, Any]) -> dict[str, Any]:
    """The charts, which cost more than all the rest: drawn anew when there is other evidence or another mark."""
    evidence, check = evidence_drawn(whole), verification_drawn(whole)
    key = ("panels", whole["id"], tuple(one["sha256"] for one in whole["evidence"]), evidence[1], check[1])

    def make() -> dict[str, Any]:
        return {"evidence": chart.panel(*evidence), "check_plot": chart.panel(*check)}

    found: dict[str, Any] = held.recent.get(key, PANELS_AGE_S, make)
    return found


def _advice(tx: Transaction, held: Context, incident: Incident, proposal: Mapping[str, Any] | None) -> dict[str, Any]:
    """What the check measured that gave the proposal its parameters. Empty when there is none."""
    skill = skill_of(held.ports.skills, incident)
    if proposal is None or skill is None:
        return {}
    names = {fix.params_from for fix in skill.remediations if fix.action == proposal["action"]}
    rows = [row for row in tx.all("evidence", incident=incident.id) if row["name"] in names]
    found: dict[str, Any] = orjson.loads(bytes(rows[-1]["body"])) if rows else {}
    return found


def _expression(whole: Mapping[str, Any]) -> str | None:
    rule: Mapping[str, Any] = (whole["proposal"] or {}).get("verification") or whole["verification"] or {}
    expr: str | None = rule.get("expr")
    return expr


Drawn: TypeAlias = "tuple[Sequence[Mapping[str, Any]], chart.Marks]"
"""Series with what is drawn over them: the server's drawing and the script's come from the same."""


def evidence_drawn(whole: Mapping[str, Any]) -> Drawn:
    ranking = whole["ranking"] or {}
    change = ranking.get("change")
    expr = _expression(whole)
    signal = signal_of(expr) if expr else None
    marks = chart.Marks(
        anomaly_from=change["time"] if change else None,
        threshold=signal.threshold if signal else None,
        signal_unit=chart.unit_in(expr or ""),
        bands=_runs(whole),
        events=tuple((moment(one["at"]).timestamp(), _deploy(one)) for one in whole.get("changes", ())),
    )
    return ranking.get("series", ()), marks


def _deploy(change: Mapping[str, Any]) -> str:
    return shown(" ".join(part for part in (change["service"], change["version"]) if part), 40)


def _runs(whole: Mapping[str, Any]) -> tuple[tuple[float, float, str], ...]:
    return tuple(
        (moment(one["started_at"]).timestamp(), moment(one["finished_at"]).timestamp(), one["phase"])
        for one in whole["executions"]
        if one["started_at"] and one["finished_at"]
    )


def verification_drawn(whole: Mapping[str, Any]) -> Drawn:
    """The alert's signal round the fix. Of several series the worst at each time: all of them have to recover."""
    found = whole["verification"]
    series = (found or {}).get("series") or ()
    if found is None or not series:
        return (), chart.Marks()
    signal = signal_of(found["expr"]) if found["expr"] else None
    worst = min if signal is not None and signal.comparison in {"<", "<="} else max
    values: dict[float, list[float]] = {}
    for one in series:
        for at, value in zip(one["times"], one["values"], strict=False):
            if value is not None:
                values.setdefault(at, []).append(value)
    times = sorted(values)
    one = {
        "name": f"{whole['service'] or 'service'}|alert signal",
        "times": times,
        "values": [worst(values[at]) for at in times],
    }
    unit = chart.unit_in(found["expr"] or "")
    return [one], chart.Marks(threshold=found["threshold"], signal_unit=unit, bands=_runs(whole))


def running(whole: Mapping[str, Any]) -> dict[str, Any] | None:
    """Where the execution that is under way stands. percent None: nobody knows, and no figure is made up."""
    current = next((one for one in reversed(whole["executions"]) if one["finished_at"] is None), None)
    if current is None:
        return None
    lost = current["state"] == ExecutionState.UNKNOWN
    progress = {} if lost else current["progress"] or {}
    phase = progress.get("phase") or ("about to start" if current["started_at"] is None else "started")
    if lost:
        phase = "contact lost: the target is asked what became of it"
    at = next((index for index, (name, _) in enumerate(BUILD_PHASES) if phase.startswith(name)), None)
    return {
        "what": current["phase"],
        "state": current["state"],
        "phase": phase,
        "percent": progress.get("percent"),
        "done": progress.get("done"),
        "total": progress.get("total") or None,
        "unit": progress.get("unit"),
        "blocked_by": progress.get("blocked_by"),
        "started_at": current["started_at"],
        "steps": () if at is None else tuple(
            {"name": ours, "done": index < at, "now": index == at} for index, (_, ours) in enumerate(BUILD_PHASES)
        ),
    }  # fmt: skip


# --- What is read beside the incident itself ------------------------------------------------------------------------

CHANGES_BEFORE = timedelta(hours=1)
CHANGES_AFTER = timedelta(minutes=5)
MOST_CHANGES = 20
MOST_SEALS = 1000


def changes(tx: Transaction, incident: Incident) -> list[dict[str, Any]]:
    """Deploys and other changes round the impact, oldest first."""
    began = incident.milestones.get(Milestone.IMPACT_START, incident.opened_at)
    rows = tx.all("changes_between", start=began - CHANGES_BEFORE, end=began + CHANGES_AFTER)
    return [{**row, "at": row["at"].isoformat()} for row in rows[-MOST_CHANGES:]]


def told(whole: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The timeline in order of time: what Stanch noted, what was changed, and when the impact began."""
    lines = [{**one, "kind": "noted"} for one in whole["timeline"]]
    lines += [
        {"kind": "changed", "id": one["id"], "at": one["at"], "service": one["service"], "version": one["version"],
         "note": one["summary"]}
        for one in whole["changes"]
    ]  # fmt: skip
    began = whole["milestones"].get("impact_start")
    if began is not None:
        lines.append({"kind": "began", "at": began})
    return sorted(lines, key=lambda one: moment(one["at"]))


def sealed(tx: Transaction, incident: Incident) -> dict[str, Any]:
    """This incident's part of the audit chain: rows that are sealed, and those whose content is not what was sealed."""
    rows = tx.all("seals_of", incident=incident.id, limit=MOST_SEALS)
    return {"rows": len(rows), "edited": [row["seq"] for row in rows if not _as_sealed(row)]}


def _as_sealed(row: Mapping[str, Any]) -> bool:
    try:
        return seal(row["prev"], audit_row(row["seq"], dict(row))) == str(row["hash"])
    except UnusableDocument:
        return False


def hidden(whole: Mapping[str, Any]) -> tuple[str, ...]:
    """What Stanch could not see, and why: part of the answer, not a footnote."""
    checks = [
        f"{one['check'].replace('_', ' ')}: {one['summary']}"
        for one in whole["evidence"]
        if one["status"] == "not_visible"
    ]
    named = {one["check"] for one in whole["evidence"] if one["status"] == "not_visible"}
    unanswered = [f"{name.replace('_', ' ')}: no answer" for name in whole["not_visible"] if name not in named]
    services = [f"{name}: no series to judge" for name in (whole["ranking"] or {}).get("not_visible", ())]
    target = [
        f"{one['what']}: {one['why']}" for one in ((whole["proposal"] or {}).get("facts") or {}).get("not_visible", ())
    ]
    return tuple(dict.fromkeys((*checks, *unanswered, *services, *target)))
