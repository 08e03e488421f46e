"""A table full of dead rows that autovacuum is not due for: every scan reads them along."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.database.classes import autovacuum_starved, old_xmin
from agent.database.finding import Finding, Judgement, proposed
from agent.database.incident_class import IncidentClass
from agent.database.index_change import megabytes
from agent.database.snapshot import NotVisible
from agent.database.text import shown
from guardrails.action import UnknownAction
from guardrails.sql.identifier import UnusableName, qualified
from guardrails.table_action import VacuumTable

if TYPE_CHECKING:
    from agent.database.finding import ProposedAction
    from agent.database.readings import Readings, Row

NAME = "table_bloat"
TOLD = 5
_WHEN = ("autovacuum_enabled", "autovacuum_vacuum_threshold", "autovacuum_vacuum_scale_factor")


def judge(readings: Readings) -> Judgement:
    tables, running = readings.rows("tables"), readings.rows("vacuums")
    if isinstance(tables, NotVisible):
        return (tables,)
    if old_xmin.incidents(readings):
        return ()  # vacuum could remove nothing: that is the incident
    busy = set() if isinstance(running, NotVisible) else {row["table"] for row in running}
    starved = _starved(readings)
    bloated = [
        row for row in tables if _is_bloated(row, readings) and not {_key(row), _regclass(row)} & (busy | starved)
    ]
    bloated.sort(key=lambda row: -row["dead_rows"])
    return tuple(_finding(row) for row in bloated[:TOLD])


def _is_bloated(row: Row, readings: Readings) -> bool:
    dead, live = row["dead_rows"], row["live_rows"]
    # live_rows begins at nothing when the counters are reset; the planner's figure does not.
    all_rows = max(dead + live, row["planner_rows"])
    return bool(dead >= readings.limits.dead_rows and dead >= readings.limits.dead_share * all_rows)


def _starved(readings: Readings) -> set[str]:
    """Tables that autovacuum should have come to: whatever keeps it away is the incident."""
    found = autovacuum_starved.judge(readings)
    return {_key(row) for one in found if isinstance(one, Finding) for row in one.data.get("overdue", ())}


def _key(row: Row) -> str:
    return f"{row['schema']}.{row['table']}"


def _regclass(row: Row) -> str:
    """As the server itself writes a table's name, which is how a running vacuum names it."""
    try:
        return qualified(row["schema"], row["table"])
    except UnusableName:
        return _key(row)


def _finding(row: Row) -> Finding:
    dead, live = row["dead_rows"], row["live_rows"]
    name = f"{shown(row['schema'], 63)}.{shown(row['table'], 63)}"
    age_s = row["vacuumed_age_s"]
    vacuumed = "No vacuum is on record" if age_s is None else f"It was last vacuumed {age_s / 60:.0f} min ago"
    own = [option for option in row["options"] if option.split("=")[0] in _WHEN]
    set_so = f"the table's own settings: {shown(', '.join(own), 120)}" if own else "the server's settings"
    return Finding(
        incident_class=NAME,
        severity="warning",
        title=f"{name} holds {dead} dead rows beside {live} live ones",
        evidence=(
            f"{dead / max(1, dead + live):.0%} of its rows are dead (n_dead_tup), in {megabytes(row['bytes'])}",
            f"{vacuumed}; when autovacuum is due follows from {set_so}",
        ),
        action=_vacuum(row),
        advice=(
            f"So that it does not come back: ALTER TABLE {name} SET (autovacuum_vacuum_scale_factor = 0.05) lets"
            " autovacuum come earlier. VACUUM makes the room free for new rows of this table and gives little of it"
            " back to the disk; where that is needed, pg_repack does it online. Never VACUUM FULL or CLUSTER: both stop"
            " everybody who reads the table."
        ),
        ruled_out=(
            "Not held back by an old snapshot: no session, slot, standby or prepared transaction holds one that long",
            "Not an autovacuum that is switched off, busy or shut out: by its settings it is not due yet",
        ),
        verification="n_dead_tup falls to a few percent, last_vacuum moves; a non-owner's VACUUM only warns.",
        rollback="",
        privilege="the table's owner; from 17 on also MAINTAIN",
        diagram="",
        data=dict(row),
    )


def _vacuum(row: Row) -> ProposedAction | None:
    try:
        return proposed(VacuumTable(row["schema"], row["table"]))
    except UnknownAction:
        return None


CLASS = IncidentClass(
    NAME,
    "a table is full of dead rows",
    ("tables", "vacuums", "vacuum_needs", "settings", "sessions", "prepared", "slots", "standbys"),
    judge,
)
