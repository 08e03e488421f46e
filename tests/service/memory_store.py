"""The store's named queries over lists in memory: enough of them for the pages and for a decision."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import orjson

from connectors.store.store import incident_from_row
from connectors.unreachable import Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agent.incident import Incident
    from agent.machine import Decision, Step
    from connectors.store.store import Store

Row = dict[str, Any]
NOW = datetime(2026, 11, 21, 12, 6, 0, tzinfo=UTC)


@dataclass
class MemoryTransaction:
    """Answers by the query's name; a name it does not know is an error of the test."""

    tables: dict[str, list[Row]]
    at: datetime

    def now(self) -> datetime:
        return self.at

    def one(self, query: str, **params: Any) -> Row | None:
        rows = self.all(query, **params)
        return rows[0] if rows else None

    def run(self, query: str, **params: Any) -> int:
        return len(self.all(query, **params))

    def all(self, query: str, **params: Any) -> list[Row]:
        answer: list[Row] = getattr(self, f"_{query}")(**params)
        return answer

    def incident(self, incident_id: int, *, lock: bool = False) -> Incident | None:  # noqa: ARG002 nobody else is here
        rows = [row for row in self.tables["incident"] if row["id"] == incident_id]
        return incident_from_row(rows[0]) if rows else None

    def audit(self, incident_id: int | None, actor: str, action: str, data: Mapping[str, Any]) -> None:
        row = {"id": len(self.tables["audit"]) + 1, "at": self.at, "incident_id": incident_id, "actor": actor,
               "action": action, "data": dict(data), "seq": None, "hash": None}  # fmt: skip
        self.tables["audit"].append(row)

    def add_step(self, incident_id: int | None, step: Step) -> int:
        self.tables["step"].append({"incident_id": incident_id, "kind": step.kind, "args": dict(step.args)})
        return len(self.tables["step"])

    def save(self, before: Incident, decision: Decision, *, actor: str, action: str) -> bool:
        row = next(row for row in self.tables["incident"] if row["id"] == before.id)
        after = decision.incident
        row |= {"state": str(after.state), "outcome": after.outcome, "version": before.version + 1}
        row["milestones"] = {str(name): at.isoformat() for name, at in after.milestones.items()}
        for step in decision.steps:
            self.add_step(after.id, step)
        self.audit(after.id, actor, action, {"note": decision.note, "from": before.state, "to": after.state})
        return True

    # --- Queries, by name -------------------------------------------------------------------------------------------

    def _of(self, table: str, **wanted: Any) -> list[Row]:
        return [row for row in self.tables[table] if all(row[name] == value for name, value in wanted.items())]

    def _incidents(self, states: list[str] | None, before: int | None, limit: int) -> list[Row]:
        rows = [row for row in self.tables["incident"] if states is None or row["state"] in states]
        rows = [row for row in rows if before is None or row["id"] < before]
        return sorted(rows, key=lambda row: -row["id"])[:limit]

    def _evidence(self, incident: int) -> list[Row]:
        return self._of("evidence", incident_id=incident)

    def _latest_proposal(self, incident: int) -> list[Row]:
        return sorted(self._of("proposal", incident_id=incident), key=lambda row: -row["revision"])[:1]

    def _proposal(self, id: str) -> list[Row]:  # noqa: A002 the query's parameter
        return self._of("proposal", id=id)

    def _approval_for_proposal(self, proposal: str) -> list[Row]:
        return [{**row, "now": self.at} for row in self._of("approval", proposal_id=proposal)]

    def _approval(self, id: str) -> list[Row]:  # noqa: A002 the query's parameter
        return [{**row, "now": self.at} for row in self._of("approval", id=id)]

    _lock_approval = _approval

    def _decisions(self, approval: str) -> list[Row]:
        return self._of("decision", approval_id=approval)

    def _add_decision(self, approval: str, person: str, decision: str, channel: str, reason: str | None) -> list[Row]:
        if self._of("decision", approval_id=approval, person=person):
            return []
        row = {"approval_id": approval, "person": person, "decision": decision, "channel": channel,
               "reason": reason, "at": self.at}  # fmt: skip
        self.tables["decision"].append(row)
        return [row]

    def _settle_approval(self, id: str, version: int, revision: int, digest: str, state: str) -> list[Row]:  # noqa: A002
        rows = self._of("approval", id=id, version=version, revision=revision, digest=digest)
        for row in rows:
            row |= {"state": str(state), "version": version + 1, "decided_at": self.at}
        return rows

    def _add_permit(self, **permit: Any) -> list[Row]:
        self.tables["permit"].append(permit)
        return [permit]

    def _add_execution(self, approval: str, incident: int, phase: str) -> list[Row]:
        row = {"id": f"X-{len(self.tables['execution']) + 1}", "approval_id": approval, "incident_id": incident,
               "phase": phase, "state": "authorised", "progress": None, "result": None, "started_at": None,
               "finished_at": None}  # fmt: skip
        self.tables["execution"].append(row)
        return [row]

    def _executions(self, incident: int) -> list[Row]:
        return self._of("execution", incident_id=incident)

    def _alerts(self, incident: int) -> list[Row]:
        return self._of("alert", incident_id=incident)

    def _audit_of(self, incident: int, after: int, limit: int) -> list[Row]:
        return [row for row in self._of("audit", incident_id=incident) if row["id"] > after][:limit]

    def _postmortem(self, incident: int) -> list[Row]:
        return self._of("postmortem", incident_id=incident)

    def _api_token(self, sha256: str) -> list[Row]:
        return [row for row in self.tables["api_token"] if row["sha256"] == sha256]

    def _postmortem_edits(self, incident: int) -> list[Row]:
        return sorted(self._of("postmortem_edit", incident_id=incident), key=lambda row: -row["revision"])

    def _add_postmortem_edit(self, incident: int, revision: int, person: str, body: str) -> list[Row]:
        newest = max((row["revision"] for row in self._of("postmortem_edit", incident_id=incident)), default=0)
        if newest != revision:
            return []
        row = {"incident_id": incident, "revision": revision + 1, "person": person, "body": body, "at": self.at}
        self.tables["postmortem_edit"].append(row)
        return [row]

    def _proposal_of(self, incident: int, revision: int) -> list[Row]:
        return self._of("proposal", incident_id=incident, revision=revision)

    def _proposal_revisions(self, incident: int) -> list[Row]:
        rows = sorted(self._of("proposal", incident_id=incident), key=lambda row: -row["revision"])
        states = {row["proposal_id"]: row["state"] for row in self.tables["approval"]}
        return [{**row, "state": states.get(row["id"])} for row in rows]

    def _changes_between(self, start: datetime, end: datetime) -> list[Row]:
        rows = [{"id": number, **row} for number, row in enumerate(self.tables["change"], 1)]
        return [row for row in rows if start <= row["at"] <= end]

    def _cases_near(
        self, incident: int, alertname: str, service: str | None, cause: str | None, limit: int
    ) -> list[Row]:
        rows = [row for row in self.tables["past_case"] if row["incident_id"] != incident]
        near = [row for row in rows if row["alertname"] == alertname or row["service"] == service
                or row["cause"] == cause]  # fmt: skip
        return near[:limit]

    def _lessons_about(self, causes: list[str]) -> list[Row]:
        return [row for row in self.tables["lesson"] if row["body"]["claim"]["cause"] in causes]

    def _seals_of(self, incident: int, limit: int) -> list[Row]:
        rows = [row for row in self._of("audit", incident_id=incident) if row["seq"] is not None]
        return rows[:limit]

    def _incident_times(self, limit: int, **window: Any) -> list[Row]:
        rows = [self._timed(row) for row in self._opened(**window)]
        return sorted(rows, key=lambda row: -row["id"])[:limit]

    def _ttr_rows(self, since: datetime, service: str | None, severity: str | None, limit: int) -> list[Row]:
        rows = self._opened(since, self.at + timedelta(days=1), service, severity)
        return sorted(rows, key=lambda row: -row["id"])[:limit]

    def _timed(self, row: Row) -> Row:
        at = {name: datetime.fromisoformat(text) for name, text in row["milestones"].items()}
        began, restored = at.get("impact_start"), at.get("restored")
        return {
            "id": row["id"], "began": (began or row["opened_at"]).timestamp(), "outcome": row["outcome"],
            "seconds": (restored - began).total_seconds() if began and restored else None,
            "open": row["state"] not in {"resolved", "self_resolved", "closed"},
        }  # fmt: skip

    def _opened(self, since: datetime, until: datetime, service: str | None, severity: str | None) -> list[Row]:
        rows = [row for row in self.tables["incident"] if since <= row["opened_at"] < until]
        rows = [row for row in rows if service is None or row["service"] == service]
        return [row for row in rows if severity is None or row["severity"] == severity]

    def _stage_times(self, **window: Any) -> list[Row]:  # noqa: ARG002 too few for a median in any example
        return [{f"{stage}_n": 0 for stage in ("detect", "diagnose", "wait", "execute", "verify")}]

    def _fix_outcomes(self, **window: Any) -> list[Row]:
        opened = {row["id"] for row in self._opened(**window)}
        waiting = [row for row in self.tables["approval"] if row["incident_id"] in opened and row["state"] == "pending"]
        return [{"outcome": "waiting", "n": len(waiting)}] if waiting else []

    def _load_of(self, **window: Any) -> list[Row]:
        return [{"incidents": len(self._opened(**window)), "unsocial": 0}]

    def _deciders(self, limit: int, **window: Any) -> list[Row]:  # noqa: ARG002
        return [{"person": name, "n": 1} for name in sorted({row["person"] for row in self.tables["decision"]})][:limit]

    def _incident_facets(self) -> list[Row]:
        rows = self.tables["incident"]
        return [{"services": sorted({row["service"] for row in rows}),
                 "severities": sorted({row["severity"] for row in rows})}]  # fmt: skip

    def _last_received(self) -> list[Row]:
        return [{"source": "alertmanager", "age_s": 62.0}] if self.tables["incident"] else []

    def _backlog(self) -> list[Row]:
        return [{"due": 0, "running": 0}]

    def _search_incidents(
        self, text: str | None, states: list[str] | None, before: int | None, limit: int, **wanted: str | None
    ) -> list[Row]:
        rows = self._incidents(states, before, limit=10_000)
        rows = [row for row in rows if text is None or text.strip("%").lower() in row["title"].lower()]
        named = {name: value for name, value in wanted.items() if value is not None and name != "cause"}
        return [row for row in rows if all(row[name] == value for name, value in named.items())][:limit]

    def _audit_found(
        self, before: int | None, text: str | None, incident: int | None, actor: str | None, limit: int, **_: Any
    ) -> list[Row]:
        rows = [row for row in reversed(self.tables["audit"]) if before is None or row["id"] < before]
        rows = [row for row in rows if incident is None or row["incident_id"] == incident]
        rows = [row for row in rows if actor is None or row["actor"] == actor]
        return [row for row in rows if text is None or text.strip("%") in (row["data"].get("note") or "")][:limit]

    def _audit_actions(self) -> list[Row]:
        return [{"action": name} for name in sorted({row["action"] for row in self.tables["audit"]})]

    def _seal_head(self) -> list[Row]:
        return []

    def _sealed_rows(self, after: int, limit: int) -> list[Row]:  # noqa: ARG002 nothing is sealed in the examples
        return []

    def _target_access(self) -> list[Row]:
        return self.tables["target_access"]

    def _api_tokens_of(self, person: str) -> list[Row]:
        return self._of("api_token", person=person)

    def _latest_audit(self) -> list[Row]:
        return [{"id": max((row["id"] for row in self.tables["audit"]), default=None)}]

    def _latest_audit_of(self, incident: int) -> list[Row]:
        return [{"id": max((row["id"] for row in self._of("audit", incident_id=incident)), default=None)}]

    def _skill_counts(self) -> list[Row]:
        return self.tables["skill_count"]

    def _skill_use(self) -> list[Row]:
        names = [row["skill"] for row in self.tables["incident"]]
        return [{"skill": name, "n": names.count(name)} for name in sorted(set(names))]

    def _skill_champions(self) -> list[Row]:
        return [row for row in self.tables["skill_version"] if row["sha256"] in self._promoted()]

    def _skill_history(self, name: str) -> list[Row]:
        return self._of("skill_version", name=name)

    def _skill_promotions(self, name: str, limit: int) -> list[Row]:
        return self._of("skill_promotion", name=name)[::-1][:limit]

    def _promoted(self) -> set[str]:
        newest = {row["name"]: row["sha256"] for row in self.tables["skill_promotion"]}
        return set(newest.values())

    def _control(self) -> list[Row]:
        return self.tables["control"]

    def _quarantined(self, limit: int) -> list[Row]:
        return self.tables["quarantined"][:limit]

    def _integrations(self) -> list[Row]:
        return self.tables["integration"]

    def _last_notices(self, receivers: list[str]) -> list[Row]:
        nothing = {"type": None, "state": None, "error": None, "age_s": None, "failing": 0, "why": None,
                   "failing_age_s": None}  # fmt: skip
        return [{"receiver": name, **nothing} for name in receivers]

    def _processes(self) -> list[Row]:
        return self.tables["process"]


