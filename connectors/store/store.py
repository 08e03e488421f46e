"""The store through a pool of connections: named queries inside short transactions, nothing else."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import orjson
import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from psycopg_pool import ConnectionPool, PoolTimeout

from agent.incident import Incident, IncidentState, Milestone, Mode, Outcome, Working
from connectors.named_sql import load
from connectors.unreachable import Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agent.machine import Decision, Queue, Step

QUERIES = {**load("connectors.store", "queries.sql"), **load("connectors.store", "sources.sql")}
Row = dict[str, Any]

STATEMENT_TIMEOUT_MS = 10_000
CONNECT_TIMEOUT_S = 3.0


_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
"""An escaped NUL, and not the six characters of its escape, which some text may well contain."""


def dumps(value: object) -> str:
    """JSON text for a jsonb column; NUL, which jsonb refuses, becomes U+FFFD."""
    return _NUL.sub(r"\1\\ufffd", orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode())


def jsonb(value: object) -> Jsonb:
    return Jsonb(value, dumps=dumps)


@dataclass(frozen=True, slots=True)
class Claimed:
    """A step this process holds. fence: only its newest holder may commit."""

    id: int
    incident_id: int | None
    kind: str
    queue: Queue
    args: Mapping[str, Any]
    attempts: int
    fence: int


class Transaction:
    """One transaction on the store. Leaving its block commits; an exception rolls back."""

    def __init__(self, connection: psycopg.Connection[Row]) -> None:
        self._connection = connection

    def one(self, query: str, **params: Any) -> Row | None:
        return self._connection.execute(QUERIES[query].encode(), params).fetchone()

    def all(self, query: str, **params: Any) -> list[Row]:
        return self._connection.execute(QUERIES[query].encode(), params).fetchall()

    def run(self, query: str, **params: Any) -> int:
        """Rows affected."""
        return self._connection.execute(QUERIES[query].encode(), params).rowcount

    def now(self) -> datetime:
        row = self.one("now")
        if row is None:
            raise Unreachable("store", "clock_timestamp() returned nothing")
        at: datetime = row["now"]
        return at

    def incident(self, incident_id: int, *, lock: bool = False) -> Incident | None:
        row = self.one("incident_for_update" if lock else "incident", id=incident_id)
        return incident_from_row(row) if row else None

    def add_step(self, incident_id: int | None, step: Step) -> int:
        row = self.one(
            "add_step",
            incident=incident_id,
            kind=step.kind,
            queue=step.queue,
            args=jsonb(dict(step.args)),
            after_s=step.after_s,
        )
        if row is None:
            raise Unreachable("store", "a step was not stored")
        number: int = row["id"]
        return number

    def audit(self, incident_id: int | None, actor: str, action: str, data: Mapping[str, Any]) -> None:
        self.run("add_audit", incident=incident_id, actor=actor, action=action, data=jsonb(dict(data)))

    def save(self, before: Incident, decision: Decision, *, actor: str, action: str) -> bool:
        """One transition: conditional update, the steps it causes, an audit row. False: somebody was first."""
        after = decision.incident
        saved = self.run(
            "save_incident",
            id=after.id,
            version=before.version,
            state=after.state,
            outcome=after.outcome,
            service=after.service,
            target=after.target,
            mode=after.mode,
            skill=after.skill,
            working=jsonb(after.working.as_data()),
            milestones=jsonb({name: at.isoformat() for name, at in after.milestones.items()}),
        )
        if not saved:
            return False
        for step in decision.steps:
            self.add_step(after.id, step)
        moved = {"from": before.state, "to": after.state} if before.state != after.state else {}
        if decision.note or moved:
            self.audit(after.id, actor, action, {"note": decision.note, **moved})
        return True


class Store:
    """Opens connections lazily: a store that is away is Unreachable at use, not at start."""

    def __init__(self, dsn: str, *, application_name: str, max_size: int = 6) -> None:
        self._pool: ConnectionPool[psycopg.Connection[Row]] = ConnectionPool(
            dsn,
            min_size=0,
            max_size=max_size,
            timeout=CONNECT_TIMEOUT_S,
            max_idle=60,
            reconnect_timeout=10,
            check=ConnectionPool.check_connection,
            open=False,
            kwargs={
                "row_factory": dict_row,
                "application_name": application_name,
                "connect_timeout": int(CONNECT_TIMEOUT_S),
                "options": f"-c statement_timeout={STATEMENT_TIMEOUT_MS} -c idle_in_transaction_session_timeout=15000",
            },
        )
        self._pool.open(wait=False)

    def close(self) -> None:
        self._pool.close()

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Raises Unreachable when the store does not answer; the transaction then did not commit, or its commit is
        unknown to us and the caller's fence or natural key makes a repetition harmless.
        """
        try:
            with self._pool.connection() as connection, connection.transaction():
                yield Transaction(connection)
        except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout) as error:
            raise Unreachable("store", str(error).strip() or type(error).__name__) from error

    def claim(
        self, step_id: int, *, owner: str, lease_s: float, queues: Sequence[Queue] | None = None
    ) -> Claimed | None:
        """The step, now ours for lease_s; None when it is done, not due, in other hands or of none of the queues."""
        with self.transaction() as tx:
            row = tx.one(
                "claim_step", id=step_id, owner=owner, lease_s=lease_s, queues=None if queues is None else list(queues)
            )
        return Claimed(**row) if row else None

    def renew(self, step: Claimed, *, lease_s: float) -> bool:
        with self.transaction() as tx:
            return tx.one("renew_step", id=step.id, fence=step.fence, lease_s=lease_s) is not None

    def due(self, queues: Sequence[Queue], *, grace_s: float, limit: int = 20) -> list[int]:
        with self.transaction() as tx:
            return [row["id"] for row in tx.all("due_steps", queues=list(queues), grace_s=grace_s, limit=limit)]


def finish_step(tx: Transaction, step: Claimed, *, state: Literal["done", "failed"], error: str | None = None) -> bool:
    """False: the fence moved on, so whatever this holder did is discarded."""
    return tx.one("finish_step", id=step.id, fence=step.fence, state=state, error=error) is not None


def incident_from_row(row: Row) -> Incident:
    return Incident(
        id=row["id"],
        state=IncidentState(row["state"]),
        outcome=Outcome(row["outcome"]) if row["outcome"] else None,
        version=row["version"],
        title=row["title"],
        service=row["service"],
        severity=row["severity"],
        target=row["target"],
        mode=Mode(row["mode"]) if row["mode"] else None,
        skill=row["skill"],
        labels=row["labels"],
        annotations=row["annotations"],
        working=Working.from_data(row["working"]),
        milestones={Milestone(name): datetime.fromisoformat(at) for name, at in row["milestones"].items()},
        opened_at=row["opened_at"],
    )
