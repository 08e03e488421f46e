"""`stanch bench seed`: a store as after years of work, written with COPY, for whatever has to stay fast on it."""

from __future__ import annotations

import hashlib
import json
import math
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any

import click
import orjson
import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from agent.incident import Incident, IncidentState, Milestone, Mode, Outcome, Working
from agent.postmortem import markdown, structured
from guardrails.action import CreateIndexConcurrently, action_to_params, render
from guardrails.audit import GENESIS, AuditRow, seal
from guardrails.permit import digest, proposal_document

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SERVICES = (
    "storefront",
    "checkout",
    "search",
    "cart",
    "payments",
    "inventory",
    "mailer",
    "reports",
    "login",
    "billing",
)
ALERTS = ("Slow", "ErrorsHigh", "QueueLags", "LatencyP99")
TABLES = ("orders", "customers", "events", "invoices", "sessions", "messages")
PEOPLE = ("ada@example.com", "bob@example.com", "cy@example.com", "demo@localhost")
CAUSES = {"missing_index": 6, "lock_contention": 3, "stale_statistics": 2, "connections_exhausted": 2,
          "traffic_surge": 2}  # fmt: skip
CHECKS = ("workload_sample", "sequential_scans_dominate", "lock_waits", "slow_statement", "index_would_help")
FATES = {"recovered": 62, "denied": 10, "self_resolved": 9, "regressed": 7, "expired": 6, "inconclusive": 4,
         "not_recovered": 2}  # fmt: skip
"""What became of an incident that is over, by weight."""
OPEN = ("awaiting_approval", "executing", "investigating", "needs_human", "awaiting_approval", "verifying")
"""The newest incidents, newest first."""
OVER_DAYS = 90
HEAVY_SERIES, HEAVY_POINTS = 6, 600
"""Of the newest incident: as many as the causal queue ever keeps."""
BATCH = 500
EXPR = (
    'histogram_quantile(0.99, sum by (le) (rate(http_server_request_duration_seconds_bucket{service="%s"}[1m]))) > 0.5'
)

COLUMNS = {
    "incident": "id, state, outcome, version, correlation_key, title, service, severity, target, mode, skill, labels, "
    "annotations, working, milestones, opened_at, updated_at, impact_start, detected, diagnosed, proposed, decided, "
    "exec_start, exec_end, restored, verified, cause",
    "alert": "fingerprint, starts_at, incident_id, source, status, labels, annotations, ends_at",
    "step": "id, incident_id, kind, queue, state, finished_at",
    "evidence": "incident_id, step_id, fence, name, tool, status, summary, body, sha256, at",
    "proposal": "id, incident_id, revision, action, params, target, command, cleanup, rollback, document, digest, "
    "verdict, facts, decide_by, start_by, approvers_needed, created_at",
    "approval": "id, proposal_id, incident_id, revision, digest, state, version, approvers_needed, decide_by, "
    "start_by, created_at, decided_at",
    "decision": "approval_id, person, decision, channel, reason, at",
    "execution": "approval_id, incident_id, phase, state, version, progress, result, created_at, started_at, "
    "finished_at",
    "postmortem": "incident_id, body, markdown, written_at",
    "skill_count": "skill, cause, name, incident_id, outcome, at",
    "inbox": "source, body, state, received_at",
    "audit": "id, at, incident_id, actor, action, data",
    "audit_seal": "seq, audit_id, prev, hash, at",
}
"""In the order in which they are written."""
IDENTITIES = ("incident", "step", "audit")


class NotEmpty(RuntimeError):
    """The store holds incidents already; a seeded one is for measuring only."""


@dataclass(slots=True)
class Seeded:
    """rows: by table, waiting to be written. audits and prev: where the chain stands."""

    rng: Random
    now: datetime
    rows: dict[str, list[tuple[Any, ...]]] = field(default_factory=lambda: {name: [] for name in COLUMNS})
    audits: int = 0
    prev: str = GENESIS

    def add(self, table: str, *values: Any) -> None:
        self.rows[table].append(tuple(Jsonb(one) if isinstance(one, dict) else one for one in values))


