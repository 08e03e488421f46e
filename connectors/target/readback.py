"""What a target shows of an approved action: whether it has taken effect, whole, half or not at all.

A return code is never believed: ANALYZE and VACUUM by somebody who is not the owner only warn, IF NOT EXISTS passes
over an INVALID index, and a signal that hit nobody is no error. Nobody is at work any more when these are asked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, assert_never

from agent.database.execution import Observed
from connectors.target.facts import relid_of
from connectors.target.session import Connection, row, rows, verbatim
from guardrails.index_action import (
    CreateIndexConcurrently,
    CreatePartitionedIndex,
    DropIndexConcurrently,
    ReindexIndexConcurrently,
)
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
    AnalyzeTable,
    CreateStatistics,
    SetStatisticsTarget,
    SetTableStorage,
    VacuumTable,
    ValidateConstraint,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from guardrails.action import Action
    from guardrails.approved import Approved

_NOTHING = "there is no such index, and nobody is building it"
_VALUE = re.compile(r"(-?[0-9]+(?:\.[0-9]+)?) ?([A-Za-z]*)")
_BYTES = {"B": 1, "kB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40}
_MICROSECONDS = {"us": 1, "ms": 1_000, "s": 1_000_000, "min": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
_SIZES = (_BYTES, _MICROSECONDS)


@dataclass(frozen=True, slots=True)
class Since:
    """When the run was claimed: the moment by the target's clock, and the transaction."""

    at: datetime
    xid: str


def observed(connection: Connection, approved: Approved[Action], since: Since | None) -> Observed:
    """What is there now. A since of None says that nobody ever claimed the run. Raises what psycopg raises."""
    action = approved.action
    match action:
        case (
            CreateIndexConcurrently() | CreatePartitionedIndex() | DropIndexConcurrently() | ReindexIndexConcurrently()
        ):
            return _of_index(connection, action, approved, since)
        case AnalyzeTable() | VacuumTable():
            return _maintained(connection, action, since)
        case SetStatisticsTarget() | CreateStatistics():
            return _with_statistics(connection, action, approved, since)
        case CancelBackend() | TerminateBackend():
            return _signalled(connection, action, since)
        case AlterSystemReload():
            return _server_setting(connection, action)
        case AddConstraintNotValid() | ValidateConstraint() | SetTableStorage() | SetRoleSetting():
            return _proven(connection, approved)
        case RollbackPrepared() | DropReplicationSlot():
            return _proven(connection, approved)
        case _:
            assert_never(action)


# --- Indexes -----------------------------------------------------------------------------------------------------


def _of_index(
    connection: Connection,
    action: CreateIndexConcurrently | CreatePartitionedIndex | DropIndexConcurrently | ReindexIndexConcurrently,
    approved: Approved[Action],
    since: Since | None,
) -> Observed:
    match action:
        case CreateIndexConcurrently():
            return _index(connection, action, approved)
        case CreatePartitionedIndex():
            return _partitioned(connection, action, approved)
        case DropIndexConcurrently():
            return _dropped(connection, action)
        case ReindexIndexConcurrently():
            return _rebuilt(connection, action, approved, since)


def _index(connection: Connection, action: CreateIndexConcurrently, approved: Approved[Action]) -> Observed:
    index = row(connection, "index_named", {"schema": action.schema, "name": approved.rendered.object_name})
    if index is None:
        return Observed("absent", _NOTHING)
    definition = index["definition"]
    if not _as_described(index, action):
        why = f"an index of this name is not the approved one: {definition}"
        return Observed("elsewhere", why, definition=definition)
    if index["valid"] and index["ready"]:
        return Observed("valid", f"valid and ready: {definition}", definition=definition)
    return Observed("invalid", f"left INVALID, {_cost(index)}: {definition}", definition=definition)


