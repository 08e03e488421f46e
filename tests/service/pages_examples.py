"""One incident of the shop, told up to a state, in a store in memory."""

from __future__ import annotations

import math
from dataclasses import asdict
from datetime import datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any

import orjson

from agent.incident import Answered, Conclusion, Mode, Working
from agent.postmortem import markdown, structured
from causal.changepoint import ChangePoint
from causal.rank import RankedMetric, RankedService, Ranking, RuledOut
from causal.report import as_data
from connectors.runbooks import skills
from connectors.store.store import dumps
from guardrails.action import CreateIndexConcurrently, action_to_params
from guardrails.facts import Facts, TableFacts, TransactionFacts
from guardrails.judge import judge
from guardrails.permit import SigningKey, VerifyKeys, digest, proposal_document
from service.broadcast import Broadcast
from service.configuration import Configuration, Target
from service.context import Context
from service.identity import Identities, TokenEntry, token_hash
from service.ports import Ports
from service.sessions import MemorySessions
from service.settings import Settings
from service.steps.runner import Runner
from tests.service.memory_store import NOW, MemoryStore, MemoryTransaction

if TYPE_CHECKING:
    from pathlib import Path

    from guardrails.canonical import Json

ORIGIN = "http://testserver"
STORY = ("received", "investigating", "awaiting_approval", "executing", "verifying", "resolved")
TOKENS = {"Ada": "stn_ada", "Bob": "stn_bob", "Vera": "stn_vera"}
PROPOSAL_ID = "2f0c8d1e-7f3a-4c63-9a05-0b1c2d3e4f50"
APPROVAL_ID = "7b6f3f0a-54a2-4f0e-8ad0-3d1d6f7a9c11"
EXPR = (
    "histogram_quantile(0.99, sum by (service, le) "
    '(rate(http_server_request_duration_seconds_bucket{service="storefront"}[8s]))) > 0.5'
)
VERIFICATION: dict[str, Json] = {
    "expr": EXPR,
    "window_s": 30,
    "deadline_s": 180,
    "step_s": 1,
    "rollback_on_regression": True,
}
ACTION = CreateIndexConcurrently("public", "orders", ("customer_id", "placed_at"))
SKILLS = skills()
CHANGE = NOW - timedelta(seconds=75)


def context(store: MemoryStore, folder: Path, **settings: Any) -> Context:
    """As app.build_context makes it, on a store in memory. settings: not read from the environment."""
    configuration = Configuration(
        targets={"orders-db": Target(environment="production", mode=Mode.ACT, selector={"service": "orders-db"})},
        approvers=["Ada", "Bob"],
    )
    entries = tuple(
        TokenEntry(person=name, roles=("viewer",) if name == "Vera" else ("approver",), sha256=token_hash(token))
        for name, token in TOKENS.items()
    )

    def nothing(*_: Any) -> Any:
        raise AssertionError("a page reaches for a target")

    ports = Ports(
        store=store.as_store(), configuration=configuration, skills=SKILLS, metrics=None, data_dir=folder,
        public_url=ORIGIN, reader=nothing, writer=nothing, facts=nothing, identity=nothing,
        verify_keys=VerifyKeys.from_text(""),
    )  # fmt: skip
    return Context(
        settings=Settings.model_construct(**{"public_url": ORIGIN, "data_dir": folder, **settings}),
        ports=ports,
        runner=Runner(store.as_store(), SKILLS, {}, "api"),
        signing_key=SigningKey.generate("api-1"),
        identities=Identities.of(entries, "a signing key that nobody knows"),
        sessions=MemorySessions(),
        broadcast=Broadcast(),
    )


