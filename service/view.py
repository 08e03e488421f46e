"""An incident as the API and the pages show it: one read of the store, JSON-ready."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from agent.postmortem import durations_s
from agent.runbook.skill import first_service

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.incident import Incident
    from connectors.store.store import Row, Transaction
    from service.configuration import Configuration

CITED_CHARS = 400


def brief(incident: Incident, updated_at: Any = None) -> dict[str, Any]:
    """One line of a list."""
    conclusion = incident.working.conclusion
    return {
        "id": incident.key,
        "title": incident.title,
        "state": incident.state,
        "outcome": incident.outcome,
        "service": incident.service,
        "severity": incident.severity,
        "target": incident.target,
        "mode": incident.mode,
        "skill": incident.skill,
        "cause": None if conclusion is None else {"id": conclusion.cause, "title": conclusion.title,
                                                  "probability": round(conclusion.probability, 4)},
        "opened_at": incident.opened_at.isoformat(),
        "updated_at": updated_at.isoformat() if updated_at else None,
        "milestones": {str(name): at.isoformat() for name, at in incident.milestones.items()},
        "seconds": durations_s(incident.milestones),
    }  # fmt: skip


def whole(tx: Transaction, incident: Incident, configuration: Configuration, titles: dict[str, str]) -> dict[str, Any]:
    """Everything a page or a script needs to decide. titles: cause id to its words, from the skill."""
    working = incident.working
    conclusion = working.conclusion
    rows = tx.all("evidence", incident=incident.id)
    ranking = _body_of(rows, "causal")
    return {
        **brief(incident),
        "component": component(incident, ranking),
        "labels": dict(incident.labels),
        "annotations": dict(incident.annotations),
        "why": working.why,
        "causes": [
            {
                "id": name,
                "title": titles.get(name, name.replace("_", " ")),
                "probability": round(p, 4),
                "low": round(conclusion.low, 4) if conclusion and conclusion.cause == name else None,
                "high": round(conclusion.high, 4) if conclusion and conclusion.cause == name else None,
            }
            for name, p in sorted(working.beliefs.items(), key=lambda one: -one[1])
        ],
        "not_visible": sorted(name for name, answer in working.answered.items() if answer.status == "not_visible"),
        "checks_under_way": list(working.pending),
        "evidence": [evidence_line(row) for row in rows],
        "ranking": ranking,
        "attribution": _named(rows, "attribution"),
        "verification": _named(rows, "verification"),
        "proposal": proposal(tx, incident, configuration),
        "executions": [execution(row) for row in tx.all("executions", incident=incident.id)],
        "alerts": [alert(row) for row in tx.all("alerts", incident=incident.id)],
        "timeline": timeline(tx, incident.id),
        "postmortem": _postmortem(tx, incident.id),
    }


def component(incident: Incident, ranking: Mapping[str, Any] | None) -> str | None:
    """Where the cause lies that was concluded: a service or the target. ranking: the causal check's data, in which
    `ranked` finds the service it puts first. None: nothing was concluded, or nobody can say.
    """
    conclusion = incident.working.conclusion
    if conclusion is None:
        return None
    match conclusion.component:
        case "target":
            return incident.target
        case "ranked":
            return first_service((ranking or {}).get("services") or (), incident.target)
        case _:
            return incident.service


def evidence_line(row: Row) -> dict[str, Any]:
    return {
        "id": f"E{row['id']}",
        "check": row["name"],
        "tool": row["tool"],
        "status": row["status"],
        "summary": row["summary"],
        "sha256": row["sha256"],
        "at": row["at"].isoformat(),
    }


def evidence_whole(row: Row) -> dict[str, Any]:
    return {**evidence_line(row), "data": orjson.loads(bytes(row["body"]))}


def _body_of(rows: list[Row], tool: str) -> dict[str, Any] | None:
    """The newest body of a tool's check that is not the attribution."""
    found = [row for row in rows if row["tool"] == tool and row["name"] != "attribution"]
    body: dict[str, Any] | None = orjson.loads(bytes(found[-1]["body"])) if found else None
    return body or None