def _as_described(index: Mapping[str, Any], action: CreateIndexConcurrently | CreatePartitionedIndex) -> bool:
    return (
        (index["schema"], index["table"], tuple(index["columns"]), index["method"])
        == (action.schema, action.table, action.columns, action.method)
        and not index["unique"]
        and not index["partial"]
    )


def _cost(index: Mapping[str, Any]) -> str:
    return "every write pays for it" if index["ready"] else "writes do not pay for it"


def _partitioned(connection: Connection, action: CreatePartitionedIndex, approved: Approved[Action]) -> Observed:
    names = list(approved.rendered.left_over)
    found = rows(connection, "indexes_by_name", {"schema": action.schema, "names": names})
    parent = row(connection, "index_named", {"schema": action.schema, "name": approved.rendered.object_name})
    if parent is not None and not _as_described(parent, action):
        definition = parent["definition"]
        return Observed(
            "elsewhere", f"an index of this name is not the approved one: {definition}", None, None, definition
        )
    if not found:
        return Observed("absent", _NOTHING)
    # The parent's index is valid once every partition's is attached to it.
    if parent is not None and parent["valid"]:
        return Observed(
            "valid",
            f"valid on all {len(names) - 1} partitions: {parent['definition']}",
            definition=parent["definition"],
        )
    built = sum(1 for index in found if index["valid"])
    return Observed("invalid", f"{built} of {len(names) - 1} partitions have their index, the table's is not valid")


def _dropped(connection: Connection, action: DropIndexConcurrently) -> Observed:
    index = row(connection, "index_named", {"schema": action.schema, "name": action.index})
    if index is None:
        return Observed("valid", "the index is gone")
    definition = index["definition"]
    if index["valid"]:
        return Observed("absent", f"the index is there: {definition}", definition=definition)
    return Observed("invalid", f"half dropped, {_cost(index)}: {definition}", definition=definition)


def _rebuilt(
    connection: Connection, action: ReindexIndexConcurrently, approved: Approved[Action], since: Since | None
) -> Observed:
    names = list(approved.rendered.left_over)
    left = rows(connection, "indexes_by_name", {"schema": action.schema, "names": names})
    if half := [index["name"] for index in left if not index["valid"]]:
        return Observed("invalid", f"left INVALID: {', '.join(half)}")
    xid = since.xid if since is not None else None
    index = row(connection, "index_since", {"schema": action.schema, "name": action.index, "xid": xid})
    if index is None:
        return Observed("elsewhere", "the index is not there")
    if not index["younger"]:
        return Observed("absent", "the index is the old one", definition=index["definition"])
    if not index["valid"]:
        return Observed("elsewhere", f"rebuilt, but not valid: {index['definition']}", definition=index["definition"])
    return Observed("valid", f"rebuilt and valid: {index['definition']}", definition=index["definition"])


# --- Tables ------------------------------------------------------------------------------------------------------


def _maintained(connection: Connection, action: AnalyzeTable | VacuumTable, since: Since | None) -> Observed:
    parts, analyzed, vacuumed = _maintenance(connection, action, since)
    done, what = analyzed, "analyzed"
    if isinstance(action, VacuumTable):
        done = min(vacuumed, analyzed) if action.analyze else vacuumed
        what = "vacuumed and analyzed" if action.analyze else "vacuumed"
    if parts and done == parts:
        return Observed("valid", f"{what} since the run was claimed" + (f", {parts} tables" if parts > 1 else ""))
    return Observed("absent", f"{done} of {parts} tables were {what} since the run was claimed")


def _maintenance(
    connection: Connection,
    action: AnalyzeTable | VacuumTable | SetStatisticsTarget | CreateStatistics,
    since: Since | None,
) -> tuple[int, int, int]:
    """How many tables there are, and how many of them were analyzed and vacuumed since."""
    relid = relid_of(connection, action.schema, action.table)
    if relid is None or since is None:
        return 0, 0, 0
    found = row(connection, "maintained", {"relid": relid, "since": since.at})
    return (0, 0, 0) if found is None else (found["parts"], found["analyzed"], found["vacuumed"])