def story(upto: str, *, incident: int = 1, store: MemoryStore | None = None, **changes: Any) -> MemoryStore:
    """The missing index, up to this state. changes: columns of the incident's row."""
    held = store or MemoryStore()
    reached = STORY.index(upto) if upto in STORY else STORY.index("awaiting_approval")
    concluded = reached >= STORY.index("awaiting_approval")
    held.add(
        "incident", id=incident, state=upto, outcome="recovered" if upto == "resolved" else None, version=reached + 1,
        title="StorefrontSlow on storefront", service="storefront", severity="page", target="orders-db", mode="act",
        skill="postgres-missing-index", labels={"alertname": "StorefrontSlow", "service": "storefront"},
        annotations={"summary": "storefront answers slowly: p99 over 0.5 s"},
        working=_working(concluded=concluded, asked=reached > 0).as_data(), milestones=_milestones(reached),
        opened_at=NOW - timedelta(seconds=60), updated_at=NOW,
    ).update(changes)  # fmt: skip
    held.add(
        "alert", incident_id=incident, fingerprint="9a1b2c3d4e5f6071", status="firing", source="alertmanager", seen=3,
        labels={"alertname": "StorefrontSlow", "service": "storefront", "severity": "page"},
        annotations={"summary": "storefront answers slowly", "runbook_url": "https://runbooks.example/slow"},
        generator_url="http://prometheus.example:9090/graph?g0.expr=up", starts_at=NOW - timedelta(seconds=62),
        ends_at=None,
    )  # fmt: skip
    if reached > 0:
        _add_evidence(held, incident, concluded=concluded)
    if concluded:
        _add_proposal(held, incident, "pending" if reached == STORY.index("awaiting_approval") else "approved")
    if reached >= STORY.index("executing"):
        _add_execution(held, incident, running=upto == "executing")
    if upto == "resolved":
        _add_end(held, incident)
    _add_audit(held, incident, reached)
    for kind in ("api", "worker agent", "worker causal", "executor"):
        held.add("process", name=f"{kind}@host:1", kind=kind, seen_at=NOW, detail={}, age_s=1.2)
    if not held.tables["control"]:
        held.add("control", paused=False, reason=None, person=None, at=NOW)
    return held


def _working(*, concluded: bool, asked: bool) -> Working:
    beliefs = {"missing_index": 0.87, "lock_contention": 0.05, "none_of_these": 0.04, "connections_exhausted": 0.02,
               "stale_statistics": 0.015, "traffic_surge": 0.005}  # fmt: skip
    conclusion = Conclusion("missing_index", "Missing index", 0.87, 0.79, 0.92, "target") if concluded else None
    hidden = {"stale_statistics": Answered("not_visible", "no privilege", None)} if asked else {}
    pending = () if concluded or not asked else ("slow_statement", "lock_waits")
    return Working(beliefs if concluded else {}, hidden, pending, conclusion, 1 if concluded else 0)


def _milestones(reached: int) -> dict[str, str]:
    at = {"impact_start": -75, "detected": -62}
    if reached >= STORY.index("awaiting_approval"):
        at |= {"diagnosed": -49, "proposed": -48}
    if reached >= STORY.index("executing"):
        at |= {"decided": -30, "exec_start": -29}
    if reached >= STORY.index("verifying"):
        at |= {"exec_end": -18}
    if reached >= STORY.index("resolved"):
        at |= {"restored": -14, "verified": -1, "resolved": -1}
    return {name: (NOW + timedelta(seconds=seconds)).isoformat() for name, seconds in at.items()}


def signal(
    name: str, low: float, high: float, *, until: datetime = NOW, restored: datetime | None = None
) -> dict[str, Any]:
    """A noisy step from low to high at CHANGE, one sample a second, back at restored."""
    noise, start = Random(name), NOW - timedelta(seconds=240)  # noqa: S311 a picture
    times = [start.timestamp() + second for second in range(int((until - start).total_seconds()))]
    values = []
    for at in times:
        part = 1 / (1 + math.exp(-(at - CHANGE.timestamp() - 4)))
        if restored is not None:
            part *= 1 / (1 + math.exp(at - restored.timestamp()))
        values.append(round((low + (high - low) * part) * noise.uniform(0.92, 1.08), 5))
    return {"name": name, "times": times, "values": values}


def ranking_body() -> dict[str, Any]:
    ranking = Ranking(
        abstained=False,
        confidence=0.81,
        services=(RankedService("orders-db", 0.81, 2.0), RankedService("orders", 0.11, 0.9)),
        metrics=(
            RankedMetric("orders-db", "rows_read_by_scans_per_second", 3.1, 410.0, 9_790_000.0, 44.0),
            RankedMetric("storefront", "alert signal", 2.2, 0.21, 4.13, 19.0),
            RankedMetric("orders", "latency_p99_seconds", 2.1, 0.19, 3.9, 18.0),
        ),
        change=ChangePoint(CHANGE.timestamp(), CHANGE.timestamp() - 3, CHANGE.timestamp() + 3),
        ruled_out=(RuledOut("payments", "its series stayed as they were"),),
        not_visible=("load",),
        paths=(("storefront", "orders", "orders-db"),),
    )
    series = [
        signal("storefront|alert signal", 0.21, 4.1),
        signal("orders-db|rows_read_by_scans_per_second", 410.0, 9_790_000.0),
        signal("orders-db|cpu_cores", 0.31, 1.7),
    ]
    return as_data(ranking) | {"series": series, "target": "storefront|alert signal"}


