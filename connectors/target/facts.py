"""The state of a target as the judge and the preflight want it, and what could not be seen for it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.database.snapshot import NotVisible
from connectors.target.session import Connection, row, rows
from guardrails.facts import Facts, IndexFacts, RunningOperation, SessionFacts, TableFacts, TransactionFacts
from guardrails.server_action import (
    AlterSystemReload,
    CancelBackend,
    DropReplicationSlot,
    RollbackPrepared,
    SetRoleSetting,
    TerminateBackend,
)
from guardrails.table_action import (
    AddConstraintNotValid,
    CreateStatistics,
    SetStatisticsTarget,
    SetTableStorage,
    ValidateConstraint,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from guardrails.action import Action

LONG_TRANSACTION_S = 60.0
"""Younger transactions are left out: a build waits for them without anybody noticing."""
PARAMETER_PRIVILEGES = 150000
"""From this version on a role may be allowed to set single parameters of the server."""
_NO_PARAMETER_PRIVILEGES = (
    "before PostgreSQL 15 only a superuser may ALTER SYSTEM: do it by hand, or connect the admin role as a superuser"
)


def collect(
    connection: Connection, action: Action, *, target: str, environment: str, now: datetime, recent_executions: int
) -> tuple[Facts, tuple[NotVisible, ...]]:
    """Raises what psycopg raises."""
    server = row(connection, "identity")
    if server is None:
        raise AssertionError("a SELECT without FROM has a row")
    catalog, indexes, running = _tables(connection, action)
    transactions, hidden = _transactions(connection) if action.table else ((), 0)
    relid = relid_of(connection, action.schema, action.table) if action.table else None
    free, size = disk(connection, relid) if relid is not None else (None, None)
    current, there, in_use = _named(connection, action, relid)
    collected = Facts(
        now=now,
        target=target,
        environment=environment,
        server_version_num=server["server_version_num"],
        catalog=catalog,
        indexes=indexes,
        transactions=transactions,
        running=running,
        free_disk_bytes=free,
        disk_bytes=size,
        in_recovery=server["in_recovery"],
        recent_executions=recent_executions,
        sessions=_session(connection, action),
        replication_lag_s=replication_lag_s(connection),
        current=current,
        there=there,
        in_use=in_use,
    )
    return collected, tuple(_not_visible(action, collected, hidden))


def _not_visible(action: Action, seen: Facts, hidden: int) -> list[NotVisible]:
    missing = []
    if action.table and seen.free_disk_bytes is None:
        missing.append(NotVisible("free disk space", "PostgreSQL does not show it; look at the host's own metrics"))
    if hidden:
        why = "the role is no member of pg_read_all_stats (pg_monitor)"
        missing.append(NotVisible(f"the transactions of {hidden} sessions of other roles", why))
    return missing


def missing_rights(connection: Connection, relid: int, action: Action) -> tuple[str, ...]:
    """What the connection's role lacks for an action on the table, each with what to do."""
    found = row(connection, "rights_to_build", {"relid": relid})
    if found is None:
        return ()
    lacking = []
    if not found["owner"]:
        lacking.append(f"the fix role may not act as the table's owner; GRANT {found['owned_by']} to it")
    makes = action.kind in {"create_index_concurrently", "create_partitioned_index"} or isinstance(
        action, CreateStatistics
    )
    if makes and not found["creates"]:
        lacking.append(
            f"the fix role may not create in the schema {action.schema}; GRANT CREATE on it to {found['owned_by']}"
        )
    if isinstance(action, AddConstraintNotValid) and action.referenced_table:
        lacking += _foreign_key_rights(connection, relid, action)
    return tuple(lacking)


def _foreign_key_rights(connection: Connection, relid: int, action: AddConstraintNotValid) -> list[str]:
    """Without them every write of the application to the table would fail, in the owner's name."""
    other = relid_of(connection, action.referenced_schema, action.referenced_table)
    if other is None:
        return [f"{action.referenced_schema}.{action.referenced_table} is not in the catalog; check the spelling"]
    lacking = []
    for one in (relid, other):
        found = row(connection, "rights_to_reference", {"relid": one})
        if found is not None and not found["checks"]:
            lacking.append(
                f"{found['owned_by']} lacks SELECT or UPDATE on its own table, so the foreign key could not be checked;"
                " GRANT both to it"
            )
    return lacking


