"""Something holds an old snapshot, and vacuum may not remove what it might still see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from agent.database.blocking import Blocking
from agent.database.classes import forgotten_prepared_transaction, idle_in_transaction, slot_retains_wal
from agent.database.finding import Finding, Judgement, proposed
from agent.database.incident_class import IncidentClass
from agent.database.readings import Readings, Row, Rows, hidden
from agent.database.sessions import SIGNAL_PRIVILEGE, cancel, idles_in_transaction, terminate, who
from agent.database.snapshot import NotVisible
from agent.database.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.database.finding import ProposedAction

NAME = "old_xmin"
CRITICAL_XIDS = 10_000_000
"""A twentieth of autovacuum_freeze_max_age's default: by now every busy table carries its dead rows along."""

Kind = Literal["session", "prepared transaction", "slot", "standby"]
_PRIVILEGE = {
    "session": SIGNAL_PRIVILEGE,
    "prepared transaction": "the transaction's owner, or a superuser",
    "slot": "a superuser, or REPLICATION",
    "standby": "pg_signal_backend on the standby",
}


@dataclass(frozen=True, slots=True)
class Holder:
    """age counts transactions. pid None: no session of this server."""

    kind: Kind
    name: str
    age: int
    row: Row
    pid: int | None = None


def judge(readings: Readings) -> Judgement:
    unseen = [one for name in ("sessions", "prepared", "slots", "standbys") if (one := _hidden(readings, name))]
    return (*(_finding(holder, readings) for holder in incidents(readings)), *unseen)


def incidents(readings: Readings) -> tuple[Holder, ...]:
    """The oldest holder, when it is old enough and no other incident names it already."""
    holders = sorted(_holders(readings), key=lambda holder: -holder.age)
    if not holders or holders[0].age < readings.limits.old_xmin_xids or _told_elsewhere(holders[0], readings):
        return ()
    return (holders[0],)


def _holders(readings: Readings) -> Iterator[Holder]:
    """Of snapshots that this database's vacuum must respect: sessions of other databases are none of its business."""
    for row in _rows(readings, "sessions"):
        age = max(row["backend_xmin_age"] or 0, row["backend_xid_age"] or 0)
        if age and row["database"] == readings.database and row["backend_type"] == "client backend":
            yield Holder("session", who(row), age, row, row["pid"])
    for row in _rows(readings, "prepared"):
        if row["database"] == readings.database:
            yield Holder("prepared transaction", f"Prepared transaction {shown(row['gid'])}", row["xid_age"], row)
    standbys = {row["pid"] for row in _rows(readings, "standbys")}
    for row in _rows(readings, "slots"):
        age = max(row["xmin_age"] or 0, row["catalog_xmin_age"] or 0)
        if age and row["active_pid"] in standbys and row["type"] == "physical":
            yield Holder("standby", f"The standby on slot {row['slot']}", age, row)
        elif age:
            yield Holder("slot", f"Slot {row['slot']}", age, row)
    for row in _rows(readings, "standbys"):
        if row["backend_xmin_age"]:
            yield Holder("standby", f"Standby {shown(row['application'], 63)}", row["backend_xmin_age"], row)


def _rows(readings: Readings, name: str) -> Rows:
    found = readings.rows(name)
    return () if isinstance(found, NotVisible) else found


def _hidden(readings: Readings, name: str) -> NotVisible | None:
    found = readings.rows(name)
    if isinstance(found, NotVisible):
        return found
    return hidden(found) if name in {"sessions", "standbys"} else None


def _told_elsewhere(holder: Holder, readings: Readings) -> bool:
    match holder.kind:
        case "session":
            blocking = Blocking.of(_rows(readings, "sessions"))
            return idle_in_transaction.counts(holder.row, blocking, readings.limits)
        case "prepared transaction":
            return forgotten_prepared_transaction.counts(holder.row, _rows(readings, "sessions"), readings.limits)
        case "slot":
            return slot_retains_wal.counts(holder.row, _rows(readings, "settings"))
        case "standby":
            return False


def _finding(holder: Holder, readings: Readings) -> Finding:
    waiting = _rows(readings, "vacuum_needs")
    dead = [
        (
            f"{shown(row['schema'], 63)}.{shown(row['table'], 63)} has {row['dead_rows']} dead rows beside"
            f" {row['live_rows']} live ones"
        )
        for row in waiting[:3]
    ]
    return Finding(
        incident_class=NAME,
        severity="critical" if holder.age >= CRITICAL_XIDS else "warning",
        title=f"{holder.name} holds vacuum back by {holder.age} transactions",
        evidence=(f"The oldest of all holders is this {holder.kind}: {_state(holder)}", *dead),
        action=_action(holder),
        advice=_advice(holder),
        ruled_out=(
            f"Not another holder: of sessions, prepared transactions, slots and standbys the {holder.kind} is oldest",
            "Not an autovacuum that is too slow: no vacuum could remove these rows before the holder is gone",
        ),
        verification="The oldest age(backend_xmin) falls, and n_dead_tup with the next vacuum.",
        rollback="The consumer must be seeded anew." if holder.kind == "slot" else "",
        privilege=_PRIVILEGE[holder.kind],
        diagram="",
        data={"kind": holder.kind, "age": holder.age, "holder": dict(holder.row)},
    )


def _state(holder: Holder) -> str:
    row = holder.row
    match holder.kind:
        case "session":
            since_s = row["xact_age_s"] or 0.0
            return f"{holder.name}, {row['state']}, in a transaction of {since_s:.0f} s, {shown(row['query'], 100)}"
        case "prepared transaction":
            return f"{holder.name} of {shown(row['owner'], 63)}, prepared {row['age_s']:.0f} s ago"
        case "slot":
            return f"{holder.name} ({row['type']}), {'active' if row['active'] else 'inactive'}"
        case "standby":
            return f"{holder.name}, which tells its own oldest snapshot by hot_standby_feedback"


def _action(holder: Holder) -> ProposedAction | None:
    match holder.kind:
        case "session":
            return terminate(holder.row) if idles_in_transaction(holder.row) else cancel(holder.row)
        case "prepared transaction":
            return forgotten_prepared_transaction.rolled_back(holder.row)
        case "slot":
            return None if holder.row["active"] else proposed(slot_retains_wal.dropped(holder.row))
        case "standby":
            return None


def _advice(holder: Holder) -> str:
    match holder.kind:
        case "session":
            return "Long reports belong on a standby, or in pieces; then VACUUM the tables named."
        case "prepared transaction":
            return "Ask its coordinator first: rolling back what it has promised to commit loses the work."
        case "slot":
            return "Revive the consumer where it still exists; a slot once dropped means seeding the consumer anew."
        case "standby":
            return "Run `stanch diagnose` on the standby: the statement that holds the snapshot is there."


CLASS = IncidentClass(
    NAME,
    "an old snapshot keeps vacuum from removing dead rows",
    ("sessions", "prepared", "slots", "standbys", "settings", "vacuum_needs"),
    judge,
)