def _named(rows: list[Row], name: str) -> dict[str, Any] | None:
    found = [row for row in rows if row["name"] == name]
    return {"summary": found[-1]["summary"], **orjson.loads(bytes(found[-1]["body"]))} if found else None


def proposal(
    tx: Transaction, incident: Incident, configuration: Configuration, *, revision: int | None = None
) -> dict[str, Any] | None:
    """The newest revision, or the one asked for, with its approval. approval null: nothing waits for a decision (mode
    propose).
    """
    row = (
        tx.one("latest_proposal", incident=incident.id)
        if revision is None
        else tx.one("proposal_of", incident=incident.id, revision=revision)
    )
    if row is None:
        return None
    approval = tx.one("approval_for_proposal", proposal=row["id"])
    verdict = row["verdict"]
    target = configuration.targets.get(row["target"])
    return {
        "id": str(row["id"]),
        "revision": row["revision"],
        "digest": row["digest"],
        "action": row["action"],
        "params": row["params"],
        "target": row["target"],
        "environment": target.environment if target else None,
        "identity": row["document"]["target"]["identity"],
        "command": row["command"],
        "cleanup": row["cleanup"],
        "rollback": row["rollback"],
        "locks": verdict["locks"],
        "risk": verdict["risk"],
        "findings": verdict["findings"],
        "facts": row["facts"],
        "verification": row["document"]["verification"],
        "proposed_by": row["proposed_by"],
        "channels": sorted(configuration.rules.channels(verdict["risk"])),
        "approvers_needed": row["approvers_needed"],
        "approvers": [one.person for one in configuration.rules.approvers if one.covers(row["target"])],
        "decide_by": row["decide_by"].isoformat(),
        "start_by": row["start_by"].isoformat(),
        "approval": None if approval is None else _approval(tx, approval),
    }


def _approval(tx: Transaction, row: Row) -> dict[str, Any]:
    return {
        "id": str(row["id"]),
        "state": row["state"],
        "escalated_at": row["escalated_at"].isoformat() if row["escalated_at"] else None,
        "seconds_left": max(0.0, round((row["decide_by"] - row["now"]).total_seconds(), 1)),
        "decisions": [
            {"person": one["person"], "decision": one["decision"], "reason": one["reason"],
             "channel": one["channel"], "at": one["at"].isoformat()}
            for one in tx.all("decisions", approval=row["id"])
        ],
    }  # fmt: skip


def execution(row: Row) -> dict[str, Any]:
    result = row["result"] or {}
    return {
        "id": str(row["id"]),
        "phase": row["phase"],
        "state": row["state"],
        "progress": row["progress"],
        "detail": result.get("detail"),
        "started_at": row["started_at"].isoformat() if row["started_at"] else None,
        "finished_at": row["finished_at"].isoformat() if row["finished_at"] else None,
        # The command itself, by the executor's clock round the statement; null for what was adopted or did not run.
        "command_started_at": result.get("started_at"),
        "command_finished_at": result.get("finished_at"),
    }


def alert(row: Row) -> dict[str, Any]:
    return {
        "fingerprint": row["fingerprint"],
        "status": row["status"],
        "source": row["source"],
        "labels": row["labels"],
        "annotations": row["annotations"],
        "generator_url": row["generator_url"],
        "starts_at": row["starts_at"].isoformat(),
        "ends_at": row["ends_at"].isoformat() if row["ends_at"] else None,
        "seen": row["seen"],
    }


def timeline(tx: Transaction, incident_id: int, *, after: int = 0) -> list[dict[str, Any]]:
    """Audit rows as lines; seal null: not chained yet. Progress has its own place."""
    return [
        {
            "id": row["id"],
            "at": row["at"].isoformat(),
            "actor": row["actor"],
            "action": row["action"],
            "note": row["data"].get("note", ""),
            "from": row["data"].get("from"),
            "to": row["data"].get("to"),
            "seal": row["hash"],
        }
        for row in tx.all("audit_of", incident=incident_id, after=after, limit=1000)
        if row["action"] != "Progress"
    ]


def _postmortem(tx: Transaction, incident_id: int) -> dict[str, Any] | None:
    row = tx.one("postmortem", incident=incident_id)
    return {"written_at": row["written_at"].isoformat(), **row["body"]} if row else None