def missing_server_rights(connection: Connection, action: Action, version_num: int) -> tuple[str, ...]:
    """The same for the actions of the admin connection."""
    role = row(connection, "may_alter_system")
    superuser = bool(role and role["superuser"])
    match action:
        case AlterSystemReload() if not superuser:
            if version_num < PARAMETER_PRIVILEGES:
                return (_NO_PARAMETER_PRIVILEGES,)
            allowed = row(connection, "may_alter_parameter", {"setting": action.setting})
            if allowed is None or not allowed["allowed"]:
                return (f"the admin role may not set {action.setting}; GRANT ALTER SYSTEM ON PARAMETER to it",)
        case RollbackPrepared():
            found = row(connection, "prepared_named", {"gid": action.identifier})
            if found and not found["here"]:
                return ("the transaction was prepared in another database; connect the admin role to that one",)
            if found and not (found["own"] or found["member"]):
                return (f"only {found['owner']} or a superuser may end it; GRANT {found['owner']} to the admin role",)
        case SetRoleSetting() | DropReplicationSlot() if not superuser:
            performs = row(connection, "may_perform")
            if performs is None or not performs["allowed"]:
                return (f"the fence lets the admin role do no {action.kind}; run `stanch target sql` with that action",)
        case _:
            pass
    return ()


def replication_lag_s(connection: Connection) -> float | None:
    """How far the slowest standby is behind in applying; None without standbys, or when they are not shown to us."""
    found = row(connection, "replication_lag")
    return found["replay_lag_s"] if found else None


def relid_of(connection: Connection, schema: str, table: str) -> int | None:
    relation = row(connection, "relation", {"schema": schema, "table": table})
    return None if relation is None else int(relation["relid"])


def disk(connection: Connection, relid: int) -> tuple[int | None, int | None]:
    """Free and total bytes of the file system with the table; None where the server is on another machine.

    PostgreSQL itself shows free space to no role. A server in a container with our network but not our files has
    nothing at that path here, and then nothing is said.
    """
    found = row(connection, "disk_of", {"relid": relid})
    if found is None or not found["same_machine"] or not found["directory"]:
        return None, None
    try:
        there = os.statvfs(Path(found["directory"]))
    except OSError:
        return None, None
    return there.f_bavail * there.f_frsize, there.f_blocks * there.f_frsize


def _tables(
    connection: Connection, action: Action
) -> tuple[tuple[TableFacts, ...], tuple[IndexFacts, ...], tuple[RunningOperation, ...]]:
    relation = row(connection, "relation", {"schema": action.schema, "table": action.table}) if action.table else None
    if relation is None:
        return (), (), ()
    relid = {"relid": relation["relid"]}
    columns = tuple(column["name"] for column in rows(connection, "columns", relid))
    parts = rows(connection, "partitions", relid) if relation["relkind"] == "p" else []
    table = TableFacts(
        action.schema,
        action.table,
        columns,
        relation["relkind"],
        _sum(parts, "rows") if parts else relation["rows"],
        _sum(parts, "bytes") if parts else relation["bytes"],
        tuple((part["schema"], part["name"], part["relkind"]) for part in parts),
    )
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
            definition=index["definition"],
            bytes=index["bytes"],
        )
        for index in rows(connection, "indexes", relid)
    )
    places = [(action.schema, action.table, relation["relid"])]
    places += [(part["schema"], part["name"], part["relid"]) for part in parts]
    running = tuple(
        RunningOperation(operation["pid"], operation["what"], schema, name)
        for schema, name, oid in places
        for operation in rows(connection, "facts_running", {"relid": oid})
    )
    return (table,), indexes, running


def _sum(parts: Sequence[dict[str, Any]], name: str) -> int | None:
    """None when one of them is not known."""
    values = [part[name] for part in parts]
    return None if any(value is None for value in values) else sum(values)


