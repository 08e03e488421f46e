"""The state of a target as the judge and the preflight want it, and what could not be seen for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.database.snapshot import NotVisible
from connectors.target.session import Connection, row, rows
from guardrails.facts import Facts, IndexFacts, RunningOperation, TableFacts, TransactionFacts

if TYPE_CHECKING:
    from datetime import datetime

    from guardrails.action import Action

LONG_TRANSACTION_S = 60.0
"""Younger transactions are left out: a build waits for them without anybody noticing."""
SLOW_STANDBY_S = 30.0


def collect(
    connection: Connection, action: Action, *, target: str, environment: str, now: datetime, recent_executions: int
) -> tuple[Facts, tuple[NotVisible, ...]]:
    """Raises what psycopg raises. free_disk_bytes is always None: PostgreSQL does not show it to any role."""
    server = row(connection, "identity")
    if server is None:
        raise AssertionError("a SELECT without FROM has a row")
    catalog, indexes, running = _table(connection, action)
    transactions, hidden = _transactions(connection)
    collected = Facts(
        now=now,
        target=target,
        environment=environment,
        server_version_num=server["server_version_num"],
        catalog=catalog,
        indexes=indexes,
        transactions=transactions,
        running=running,
        free_disk_bytes=None,
        in_recovery=server["in_recovery"],
        recent_executions=recent_executions,
    )
    not_visible = [NotVisible("free disk space", "PostgreSQL does not show it; look at the host's own metrics")]
    if hidden:
        why = "the role is no member of pg_read_all_stats (pg_monitor)"
        not_visible.append(NotVisible(f"the transactions of {hidden} sessions of other roles", why))
    return collected, tuple(not_visible)


def missing_rights(connection: Connection, relid: int, schema: str) -> tuple[str, ...]:
    """What the connection's role lacks to build an index on the table, each with what to do."""
    found = row(connection, "rights_to_build", {"relid": relid})
    if found is None:
        return ()
    lacking = []
    if not found["owner"]:
        lacking.append(f"the fix role may not act as the table's owner; GRANT {found['owned_by']} to it")
    if not found["creates"]:
        lacking.append(f"the fix role may not create in the schema {schema}; GRANT CREATE on it to {found['owned_by']}")
    return tuple(lacking)


def replication_lag_s(connection: Connection) -> float | None:
    """How far the slowest standby is behind in applying; None without standbys, or when they are not shown to us."""
    found = row(connection, "replication_lag")
    return found["replay_lag_s"] if found else None


def _table(
    connection: Connection, action: Action
) -> tuple[tuple[TableFacts, ...], tuple[IndexFacts, ...], tuple[RunningOperation, ...]]:
    relation = row(connection, "relation", {"schema": action.schema, "table": action.table})
    if relation is None:
        return (), (), ()
    relid = {"relid": relation["relid"]}
    columns = tuple(column["name"] for column in rows(connection, "columns", relid))
    table = TableFacts(action.schema, action.table, columns, relation["relkind"], relation["rows"], relation["bytes"])
    indexes = tuple(
        IndexFacts(
            schema=action.schema,
            name=index["name"],
            table=action.table,
            columns=tuple(column or "" for column in index["columns"]),
            method=index["method"],
            valid=index["valid"],
            ready=index["ready"],
            unique=index["unique"],
            partial=index["partial"],
        )
        for index in rows(connection, "indexes", relid)
    )
    running = tuple(
        RunningOperation(operation["pid"], operation["what"], action.schema, action.table)
        for operation in rows(connection, "facts_running", relid)
    )
    return (table,), indexes, running


def _transactions(connection: Connection) -> tuple[tuple[TransactionFacts, ...], int]:
    """Old ones; and how many sessions we are shown nothing of. A hidden one's age is no number, so it is not listed."""
    found = rows(connection, "facts_transactions")
    listed = tuple(
        TransactionFacts(
            pid=transaction["pid"],
            age_s=transaction["age_s"],
            state=transaction["state"],
            holds_snapshot=transaction["holds_snapshot"],
            writes=tuple((schema, table) for schema, table in transaction["writes"]),
        )
        for transaction in found
        if transaction["visible"] and transaction["age_s"] >= LONG_TRANSACTION_S
    )
    return listed, sum(1 for transaction in found if not transaction["visible"])