TABLES = ("incident", "evidence", "proposal", "approval", "decision", "permit", "execution", "alert", "audit", "step",
          "postmortem", "postmortem_edit", "control", "quarantined", "process", "change", "skill_count",
          "api_token", "past_case", "lesson", "skill_version", "skill_promotion",
          "integration", "target_access")  # fmt: skip


@dataclass
class MemoryStore:
    """away: it does not answer. transactions: how many were begun."""

    tables: dict[str, list[Row]] = field(default_factory=lambda: {name: [] for name in TABLES})
    at: datetime = NOW
    away: bool = False
    transactions: int = 0

    def as_store(self) -> Store:
        return cast("Store", self)

    @contextmanager
    def transaction(self) -> Iterator[MemoryTransaction]:
        if self.away:
            raise Unreachable("store", "connection refused on db.internal:5432")
        self.transactions += 1
        yield MemoryTransaction(self.tables, self.at)

    def add(self, table: str, **row: Any) -> Row:
        self.tables[table].append(row)
        return row

    def add_evidence(self, incident: int, name: str, tool: str, status: str, summary: str, body: object) -> Row:
        number = len(self.tables["evidence"]) + 7
        return self.add(
            "evidence", id=number, incident_id=incident, name=name, tool=tool, status=status, summary=summary,
            body=orjson.dumps(body), sha256=f"{number:02x}" * 32, at=self.at - timedelta(seconds=60 - number),
        )  # fmt: skip
