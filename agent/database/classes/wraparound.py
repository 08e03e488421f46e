"""Transaction ids are running out because old rows are not frozen: at the end the server takes no more writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.database.finding import Finding, Judgement, proposed
from agent.database.incident_class import IncidentClass
from agent.database.readings import settings
from agent.database.snapshot import NotVisible
from agent.database.text import shown
from guardrails.action import UnknownAction
from guardrails.table_action import VacuumTable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.database.finding import ProposedAction
    from agent.database.readings import Readings, Row, Rows

NAME = "wraparound"
WARNING_AGE = 1_300_000_000
"""check_postgres' txn_wraparound warns here; autovacuum should have come at autovacuum_freeze_max_age (200 million)."""
CRITICAL_AGE = 1_600_000_000
"""vacuum_failsafe_age: from here on vacuum itself drops everything else (14 and later)."""
LIMIT = 2_147_483_648 - 3_000_000
"""The server stops assigning transaction ids three million before the end."""
_ENOUGH = 0.5
"""A holder at least this share of the age is what keeps it."""


def judge(readings: Readings) -> Judgement:
    databases = readings.rows("databases")
    if isinstance(databases, NotVisible):
        return (databases,)
    old = [row for row in databases if _age(row) >= WARNING_AGE]
    if not old:
        return ()
    return (_finding(max(old, key=_age), readings),)


def _age(row: Row) -> int:
    return max(row["xid_age"] or 0, row["mxid_age"] or 0)


def _finding(database: Row, readings: Readings) -> Finding:
    tables, known = _rows(readings, "oldest_tables"), settings(_rows(readings, "settings"))
    age, left = _age(database), max(0, LIMIT - _age(database))
    holder = _holder(readings, age)
    kind = "multixact" if (database["mxid_age"] or 0) > (database["xid_age"] or 0) else "transaction"
    return Finding(
        incident_class=NAME,
        severity="critical" if age >= CRITICAL_AGE else "warning",
        title=f"Database {shown(database['database'], 63)} is {age} {kind} ids old; writes stop after {left} more",
        evidence=(
            (
                f"Its oldest unfrozen {kind} id is {age} ids old; autovacuum_freeze_max_age is"
                f" {known.get('autovacuum_freeze_max_age', 'not visible')}, so freezing has been overdue for long"
            ),
            *(f"{_name(row)} is {row['xid_age']} ids old, {row['bytes'] / 2**20:.0f} MiB" for row in tables[:5]),
            _kept_by(holder, _rows(readings, "vacuums"), known),
        ),
        action=None if holder else _freeze(tables, database),
        advice=_advice(holder, database),
        ruled_out=_ruled_out(holder),
        verification="age(relfrozenxid) of the table falls; after all old tables, age(datfrozenxid) of the database.",
        rollback="",
        privilege="the table's owner (17 and later also MAINTAIN)",
        diagram="",
        data={"database": dict(database), "oldest_tables": [dict(row) for row in tables], "holder": holder},
    )


def _rows(readings: Readings, name: str) -> Rows:
    found = readings.rows(name)
    return () if isinstance(found, NotVisible) else found


def _holder(readings: Readings, age: int) -> str | None:
    """What holds a snapshot about as old as the oldest rows: freezing cannot get past it."""
    ages = [
        (row["backend_xmin_age"] or 0, f"process {row['pid']} ({row['state']})") for row in _rows(readings, "sessions")
    ]
    ages += [(row["xid_age"] or 0, f"prepared transaction {shown(row['gid'])}") for row in _rows(readings, "prepared")]
    ages += [
        (max(row["xmin_age"] or 0, row["catalog_xmin_age"] or 0), f"slot {row['slot']}")
        for row in _rows(readings, "slots")
    ]
    ages += [
        (row["backend_xmin_age"] or 0, f"standby {shown(row['application'], 63)}")
        for row in _rows(readings, "standbys")
    ]
    oldest, name = max(ages, default=(0, ""))
    return f"{name}, {oldest} ids old" if oldest >= _ENOUGH * age else None


def _kept_by(holder: str | None, vacuums: Rows, known: Mapping[str, str]) -> str:
    if holder:
        return f"Freezing cannot get past {holder}"
    running = [shown(row["table"], 63) for row in vacuums if "wraparound" in row["query"]]
    if running:
        return f"Autovacuum is at {', '.join(running)} to prevent wraparound; it must not be cancelled"
    off = known.get("autovacuum") == "off"
    return "Nothing holds it back: autovacuum is " + ("switched off" if off else "too slow, failing, or not at it")


def _name(row: Row) -> str:
    return f"{shown(row['schema'], 63)}.{shown(row['table'], 63)}"


def _freeze(tables: Rows, database: Row) -> ProposedAction | None:
    """The oldest table that has an owner other than the system; none of another database can be reached from here."""
    if not database["this_one"]:
        return None
    for row in tables:
        if row["schema"] not in {"pg_catalog", "information_schema"}:
            try:
                return proposed(VacuumTable(row["schema"], row["table"], analyze=False, freeze=True))
            except UnknownAction:
                continue
    return None


def _advice(holder: str | None, database: Row) -> str:
    if holder:
        return f"End the holder first, as the finding about it says: {holder}. Then freeze the oldest tables."
    where = "" if database["this_one"] else f"Connect to {shown(database['database'], 63)}. "
    return (
        f"{where}Freeze table by table, the oldest first, the catalog's as superuser (vacuumdb --freeze, or -t for"
        " one); a raised autovacuum_vacuum_cost_limit lets autovacuum keep up. No VACUUM FULL, no single-user mode,"
        " and no cancel for workers that say (to prevent wraparound)."
    )


def _ruled_out(holder: str | None) -> tuple[str, ...]:
    if holder:
        return ("Not an autovacuum that is too slow alone: it could not freeze past the holder",)
    return ("Not an old snapshot: no session, prepared transaction, slot or standby is nearly as old",)


CLASS = IncidentClass(
    NAME,
    "transaction ids are running out",
    ("databases", "oldest_tables", "settings", "sessions", "prepared", "slots", "standbys", "vacuums"),
    judge,
)