def _add_evidence(store: MemoryStore, incident: int, *, concluded: bool) -> None:
    told = (
        ("workload_sample", "database", "yes", "In 3.0 s the busiest 12 statements ran 176 times"),
        ("sequential_scans_dominate", "database", "yes",
         "public.orders (2000000 rows) was read in full 66 times in 3.0 s: 132000000 tuples, 99% of all such reading"),
        ("stale_statistics", "database", "not_visible", "the statistics of orders not visible: no privilege"),
    )  # fmt: skip
    for name, tool, status, summary in told:
        store.add_evidence(incident, name, tool, status, summary, {})
    if not concluded:
        return
    store.add_evidence(
        incident, "causal_ranking", "causal", "yes", "orders-db explains the metrics best (0.81), then orders 0.11",
        ranking_body(),
    )  # fmt: skip
    store.add_evidence(incident, "lock_waits", "database", "no", "No session has waited 0.1 s for a lock", {})
    store.add_evidence(
        incident, "index_would_help", "database", "yes",
        "An index on public.orders (customer_id, placed_at) would take the plan from cost 48210 to 112, by HypoPG",
        {"schema": "public", "table": "orders", "columns": ["customer_id", "placed_at"], "cost_before": 48210.4,
         "cost_after": 112.3, "estimated_bytes": 61_000_000, "validated": True},
    )  # fmt: skip
    store.add_evidence(
        incident, "attribution", "causal", "note", "orders-db accounts for +3.6 of +3.92",
        {"target": "storefront|alert signal", "change": 3.92, "unexplained": 0.21,
         "shares": [
             {"series": "orders-db|rows_read_by_scans_per_second", "effect": 3.6, "low": 3.1, "high": 3.9,
              "placebo": 0.0, "refuted": False},
             {"series": "payments|latency_p99_seconds", "effect": 0.11, "low": -0.2, "high": 0.3, "placebo": 0.4,
              "refuted": True}]},
    )  # fmt: skip


def _add_proposal(store: MemoryStore, incident: int, state: str) -> None:
    facts = Facts(
        now=NOW, target="orders-db", environment="production", server_version_num=150018,
        catalog=(TableFacts("public", "orders", ("customer_id", "placed_at"), rows=2_000_000, bytes=361_000_000),),
        transactions=(TransactionFacts(4121, 4.0, "active", holds_snapshot=True),),
        free_disk_bytes=225_000_000_000,
    )  # fmt: skip
    proposal_id = PROPOSAL_ID if incident == 1 else f"{incident:08d}{PROPOSAL_ID[8:]}"
    approval_id = APPROVAL_ID if incident == 1 else f"{incident:08d}{APPROVAL_ID[8:]}"
    configuration = Configuration(approvers=["Ada", "Bob"])
    verdict = judge(ACTION, facts, configuration.rules, proposal_id=proposal_id)
    decide_by, start_by = NOW + timedelta(seconds=341), NOW + timedelta(seconds=2000)
    document = proposal_document(
        incident=f"INC-{incident}", proposal=proposal_id, revision=1, target_kind="postgresql",
        target_identity={"name": "orders-db", "system_identifier": "7301234567890123456", "database": "shop"},
        action=ACTION, rendered=verdict.rendered, verification=VERIFICATION, decide_by=decide_by, start_by=start_by,
        approvers_needed=verdict.approvers_needed,
    )  # fmt: skip
    stored = orjson.loads(dumps({"verdict": asdict(verdict), "facts": {**asdict(facts), "not_visible": []}}))
    store.add(
        "proposal", id=proposal_id, incident_id=incident, revision=1, action=ACTION.kind,
        params=action_to_params(ACTION),
        target="orders-db", command=verdict.rendered.command, cleanup=verdict.rendered.cleanup,
        rollback=verdict.rendered.rollback, document=document, digest=digest(document), verdict=stored["verdict"],
        facts=stored["facts"], decide_by=decide_by, start_by=start_by, approvers_needed=verdict.approvers_needed,
        proposed_by=None,
        created_at=NOW,
    )  # fmt: skip
    store.add(
        "approval", id=approval_id, proposal_id=proposal_id, incident_id=incident, revision=1, digest=digest(document),
        state=state, version=1, approvers_needed=verdict.approvers_needed, decide_by=decide_by, start_by=start_by,
        created_at=NOW, decided_at=None, escalated_at=None,
    )  # fmt: skip
    if state == "approved":
        store.add("decision", approval_id=approval_id, person="Ada", decision="approve", channel="dashboard",
                  reason=None, at=NOW - timedelta(seconds=30))  # fmt: skip


