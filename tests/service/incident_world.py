"""Stanch's three roles on one store: what a test needs to bring an incident to any state."""

from __future__ import annotations

import json
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.events import ProposalDrafted, Triaged
from agent.incident import Mode
from agent.machine import Step
from connectors import runbooks
from connectors.store.store import jsonb
from connectors.target.memory import IDENTITY, MemoryTarget
from guardrails.action import CreateIndexConcurrently, action_to_params, render
from guardrails.permit import SigningKey, VerifyKeys, digest, proposal_document
from service import wiring
from service.configuration import Configuration
from service.ports import Ports
from service.steps.approve import Ask
from service.steps.intake import intake
from service.steps.runner import Runner
from tests.connectors.store.database import AGENT, API, EXECUTOR

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agent.incident import Incident
    from agent.machine import Queue
    from agent.ports import TargetWriter
    from connectors.store.store import Row, Store
    from service.steps.runner import Handler
    from tests.connectors.store.database import Database

KEY = SigningKey.generate("test")
SKILLS = runbooks.skills()
SKILL = "postgres-missing-index"
PEOPLE = tuple(f"person{number}@example.com" for number in range(8))
CONFIGURATION = Configuration.model_validate(
    {
        "targets": {"shop": {"mode": "act", "environment": "production", "selector": {"alertname": "Slow.*"}}},
        "approvers": ["ada@example.com", "bob@example.com", *PEOPLE],
        # Tests want an incident each, though all of them are about the same target at the same time.
        "correlation": {"window_s": 0},
        "sources": {"alertmanager": {"new_incidents_per_hour": 100_000}},
    }
)
ACTION = CreateIndexConcurrently("public", "orders", ("customer_id",))
STARTS = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def _no_target(name: str, *_: object) -> Any:
    raise AssertionError(f"this test reaches no target, but {name} was asked for")


def ports_of(store: Store, target: MemoryTarget | None = None, configuration: Configuration = CONFIGURATION) -> Ports:
    @contextmanager
    def writer(_name: str, _role: str = "fix") -> Iterator[TargetWriter]:
        assert target is not None
        yield target

    return Ports(
        store=store,
        configuration=configuration,
        skills=SKILLS,
        metrics=None,
        data_dir=Path("/nonexistent"),
        public_url="http://127.0.0.1:8741",
        reader=_no_target,
        writer=writer if target is not None else _no_target,
        facts=_no_target,
        identity=_no_target,
        verify_keys=VerifyKeys.from_text(KEY.public_text()),
    )