def _with_statistics(
    connection: Connection,
    action: SetStatisticsTarget | CreateStatistics,
    approved: Approved[Action],
    since: Since | None,
) -> Observed:
    """What is set counts once the ANALYZE that uses it has run."""
    if not _proof(connection, approved):
        return Observed("absent", f"{action.kind} is not in effect")
    parts, analyzed, _ = _maintenance(connection, action, since)
    if parts and analyzed == parts:
        return Observed("valid", f"{action.kind} is in effect, and the table was analyzed with it")
    return Observed("invalid", f"{action.kind} is set, but the table was not analyzed with it")


def _proven(connection: Connection, approved: Approved[Action]) -> Observed:
    kind = approved.action.kind
    if _proof(connection, approved):
        return Observed("valid", f"{kind} is in effect, read back from the catalog")
    return Observed("absent", f"{kind} is not in effect")


def _proof(connection: Connection, approved: Approved[Action]) -> bool:
    answered = verbatim(connection, approved.rendered.proof)
    return bool(answered) and next(iter(answered[0].values())) is True


# --- The server --------------------------------------------------------------------------------------------------


def _signalled(connection: Connection, action: CancelBackend | TerminateBackend, since: Since | None) -> Observed:
    found = row(connection, "session_by_pid", {"pid": action.pid})
    if found is not None and found["backend_start"] is None:
        return Observed("elsewhere", f"process {action.pid} is not shown to this role; GRANT pg_read_all_stats to it")
    if found is None or found["backend_start"] != datetime.fromisoformat(action.backend_start):
        return Observed("valid", f"process {action.pid} of then is gone")
    if isinstance(action, TerminateBackend):
        return Observed("absent", f"process {action.pid} is still there, {found['state']}")
    same = found["state"] == "active" and found["query_sha256"] == action.query_sha256
    # The same statement again is another run of it when it began after the claim.
    if same and (since is None or found["query_start"] <= since.at):
        return Observed("absent", f"process {action.pid} still runs that statement")
    return Observed("valid", f"process {action.pid} runs that statement no more: {found['state']}")


def _server_setting(connection: Connection, action: AlterSystemReload) -> Observed:
    found = row(connection, "server_setting", {"setting": action.setting})
    if found is None:
        return Observed("elsewhere", f"this server has no setting {action.setting}")
    shown = f"{action.setting} is {found['shown']}"
    if same_value(action.value, found["setting"], found["unit"]):
        return Observed("valid", shown)
    if found["source"] not in {"configuration file", "default"}:
        return Observed("elsewhere", f"{shown} for this role ({found['source']}), which hides the server's own")
    return Observed("absent", f"{shown}, not {action.value}")


def same_value(wanted: str, setting: str, unit: str | None) -> bool:
    """Whether a value as one writes it is what pg_settings shows: a number in `unit` ("8kB", "ms"), or a word."""
    ours, theirs = _amount(wanted, unit or ""), _amount(setting, unit or "")
    return wanted == setting if ours is None or theirs is None else abs(ours - theirs) <= 1e-6 * max(abs(ours), 1.0)


def _amount(text: str, unit: str) -> float | None:
    """In the smallest unit of its kind; without a unit of its own, the value is in `unit`. None: no number."""
    found = _VALUE.fullmatch(text)
    if found is None:
        return None
    number, own = float(found[1]), found[2]
    if number == -1:
        return number  # "off" or "no limit" in every unit
    if own:
        return next((number * sizes[own] for sizes in _SIZES if own in sizes), None)
    factor, base = _VALUE.fullmatch(unit), unit
    times = 1.0
    if factor is not None:
        times, base = float(factor[1]), factor[2]
    return number * times * next((sizes[base] for sizes in _SIZES if base in sizes), 1)