def _add_execution(store: MemoryStore, incident: int, *, running: bool) -> None:
    progress = {"phase": "building index: scanning table", "done": 29_800, "total": 48_100, "unit": "blocks",
                "percent": 61.95, "blocked_by": None}  # fmt: skip
    store.add(
        "execution", id="X-1", approval_id=APPROVAL_ID, incident_id=incident, phase="run",
        state="started" if running else "finished", progress=progress,
        result=None if running else {"detail": "index st_orders is valid after 11.2 s"},
        started_at=NOW - timedelta(seconds=29), finished_at=None if running else NOW - timedelta(seconds=18),
    )  # fmt: skip


def _add_end(store: MemoryStore, incident: int) -> None:
    series = signal("service=storefront", 0.21, 4.1, restored=NOW - timedelta(seconds=16))
    kept = [
        (at, value) for at, value in zip(series["times"], series["values"], strict=True) if at > NOW.timestamp() - 90
    ]
    store.add_evidence(
        incident, "verification", "metrics", "note", "recovered: 0.22 is within <= 0.5 over 30 of 30 samples",
        {"verdict": "recovered", "expr": EXPR, "threshold": 0.5, "before": 4.08, "after": 0.22, "samples": 30,
         "restored_at": NOW.timestamp() - 14,
         "series": [{"name": "service=storefront", "times": [at for at, _ in kept], "values": [v for _, v in kept]}]},
    )  # fmt: skip
    tx = MemoryTransaction(store.tables, store.at)
    held = tx.incident(incident)
    proposal = tx.one("latest_proposal", incident=incident)
    assert held is not None
    assert proposal is not None
    post = structured(
        held, timeline=[], written_at=NOW,
        evidence=[{name: row[name] for name in ("id", "name", "status", "summary", "sha256")}
                  for row in tx.all("evidence", incident=incident)],
        proposal={name: proposal[name] for name in ("action", "params", "command", "rollback", "digest", "revision")},
        decisions=[{"person": "Ada", "decision": "approve", "channel": "page", "reason": None, "at": NOW.isoformat()}],
        executions=[{"phase": "run", "state": "finished", "detail": "index st_orders is valid after 11.2 s"}],
    )  # fmt: skip
    store.add(
        "postmortem", incident_id=incident, body=orjson.loads(dumps(post)), markdown=markdown(post), written_at=NOW
    )


def _add_audit(store: MemoryStore, incident: int, reached: int) -> None:
    told = (
        (-62, "api", "Received", "alert StorefrontSlow", None, "received"),
        (-61, "worker", "Triaged", "skill postgres-missing-index chosen", "received", "investigating"),
        (-58, "worker", "CheckAnswered", "public.orders was read in full 66 times", None, None),
        (-48, "api", "ApprovalOpened", "fix proposed, waiting for a decision", "investigating", "awaiting_approval"),
        (-30, "Ada", "ApprovalGranted", "approved by Ada", "awaiting_approval", "executing"),
        (-18, "executor", "ExecutionEnded", "index st_orders is valid after 11.2 s", "executing", "verifying"),
        (-1, "worker", "VerificationSampled", "recovered: 0.22 is within <= 0.5", "verifying", "resolved"),
    )  # fmt: skip
    for seconds, actor, action, note, before, after in told[: reached + 2 if reached else 1]:
        store.add(
            "audit", id=len(store.tables["audit"]) + 1, at=NOW + timedelta(seconds=seconds), incident_id=incident,
            actor=actor, action=action, data={"note": note, "from": before, "to": after}, seq=None,
            hash=f"{abs(seconds):02x}" * 32 if seconds < -20 else None,
        )  # fmt: skip