def seed(
    dsn: str, *, incidents: int, points: int, random_seed: int = 1, told: Callable[[float], None] | None = None
) -> dict[str, int]:
    """Rows by table. dsn: a superuser's, of a migrated store without incidents; triggers and keys are passed by, so
    each row is what they would have let through. told: the share that is written. Raises NotEmpty, psycopg.Error.
    """
    written = dict.fromkeys(COLUMNS, 0)
    with psycopg.connect(dsn, application_name="stanch bench seed") as connection:
        if connection.execute("SELECT FROM stanch.incident LIMIT 1").fetchone() is not None:
            raise NotEmpty("the store holds incidents; seed a new one")
        connection.execute("SET LOCAL session_replication_role = replica")
        made = Seeded(Random(random_seed), datetime.now(UTC))
        for number in range(1, incidents + 1):
            _incident(made, number, incidents, max(2, points // (2 * incidents)))
            if number % BATCH == 0 or number == incidents:
                for table, count in _write(connection, made):
                    written[table] += count
                if told:
                    told(number / incidents)
        for table in IDENTITIES:
            identity = sql.SQL("SELECT setval(pg_get_serial_sequence({}, 'id'), max(id)) FROM stanch.{}")
            connection.execute(identity.format(sql.Literal(f"stanch.{table}"), sql.Identifier(table)))
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("ANALYZE")
    return written


def _write(connection: psycopg.Connection, made: Seeded) -> Iterator[tuple[str, int]]:
    for table, columns in COLUMNS.items():
        rows = made.rows[table]
        with connection.cursor() as cursor, cursor.copy(f"COPY stanch.{table} ({columns}) FROM STDIN".encode()) as copy:
            for row in rows:
                copy.write_row(row)
        yield table, len(rows)
        rows.clear()


# --- One incident ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Told:
    """What is known of one incident before its rows are written. at: milestones reached, in order."""

    number: int
    state: IncidentState
    outcome: Outcome | None
    fate: str
    service: str
    alertname: str
    table: str
    cause: str | None
    at: dict[str, datetime]
    opened_at: datetime

    @property
    def over(self) -> bool:
        return self.state in {IncidentState.CLOSED, IncidentState.RESOLVED, IncidentState.SELF_RESOLVED}


def _incident(made: Seeded, number: int, incidents: int, points: int) -> None:
    told = _tell(made, number, incidents)
    labels = {"alertname": told.alertname, "service": told.service, "severity": "page" if number % 3 else "ticket"}
    annotations = {"summary": f"{told.service}: p99 over 0.5 s"}
    incident = Incident(
        told.number, told.state, told.outcome, 5, f"{told.alertname} on {told.service}", told.service,
        labels["severity"], f"{told.service}-db", Mode.ACT, "postgres-missing-index", labels, annotations,
        Working.from_data(_working(told)), {Milestone(name): at for name, at in told.at.items()}, told.opened_at,
    )  # fmt: skip
    last = max(told.at.values())
    made.add(
        "incident", number, told.state, told.outcome, 5, f"seed:{number}", incident.title, told.service,
        incident.severity, incident.target, "act", incident.skill, labels, annotations, _working(told),
        {name: at.isoformat() for name, at in told.at.items()}, told.opened_at, last,
        *(told.at.get(name) for name in ("impact_start", "detected", "diagnosed", "proposed", "decided", "exec_start",
                                         "exec_end", "restored", "verified")), told.cause,
    )  # fmt: skip
    made.add("inbox", "alertmanager" if number % 4 else "pagerduty", b"{}", "processed", told.opened_at)
    made.add(
        "alert", f"{number:016x}", told.at["impact_start"], number, "alertmanager",
        "resolved" if told.over else "firing", labels, annotations, last if told.over else None,
    )  # fmt: skip
    made.add("step", number, number, "triage", "agent", "done", told.opened_at)
    evidence = _evidence(made, told, points if number < incidents else None)
    fix = _fix(made, told)
    _audit(made, told)
    if told.over and told.cause is not None:
        ran = told.outcome in {Outcome.RECOVERED, Outcome.NOT_RECOVERED, Outcome.REGRESSED}
        runs = ({"phase": "run", "state": "finished", "detail": "the index is valid"},) if ran else ()
        post = structured(incident, timeline=(), evidence=evidence, proposal=fix, decisions=(), executions=runs,
                          written_at=last)  # fmt: skip
        made.add("postmortem", number, orjson.loads(orjson.dumps(post)), markdown(post), last)
        made.add("skill_count", incident.skill, told.cause, "fix", number, str(told.outcome), last)


def _tell(made: Seeded, number: int, incidents: int) -> Told:
    rng = made.rng
    age = incidents - number
    state = IncidentState(OPEN[age]) if age < len(OPEN) else IncidentState.CLOSED
    fate = rng.choices(list(FATES), list(FATES.values()))[0]
    if age < len(OPEN):
        began, fate = made.now - timedelta(seconds=240 + 900 * age + rng.random() * 60), str(state)
    else:
        began = made.now - timedelta(days=OVER_DAYS * age / incidents, seconds=9000 + rng.random() * 3600)
    times = _milestones(rng, began, fate)
    outcome = {"denied": "no_action", "expired": "no_action"}.get(fate, fate)
    cause = None if fate in {"self_resolved", "investigating"} else rng.choices(list(CAUSES), list(CAUSES.values()))[0]
    if "proposed" in times:
        cause = "missing_index"
    service = rng.choice(SERVICES)
    return Told(
        number, state, Outcome(outcome) if state is IncidentState.CLOSED else None, fate, service,
        service.capitalize() + rng.choice(ALERTS), rng.choice(TABLES), cause, times, times["detected"],
    )  # fmt: skip


UPTO = {"investigating": 2, "self_resolved": 2, "needs_human": 3, "awaiting_approval": 4, "expired": 4, "denied": 5,
        "executing": 6, "verifying": 7, "recovered": 10}  # fmt: skip
"""How many of the milestones below an incident of this fate reaches; every other one not the last three."""
STAGES = (("impact_start", 0.0, 0.0), ("detected", 60, 0.9), ("diagnosed", 14, 0.5), ("proposed", 1.5, 0.3),
          ("decided", 240, 1.1), ("exec_start", 1.0, 0.4), ("exec_end", 45, 1.3), ("restored", 8, 0.8),
          ("verified", 120, 0.3), ("resolved", 0.5, 0.2))  # fmt: skip
"""Name, median seconds after the one before, and the spread: the times of people and machines are log-normal."""


def _milestones(rng: Random, began: datetime, fate: str) -> dict[str, datetime]:
    at, times = began, {}
    for name, median_s, spread in STAGES[: UPTO.get(fate, 7)]:
        at += timedelta(seconds=rng.lognormvariate(math.log(median_s), spread) if median_s else 0.0)
        times[name] = at
    return times


def _working(told: Told) -> dict[str, Any]:
    if told.cause is None:
        return {"pending": list(CHECKS[:2]) if not told.over else []}
    rest = [name for name in CAUSES if name != told.cause]
    return {
        "beliefs": {told.cause: 0.91, **dict.fromkeys(rest, 0.01), "none_of_these": 0.05},
        "answered": {name: {"status": "yes" if index else "note", "summary": f"{name} of {told.table}",
                            "evidence": None} for index, name in enumerate(CHECKS)},
        "conclusion": {"cause": told.cause, "title": told.cause.replace("_", " ").capitalize(), "probability": 0.91,
                       "low": 0.83, "high": 0.95, "component": "target"},
        "revision": 1 if "proposed" in told.at else 0,
    }  # fmt: skip


# --- What was seen -----------------------------------------------------------------------------------------------


def _evidence(made: Seeded, told: Told, points: int | None) -> list[dict[str, Any]]:
    """How many points each of two series has; None: the heaviest that the causal queue ever keeps."""
    if told.cause is None:
        return []
    found = [_row(made, told, name, "database", "yes" if index else "note", _advice(told) if index == 4 else {})  # noqa: PLR2004
             for index, name in enumerate(CHECKS)]  # fmt: skip
    found.append(_row(made, told, "causal_ranking", "causal", "yes", _ranking(made.rng, told, points)))
    if "verified" in told.at:
        body = {"verdict": "recovered", "expr": EXPR % told.service, "threshold": 0.5, "before": 4.1, "after": 0.2,
                "samples": 30, "series": [_series(made.rng, told, "alert signal", 60)]}  # fmt: skip
        found.append(_row(made, told, "verification", "metrics", "note", body))
    return found


def _row(made: Seeded, told: Told, name: str, tool: str, status: str, body: dict[str, Any]) -> dict[str, Any]:
    raw = orjson.dumps(body)
    summary = f"{name.replace('_', ' ')} of {told.service}-db, public.{told.table}"
    sha256 = hashlib.sha256(raw).hexdigest()
    made.add("evidence", told.number, told.number, 1, name, tool, status, summary, raw, sha256, told.at["detected"])
    return {"id": told.number * 10 + len(made.rows["evidence"]) % 10, "name": name, "status": status,
            "summary": summary, "sha256": sha256}  # fmt: skip


def _advice(told: Told) -> dict[str, Any]:
    return {"schema": "public", "table": told.table, "columns": ["customer_id"], "cost_before": 48210.0,
            "cost_after": 112.0, "estimated_bytes": 51_000_000, "validated": True}  # fmt: skip


def _ranking(rng: Random, told: Told, points: int | None) -> dict[str, Any]:
    database, caller = f"{told.service}-db", told.service
    names = [("alert signal", caller), ("rows_read_by_scans_per_second", database), ("cpu_cores", database),
             ("latency_p99_seconds", caller), ("requests_per_second", caller), ("connections_used_ratio", database),
             ]  # fmt: skip
    kept = names[: HEAVY_SERIES if points is None else 2]
    change = told.at["impact_start"].timestamp()
    return {
        "abstained": False, "confidence": 0.8, "target": f"{caller}|alert signal",
        "services": [{"service": database, "probability": 0.8, "score": 2.1},
                     {"service": caller, "probability": 0.15, "score": 0.6}],
        "metrics": [{"service": service, "metric": metric, "shift": 2.2, "before": 0.2, "during": 4.1, "score": 19.0}
                    for metric, service in kept],
        "change": {"time": change, "low": change - 3, "high": change + 3},
        "ruled_out": [{"service": "mailer", "why": "its series stayed as they were"}],
        "not_visible": [], "paths": [[caller, database]],
        "series": [_series(rng, told, metric, points or HEAVY_POINTS, service) for metric, service in kept],
    }  # fmt: skip


def _series(rng: Random, told: Told, metric: str, points: int, service: str = "") -> dict[str, Any]:
    change = told.at["impact_start"].timestamp()
    times = [round(change + (index - points * 0.6) * 5, 1) for index in range(points)]
    values = [round((4.1 if at >= change else 0.2) * rng.uniform(0.9, 1.1), 4) for at in times]
    return {"name": f"{service or told.service}|{metric}", "times": times, "values": values}


# --- What was proposed and done ----------------------------------------------------------------------------------

LOCK = "ShareUpdateExclusiveLock"


def _fix(made: Seeded, told: Told) -> dict[str, Any] | None:
    at = told.at.get("proposed")
    if at is None:
        return None
    proposal, approval = (str(uuid.UUID(int=made.rng.getrandbits(128), version=4)) for _ in range(2))
    action = CreateIndexConcurrently("public", told.table, ("customer_id",))
    rendered = render(action, proposal)
    decide_by, start_by = at + timedelta(minutes=15), at + timedelta(minutes=45)
    waits = told.state is IncidentState.AWAITING_APPROVAL
    if waits:
        decide_by, start_by = made.now + timedelta(hours=1), made.now + timedelta(hours=2)
    document = proposal_document(
        incident=f"INC-{told.number}", proposal=proposal, revision=1, target_kind="postgresql",
        target_identity={"name": f"{told.service}-db", "system_identifier": "7301234567890123456",
                         "database": told.service},
        action=action, rendered=rendered,
        verification={"expr": EXPR % told.service, "window_s": 30, "deadline_s": 180, "step_s": 1,
                      "rollback_on_regression": True},
        decide_by=decide_by, start_by=start_by, approvers_needed=1,
    )  # fmt: skip
    signed, params = digest(document), action_to_params(action)
    verdict = {"locks": [{"relation": f"public.{told.table}", "mode": LOCK}], "risk": "low", "findings": []}
    facts = {"now": at.isoformat(), "target": f"{told.service}-db", "environment": "production",
             "free_disk_bytes": 220_000_000_000,
             "catalog": [{"schema": "public", "name": told.table, "rows": 2_000_000, "bytes": 361_000_000}],
             "transactions": [], "running": [], "not_visible": []}  # fmt: skip
    made.add("proposal", proposal, told.number, 1, action.kind, params, f"{told.service}-db", rendered.command,
             rendered.cleanup, rendered.rollback, dict(document), signed, verdict, facts,
             decide_by, start_by, 1, at)  # fmt: skip
    _decided(made, told, approval, (proposal, signed, decide_by, start_by))
    return {"action": action.kind, "params": params, "command": rendered.command, "rollback": rendered.rollback,
            "digest": signed, "revision": 1}  # fmt: skip


def _decided(made: Seeded, told: Told, approval: str, proposed: tuple[str, str, datetime, datetime]) -> None:
    """The approval with what came of it."""
    proposal, signed, decide_by, start_by = proposed
    decided = told.at.get("decided")
    state = {"denied": "denied", "expired": "expired"}.get(told.fate, "approved" if decided else "pending")
    ended = decided or (decide_by if state == "expired" else None)
    made.add("approval", approval, proposal, told.number, 1, signed, state, 1, 1, decide_by, start_by,
             told.at["proposed"], ended)  # fmt: skip
    if decided is None:
        return
    person = made.rng.choice(PEOPLE)
    denied = told.fate == "denied"
    made.add("decision", approval, person, "deny" if denied else "approve", "dashboard",
             "not during the sale" if denied else None, decided)  # fmt: skip
    started, ended = told.at.get("exec_start"), told.at.get("exec_end")
    if started is None:
        return
    progress = {"phase": "building index: scanning table", "done": 29_800, "total": 48_100, "unit": "blocks",
                "percent": 61.9, "blocked_by": None}  # fmt: skip
    result = {"detail": "the index is valid"} if ended else None
    made.add("execution", approval, told.number, "run", "finished" if ended else "started", 3, progress, result,
             decided, started, ended)  # fmt: skip
    if told.fate == "regressed" and ended:
        back = ended + timedelta(seconds=40)
        made.add("execution", approval, told.number, "rollback", "rolled_back", 3, None,
                 {"detail": "the index is gone"}, ended, ended, back)  # fmt: skip


AUDITED = (("detected", "intake", "Received", "alert received"), ("detected", "worker", "Triaged", "skill chosen"),
           ("diagnosed", "worker", "CheckAnswered", "the table is read in full"),
           ("proposed", "api", "ApprovalOpened", "fix proposed, waiting for a decision"),
           ("decided", "ada@example.com", "Decided", "approve by ada@example.com"),
           ("exec_end", "executor", "ExecutionEnded", "the index is valid"),
           ("verified", "worker", "VerificationSampled", "recovered: 0.2 is within <= 0.5"),
           ("resolved", "worker", "PostmortemWritten", "postmortem written"))  # fmt: skip


def _audit(made: Seeded, told: Told) -> None:
    """Rows with their seals, one chain over all of them."""
    for name, actor, action, note in AUDITED:
        at = told.at.get(name)
        if at is None:
            continue
        made.audits += 1
        data = {"note": note}
        hashed = seal(made.prev, AuditRow(made.audits, at, actor, action, f"INC-{told.number}", data))
        made.add("audit", made.audits, at, told.number, actor, action, data)
        made.add("audit_seal", made.audits, made.audits, made.prev, hashed, at)
        made.prev = hashed


# --- The command -------------------------------------------------------------------------------------------------


@click.command(
    "seed",
    epilog="\b\nExample:\n  stanch bench seed --dsn postgresql://postgres@localhost/stanch_bench --incidents 10000",
)
@click.option("--dsn", required=True, help="A migrated store without incidents, as a superuser.")
@click.option("--incidents", type=click.IntRange(1, 1_000_000), default=10_000, show_default=True)
@click.option("--points", type=click.IntRange(1), default=1_000_000, show_default=True, help="Points of evidence.")
@click.option("--seed", "random_seed", type=int, default=1, show_default=True)
@click.option("--json", "json_", is_flag=True, help="One JSON object: rows by table.")
def command(dsn: str, incidents: int, points: int, random_seed: int, json_: bool) -> None:
    """Fill a store that is for measuring only; refuses one that holds incidents."""
    try:
        written = seed(dsn, incidents=incidents, points=points, random_seed=random_seed,
                       told=lambda share: click.echo(f"\r{share:4.0%}", nl=share >= 1, err=True))  # fmt: skip
    except (NotEmpty, psycopg.Error) as error:
        raise click.UsageError(str(error).strip().splitlines()[0]) from error
    if json_:
        click.echo(json.dumps(written))
    else:
        for table, count in written.items():
            click.echo(f"{count:9,} {table}")
