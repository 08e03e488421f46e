"""Writes the postmortem to the store and to disk, and moves the skill's evidence counts."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from agent import postmortem as text
from agent.events import PostmortemWritten
from agent.learning.postmortem_evidence import NotLearntFrom, evidence_of
from agent.memory import compress, session
from agent.runbook.pinned import skill_of
from connectors.store.skills import Count, add_count
from connectors.store.store import Row, Transaction, jsonb
from connectors.unreachable import Unreachable
from service.steps import remember

if TYPE_CHECKING:
    from agent.events import Event
    from agent.incident import Incident
    from service.ports import Ports
    from service.steps.runner import Handler, Held, Save

NOT_TOLD = frozenset({"Progress", "VerificationSampled"})
"""Repeated audit rows that a timeline does not repeat."""


def postmortem(ports: Ports) -> Handler:
    def handle(held: Held) -> Save:
        with ports.store.transaction() as tx:
            incident = tx.incident(held.step.incident_id or 0)
            if incident is None:
                raise Unreachable("store", "the incident is gone", permanent=True)
            post = remember.recollected(tx, ports, incident, collect(tx, incident))
            course = session_log(tx, ports, incident, post)
        markdown = text.markdown(post)
        path = write(ports.data_dir / "postmortems", incident.key, markdown, post)
        if course is not None:
            write(ports.data_dir / "sessions", incident.key, course, None)

        def save(tx: Transaction) -> Event:
            tx.run("save_postmortem", incident=incident.id, body=jsonb(post), markdown=markdown)
            counted(tx, incident, post)
            return PostmortemWritten(str(path.relative_to(ports.data_dir)))

        return save

    return handle


def session_log(tx: Transaction, ports: Ports, incident: Incident, post: dict[str, Any]) -> str | None:
    """None where the skill can no longer be read: without it nobody can say why a check was asked."""
    skill = skill_of(ports.skills, incident)
    if skill is None:
        return None
    return session.log(post, compress.contract(incident, skill), remember.results(tx, incident, skill))


def counted(tx: Transaction, incident: Incident, post: dict[str, Any]) -> None:
    """Moves the evidence counts by what the postmortem verifies; one that contradicts itself, or whose text holds what
    does not belong there, moves nothing and says why in the incident's history. Twice counts once.
    """
    found = evidence_of(post)
    if isinstance(found, NotLearntFrom):
        if found.kind == "quarantined":
            why = f"nothing is learnt from its postmortem: {found.reason}"
            tx.audit(incident.id, "stanch", "PostmortemQuarantined", {"note": why})
        return
    cause, outcome = found.fix
    origin, pin = incident.service or "", incident.working.pins.get(found.skill)
    add_count(tx, Count(found.skill, cause, "fix", outcome, incident.id, origin, pin))
    for one in found.observations:
        if one.check:
            said = "yes" if one.said_yes else "no"
            add_count(tx, Count(found.skill, one.cause, one.check, said, incident.id, origin, pin))


def collect(tx: Transaction, incident: Incident) -> dict[str, Any]:
    """Everything the store knows of the incident, as the structured postmortem."""
    proposal = tx.one("latest_proposal", incident=incident.id)
    approval = tx.one("approval_for_proposal", proposal=proposal["id"]) if proposal else None
    decisions = tx.all("decisions", approval=approval["id"]) if approval else []
    return text.structured(
        incident,
        timeline=[_told(row) for row in tx.all("audit_of", incident=incident.id, after=0, limit=1000)
                  if row["action"] not in NOT_TOLD or "to" in row["data"]],
        evidence=[
            {"id": row["id"], "name": row["name"], "status": row["status"], "summary": row["summary"],
             "sha256": row["sha256"]}
            for row in tx.all("evidence", incident=incident.id)
        ],
        proposal=None if proposal is None else {
            "action": proposal["action"], "params": proposal["params"], "command": proposal["command"],
            "rollback": proposal["rollback"], "digest": proposal["digest"], "revision": proposal["revision"],
            "locks": proposal["verdict"]["locks"],
        },
        decisions=[{**row, "at": row["at"].isoformat()} for row in decisions],
        executions=[
            {"phase": row["phase"], "state": row["state"], "detail": (row["result"] or {}).get("detail", "")}
            for row in tx.all("executions", incident=incident.id)
        ],
        written_at=tx.now(),
    )  # fmt: skip


def _told(row: Row) -> dict[str, Any]:
    return {
        "at": row["at"].isoformat(),
        "actor": row["actor"],
        "action": row["action"],
        "note": row["data"].get("note", ""),
    }


def write(folder: Path, key: str, markdown: str, post: dict[str, Any] | None) -> Path:
    """The files, each replaced whole: a reader never sees half of one. post None: Markdown only. Raises Unreachable."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if post is not None:
            _replace(folder / f"{key}.json", orjson.dumps(post, option=orjson.OPT_INDENT_2))
        path = folder / f"{key}.md"
        _replace(path, markdown.encode())
    except OSError as error:
        raise Unreachable("postmortem folder", f"{error.strerror}: {folder}") from error
    return path


def _replace(path: Path, content: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    Path(temporary).replace(path)
    path.chmod(0o644)