@dataclass
class World:
    """api, agent, executor: each a runner on its own role's connections."""

    database: Database
    api: Runner = field(init=False)
    agent: Runner = field(init=False)
    executor_store: Store = field(init=False)
    groups: int = 0

    def __post_init__(self) -> None:
        self.api = Runner(self.database.store(API, max_size=12), SKILLS, wiring.API_HANDLERS, "api")
        self.executor_store = self.database.store(EXECUTOR)
        self.agent = Runner(
            self.database.store(AGENT, max_size=12), SKILLS, {"intake": intake(CONFIGURATION)}, "worker"
        )

    # --- What is there ---------------------------------------------------------------------------------------

    def one(self, query: str, **params: Any) -> Row | None:
        with self.agent.store.transaction() as tx:
            return tx.one(query, **params)

    def rows(self, query: str, **params: Any) -> list[Row]:
        with self.agent.store.transaction() as tx:
            return tx.all(query, **params)

    def incident(self, incident_id: int) -> Incident:
        with self.agent.store.transaction() as tx:
            found = tx.incident(incident_id)
        assert found is not None
        return found

    def audit(self, incident_id: int | None) -> list[str]:
        """Its actions, in order."""
        rows = self.database.run(
            "SELECT action FROM stanch.audit WHERE incident_id IS NOT DISTINCT FROM %s ORDER BY id", (incident_id,)
        )
        return [action for (action,) in rows]

    def steps(self, incident_id: int, kind: str) -> list[tuple[int, str]]:
        """Ids and states."""
        return self.database.run(
            "SELECT id, state FROM stanch.step WHERE incident_id = %s AND kind = %s ORDER BY id", (incident_id, kind)
        )

    # --- Steps -----------------------------------------------------------------------------------------------

    def add_step(self, kind: str, incident_id: int | None = None, queue: Queue = "agent", **args: Any) -> int:
        with self.api.store.transaction() as tx:
            return tx.add_step(incident_id, Step(kind, queue, args))

    def step(self, step_id: int) -> dict[str, Any]:
        rows = self.database.run(
            "SELECT state, attempts, fence, owner, error, not_before > now() FROM stanch.step WHERE id = %s",
            (step_id,),
        )
        return dict(zip(("state", "attempts", "fence", "owner", "error", "waits"), rows[0], strict=True))

    def lapse(self, step_id: int) -> None:
        """As if the lease's time had passed."""
        self.database.run(
            "UPDATE stanch.step SET lease_until = clock_timestamp() - interval '1 s' WHERE id = %s", (step_id,)
        )

    def hurry(self, step_id: int) -> None:
        """As if the back-off's time had passed."""
        self.database.run("UPDATE stanch.step SET not_before = clock_timestamp() WHERE id = %s", (step_id,))

    # --- Intake ----------------------------------------------------------------------------------------------

    def receive(self, body: bytes, source: str = "alertmanager") -> tuple[int, int]:
        """Inbox id and intake step, as the webhook stores them."""
        with self.api.store.transaction() as tx:
            row = tx.one("store_inbox", source=source, headers=jsonb({}), body=body)
            assert row is not None
            return row["id"], tx.add_step(None, Step("intake", "agent", {"inbox": row["id"]}))

    def notify(self, *alerts: dict[str, Any], key: str = "", **group: Any) -> int:
        """One notification, taken in. Returns the inbox id."""
        inbox, step = self.receive(notification(*alerts, key=key, **group))
        assert self.agent.run(step)
        assert self.step(step)["state"] == "done"
        return inbox

    def group(self) -> str:
        self.groups += 1
        return f'{{}}:{{alertname="Slow{self.groups}"}}'

    def incidents_of(self, key: str) -> list[int]:
        rows = self.database.run(
            "SELECT id FROM stanch.incident WHERE correlation_key = %s ORDER BY id", (f"alertmanager:{key}",)
        )
        return [number for (number,) in rows]

    # --- On the way to a fix ---------------------------------------------------------------------------------

    def received(self) -> int:
        key = self.group()
        self.notify(firing(f"{self.groups:016x}", alertname=f"Slow{self.groups}"), key=key)
        (number,) = self.incidents_of(key)
        return number

    def investigating(self, mode: Mode = Mode.ACT) -> int:
        number = self.received()
        self.apply(self.agent, number, Triaged(SKILL, "shop", mode, "checkout"))
        return number

    def awaiting(self, *, needed: int = 1, decide_s: float = 900.0, **changes: Any) -> tuple[int, str, str]:
        """Incident, approval, digest. changes: of the stored proposal row, behind the digest's back."""
        number = self.investigating()
        proposal, signed = self.propose(number, needed=needed, decide_s=decide_s, **changes)
        with self.agent.store.transaction() as tx:
            incident = tx.incident(number, lock=True)
            assert incident is not None
            self.agent.apply(tx, incident, ProposalDrafted(proposal, 1, "CREATE INDEX …"))
        ((step, _),) = self.steps(number, "open_approval")
        assert self.api.run(step)
        rows = self.database.run("SELECT id::text FROM stanch.approval WHERE incident_id = %s", (number,))
        assert rows, self.step(step)
        return number, rows[0][0], signed

    def propose(self, number: int, *, needed: int, decide_s: float, **changes: Any) -> tuple[str, str]:
        proposal = str(uuid.uuid4())
        rendered = render(ACTION, proposal)
        with self.agent.store.transaction() as tx:
            decide_by = tx.now() + timedelta(seconds=decide_s)
            document = proposal_document(
                incident=f"INC-{number}", proposal=proposal, revision=1, target_kind="postgresql",
                target_identity={"name": "shop", "system_identifier": IDENTITY.system_identifier,
                                 "database": IDENTITY.database},
                action=ACTION, rendered=rendered,
                verification={"expr": None, "window_s": 30, "deadline_s": 60, "step_s": 1,
                              "rollback_on_regression": True},
                decide_by=decide_by, start_by=decide_by + timedelta(seconds=1800), approvers_needed=needed,
            )  # fmt: skip
            row: Mapping[str, Any] = {
                "id": proposal, "incident": number, "revision": 1, "action": ACTION.kind,
                "params": jsonb(action_to_params(ACTION)), "target": "shop", "command": rendered.command,
                "cleanup": rendered.cleanup, "rollback": rendered.rollback, "document": jsonb(document),
                "digest": digest(document), "verdict": jsonb({"locks": [], "risk": "medium", "findings": []}),
                "facts": jsonb({}), "decide_by": decide_by, "start_by": decide_by + timedelta(seconds=1800),
                "approvers_needed": needed, "proposed_by": None, **changes,
            }  # fmt: skip
            tx.run("add_proposal", **row)
        return proposal, row["digest"]

    def apply(self, runner: Runner, number: int, event: Any) -> None:
        with runner.store.transaction() as tx:
            incident = tx.incident(number, lock=True)
            assert incident is not None
            runner.apply(tx, incident, event)

    def approval_state(self, approval: str) -> str:
        rows = self.database.run("SELECT state FROM stanch.approval WHERE id = %s", (approval,))
        state: str = rows[0][0]
        return state

    def executor(self, handlers: Mapping[str, Handler]) -> Runner:
        return Runner(self.executor_store, SKILLS, handlers, "executor")


def ask(signed: str, person: str = "ada@example.com", decision: Any = "approve", *, revision: int = 1) -> Ask:
    return Ask(decision, revision, signed, person, "api", "because")


def firing(fingerprint: str, *, starts: datetime = STARTS, **labels: str) -> dict[str, Any]:
    return {
        "status": "firing",
        "labels": {"alertname": "SlowCheckout", "service": "checkout", "severity": "page", **labels},
        "annotations": {"summary": "p99 is over 1 s"},
        "startsAt": starts.isoformat(),
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus.example.com/graph",
        "fingerprint": fingerprint,
    }


def resolved(fingerprint: str, *, starts: datetime = STARTS, ends_after_s: float = 60.0) -> dict[str, Any]:
    ends = (starts + timedelta(seconds=ends_after_s)).isoformat()
    return {**firing(fingerprint, starts=starts), "status": "resolved", "endsAt": ends}


def notification(*alerts: dict[str, Any], key: str, **group: Any) -> bytes:
    over = all(alert["status"] == "resolved" for alert in alerts)
    return json.dumps(
        {
            "version": "4",
            "groupKey": key,
            "truncatedAlerts": 0,
            "status": "resolved" if over else "firing",
            "receiver": "stanch",
            "externalURL": "http://alertmanager:9093",
            "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {},
            "alerts": list(alerts),
            **group,
        }
    ).encode()  # fmt: skip
