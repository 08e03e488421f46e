"""Reads a target under a role that cannot change it, and answers NotVisible where that role is not shown something."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Self, TypeVar

from psycopg import DataError, NotSupportedError, ProgrammingError

from agent.database.snapshot import (
    Activity,
    ColumnFacts,
    IndexFacts,
    InvalidIndex,
    NotVisible,
    Plan,
    Session,
    TableFacts,
    TargetIdentity,
    WhatIf,
    Workload,
)
from connectors.target import facts, planned, readings, workload
from connectors.target.session import HIDDEN_FROM_US, NO_POOLER, Connection, connect, reason, row, rows, translated
from connectors.unreachable import Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from agent.database.limits import Limits
    from agent.database.readings import Readings, Rows
    from agent.database.snapshot import Comparison
    from guardrails.action import Action
    from guardrails.facts import Facts

APPLICATION = "stanch-diagnose"
OWN_PREFIX = "stanch-"
"""Every session of ours gives itself a name that begins so."""
SETTINGS = {
    "default_transaction_read_only": "on",
    "statement_timeout": "15s",
    "lock_timeout": "500ms",
    "idle_in_transaction_session_timeout": "10s",
    "search_path": "pg_catalog",
    "plan_cache_mode": "force_generic_plan",
    # Plans are read for their rows and costs, which a parallel plan gives for one worker only.
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
}
"""Every statement is its own transaction (autocommit), so nobody ever waits for us, and vacuum is never held back."""
SESSIONS_SHOWN = 50
NOT_PLANNABLE = (ProgrammingError, DataError, NotSupportedError)
"""A text that no longer fits the catalog, or one whose operators and types our search_path does not find."""

_Seen = TypeVar("_Seen", Plan, WhatIf)


class Diagnosis:
    """One kept connection, opened at first use and again after it broke. Not to be shared between threads.

    Every method raises Unreachable and nothing else; permanent when the settings are wrong.
    """

    def __init__(self, dsn: str, name: str, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._dsn = dsn
        self._name = name
        self._sleep = sleep
        self._connection: Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def identity(self) -> TargetIdentity:
        with translated(self._name):
            return read_identity(self._open(), self._name)

    def workload(self, window_s: float) -> Workload:
        with translated(self._name):
            connection = self._open()
            before = workload.snapshot(connection)
            self._sleep(window_s)
            after = workload.snapshot(connection)
            return workload.between(connection, before, after)

    def activity(self) -> Activity:
        with translated(self._name):
            return _activity(self._open())

    def table_facts(self, schema: str, table: str) -> TableFacts | NotVisible:
        with translated(self._name):
            try:
                return _table_facts(self._open(), schema, table)
            except HIDDEN_FROM_US as error:
                return NotVisible(f"table {schema}.{table}", reason(error))

    def explain(self, query: str, user: str | None = None) -> Plan | NotVisible:
        return self._planned(planned.plan, query, user)

    def what_if(
        self, query: str, schema: str, table: str, columns: Sequence[str], user: str | None = None
    ) -> WhatIf | NotVisible:
        return self._planned(
            lambda connection, text: planned.what_if(connection, text, schema, table, columns), query, user
        )

    def invalid_indexes(self) -> tuple[InvalidIndex, ...] | NotVisible:
        with translated(self._name):
            connection = self._open()
            found = tuple(InvalidIndex(**index) for index in rows(connection, "invalid_indexes"))
            hidden = row(connection, "hidden_builds")
            if found and hidden and hidden["hidden"]:
                return NotVisible("index builds of other roles", "the role is no member of pg_read_all_stats")
            return found

    def readings(self, names: Sequence[str], window_s: float, limits: Limits) -> Readings:
        with translated(self._name):
            connection = self._open()
            identity = read_identity(connection, self._name)
            return readings.observe(connection, identity, names, window_s, limits, OWN_PREFIX, self._sleep)

    def asked(self, name: str, params: Mapping[str, Any]) -> Rows | NotVisible:
        with translated(self._name):
            connection = self._open()
            return readings.asked(connection, read_identity(connection, self._name), name, params, OWN_PREFIX)

    def qualified(self, query: str, user: str | None = None) -> str | NotVisible:
        with translated(self._name):
            return planned.guarded(self._open(), query, user)

    def explain_with(self, query: str, values: Sequence[str | None], user: str | None = None) -> Plan | NotVisible:
        return self._planned(lambda connection, text: planned.plan_with(connection, text, values), query, user)

    def compared(self, query: str, rewritten: str) -> Comparison | NotVisible:
        with translated(self._name):
            try:
                return planned.compared(self._open(), query, rewritten)
            except (*HIDDEN_FROM_US, *NOT_PLANNABLE) as error:
                return NotVisible("the comparison on a sample", reason(error))

    def facts(
        self, action: Action, *, environment: str, now: datetime, recent_executions: int = 0
    ) -> tuple[Facts, tuple[NotVisible, ...]]:
        """What judge() wants to know of the target, and what could not be seen for it."""
        with translated(self._name):
            return facts.collect(
                self._open(),
                action,
                target=self._name,
                environment=environment,
                now=now,
                recent_executions=recent_executions,
            )

    def _planned(
        self, of: Callable[[Connection, str], _Seen | NotVisible], query: str, user: str | None
    ) -> _Seen | NotVisible:
        with translated(self._name):
            connection = self._open()
            try:
                text = planned.guarded(connection, query, user)
                return text if isinstance(text, NotVisible) else of(connection, text)
            except (*HIDDEN_FROM_US, *NOT_PLANNABLE) as error:
                return NotVisible("the plan", reason(error))

    def _open(self) -> Connection:
        if self._connection is None or self._connection.closed:
            connection = connect(self._dsn, self._name, APPLICATION, SETTINGS)
            # Kept before it is asked anything, so that it is closed with us whatever the answer.
            self._connection = connection
            self._refuse_lost_settings(connection)
        return self._connection

    def _refuse_lost_settings(self, connection: Connection) -> None:
        """A pooler told to ignore start-up options would leave us without read-only and without time limits."""
        found = row(connection, "session_settings")
        if found is None or found["read_only"] != "on" or found["search_path"] != SETTINGS["search_path"]:
            self.close()
            why = f"the settings of our session got lost (read-only, time limits); {NO_POOLER}"
            raise Unreachable(self._name, why, permanent=True)

    def role(self) -> str:
        """Whom the server takes us for."""
        with translated(self._name):
            return self._open().info.user


def read_identity(connection: Connection, name: str) -> TargetIdentity:
    found = row(connection, "identity")
    if found is None:
        raise Unreachable(name, "the server did not say who it is")
    return TargetIdentity(name=name, **found)


def _activity(connection: Connection) -> Activity:
    found = [_session(session) for session in rows(connection, "sessions", {"own": APPLICATION})]
    limits = row(connection, "connection_limits")
    hidden = sum(1 for session in found if not session.visible)
    why = "the role is no member of pg_read_all_stats (pg_monitor)"
    return Activity(
        by_state=dict(Counter(session.state for session in found).most_common()),
        by_application=dict(Counter(session.application for session in found).most_common(SESSIONS_SHOWN)),
        sessions=_of_note(found),
        total=len(found),
        usable_connections=limits["usable"] if limits else 0,
        not_visible=(NotVisible(f"{hidden} sessions of other roles", why),) if hidden else (),
    )


def _session(read: dict[str, Any]) -> Session:
    started = read["backend_start"]
    return Session(
        **{**read, "blocked_by": tuple(read["blocked_by"]), "backend_start": started.isoformat() if started else ""}
    )


def _of_note(found: list[Session]) -> tuple[Session, ...]:
    """The waiting, those they wait for, and the longest in a transaction."""
    blocking = {pid for session in found for pid in session.blocked_by}
    involved = [session for session in found if session.blocked_by or session.pid in blocking]
    oldest = sorted(
        (session for session in found if session.xact_age_s is not None), key=lambda session: -(session.xact_age_s or 0)
    )
    kept = {session.pid: session for session in [*involved[: 4 * SESSIONS_SHOWN], *oldest[:SESSIONS_SHOWN]]}
    return tuple(kept.values())


def _table_facts(connection: Connection, schema: str, table: str) -> TableFacts | NotVisible:
    relation = row(connection, "relation", {"schema": schema, "table": table})
    if relation is None:
        return NotVisible(f"table {schema}.{table}", "the catalog has no such table")
    relid = {"relid": relation["relid"]}
    return TableFacts(
        schema=schema,
        table=table,
        columns=tuple(ColumnFacts(**column) for column in rows(connection, "columns", relid)),
        indexes=tuple(
            IndexFacts(**{**index, "columns": tuple(index["columns"])}) for index in rows(connection, "indexes", relid)
        ),
        rows=relation["rows"],
        bytes=relation["bytes"],
        partitioned=relation["relkind"] == "p",
    )