def _transactions(connection: Connection) -> tuple[tuple[TransactionFacts, ...], int]:
    """Old ones; and how many sessions we are shown nothing of. A hidden one's age is no number, so it is not listed."""
    found = rows(connection, "open_transactions")
    listed = [
        TransactionFacts(
            pid=one["pid"],
            age_s=one["age_s"],
            state=one["state"],
            holds_snapshot=one["holds_snapshot"],
            writes=_written(one["locks"]),
            application=one["application"],
            touches=_touched(one["locks"]),
        )
        for one in found
        if one["visible"] and one["age_s"] >= LONG_TRANSACTION_S
    ]
    listed += [
        TransactionFacts(
            pid=0,
            age_s=one["age_s"],
            state="prepared",
            holds_snapshot=False,
            writes=_written(one["locks"]),
            application=one["gid"],
            touches=_touched(one["locks"]),
        )
        for one in rows(connection, "prepared_transactions")
        if one["age_s"] >= LONG_TRANSACTION_S
    ]
    return tuple(listed), sum(1 for one in found if not one["visible"])


def _touched(locks: list[list[Any]]) -> tuple[tuple[str, str], ...]:
    return tuple(dict.fromkeys((str(schema), str(table)) for schema, table, _ in locks))


def _written(locks: list[list[Any]]) -> tuple[tuple[str, str], ...]:
    return tuple(dict.fromkeys((str(schema), str(table)) for schema, table, writes in locks if writes))


def _session(connection: Connection, action: Action) -> tuple[SessionFacts, ...]:
    if not isinstance(action, CancelBackend | TerminateBackend):
        return ()
    found = row(connection, "session_by_pid", {"pid": action.pid})
    if found is None or found["backend_start"] is None:
        return ()
    return (
        SessionFacts(
            pid=found["pid"],
            backend_start=found["backend_start"],
            user=found["user"],
            superuser=found["superuser"],
            query_sha256=found["query_sha256"] or "",
            kind=found["kind"] or "hidden",
            ours=bool(found["ours"]),
        ),
    )


def _named(connection: Connection, action: Action, relid: int | None) -> tuple[str | None, bool | None, bool]:
    """Facts.current, .there and .in_use."""
    match action:
        case SetStatisticsTarget() | SetTableStorage() if relid is None:
            return None, None, False
        case SetStatisticsTarget():
            target = row(connection, "statistics_target_of", {"relid": relid, "column": action.column})
            return (None if target is None else str(target["target"])), None, False
        case SetTableStorage():
            options = row(connection, "storage_of", {"relid": relid})
            return (None if options is None else _option(options["options"], action.parameter)), None, False
        case SetRoleSetting():
            return *_role_setting(connection, action), False
        case AlterSystemReload():
            return _server_setting(connection, action), None, False
        case RollbackPrepared():
            return None, row(connection, "prepared_named", {"gid": action.identifier}) is not None, False
        case DropReplicationSlot():
            slot = row(connection, "slot_named", {"slot": action.slot})
            return None, slot is not None, bool(slot and slot["active"])
        case ValidateConstraint():
            found = row(connection, "constraint_named", {"relid": relid or 0, "name": action.constraint})
            return None, found is not None and not found["valid"], False
        case _:
            return None, None, False


def _role_setting(connection: Connection, action: SetRoleSetting) -> tuple[str | None, bool]:
    role = row(connection, "role_named", {"role": action.role})
    if role is None:
        return None, False
    if action.setting == "connection_limit":
        return ("" if role["connection_limit"] < 0 else str(role["connection_limit"])), True
    return _option(role["settings"], action.setting), True


def _option(options: list[str], name: str) -> str:
    """The value of `name=value` among options; empty when it is not set."""
    return next((text.partition("=")[2] for text in options if text.partition("=")[0] == name), "")


def _server_setting(connection: Connection, action: AlterSystemReload) -> str | None:
    """What ALTER SYSTEM set before, "" for nothing; None where the file it comes from is not shown to us."""
    found = row(connection, "server_setting", {"setting": action.setting})
    if found is None:
        return None
    if found["source"] == "configuration file" and not found["sourcefile"]:
        return None
    return str(found["shown"]) if (found["sourcefile"] or "").endswith("postgresql.auto.conf") else ""
