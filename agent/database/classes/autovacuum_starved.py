"""Tables wait for an autovacuum that does not come: switched off, throttled, busy elsewhere, or shut out by a lock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.database.classes import old_xmin
from agent.database.finding import Finding, Judgement, proposed
from agent.database.incident_class import IncidentClass
from agent.database.readings import hidden, settings
from agent.database.sessions import SIGNAL_PRIVILEGE, idles_in_transaction, terminate, who
from agent.database.snapshot import NotVisible
from agent.database.text import shown
from guardrails.action import UnknownAction
from guardrails.server_action import AlterSystemReload
from guardrails.table_action import SetTableStorage, VacuumTable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.database.finding import ProposedAction
    from agent.database.readings import Readings, Row, Rows

NAME = "autovacuum_starved"
OVERDUE = 2.0
"""Times autovacuum's own threshold: one that works comes long before."""
OVERDUE_ROWS = 10_000
"""Below it dead rows cost nothing worth a finding."""
FASTER = 10
"""The factor a throttled autovacuum's cost limit is raised by; 10,000 is the most the server takes."""
MOST_COST_LIMIT = 10_000
DEFAULT_COST_LIMIT = 200
TITLE_CHARS = 200
_OWNER = "the table's owner (17 and later also MAINTAIN for a vacuum)"


def judge(readings: Readings) -> Judgement:
    waiting, known, sessions = readings.rows("vacuum_needs"), readings.rows("settings"), readings.rows("sessions")
    if isinstance(waiting, NotVisible):
        return (waiting,)
    overdue = tuple(row for row in waiting if _overdue(row))
    if not overdue or old_xmin.incidents(readings):
        return ()
    if isinstance(known, NotVisible):
        return (known,)
    if isinstance(sessions, NotVisible):
        return (sessions,)
    cause = _cause(overdue, settings(known), sessions)
    if cause is not None:
        return (_finding(overdue, cause, readings),)
    unseen = hidden(sessions)
    return (unseen,) if unseen else ()


@dataclass(frozen=True, slots=True)
class _Cause:
    """why: a sentence. table: the one that shows it. privilege: for the action."""

    why: str
    table: Row
    action: ProposedAction | None
    advice: str
    privilege: str


def _overdue(row: Row) -> bool:
    return bool(row["dead_rows"] >= OVERDUE_ROWS and row["dead_rows"] >= OVERDUE * row["wanted_at_rows"])


def _cause(overdue: Rows, known: Mapping[str, str], sessions: Rows) -> _Cause | None:
    """None where autovacuum may simply be about to come."""
    if known.get("autovacuum") == "off":
        advice = "ALTER SYSTEM SET autovacuum = on and reload; until then VACUUM by hand, the worst table first."
        return _Cause(
            "autovacuum is switched off for the whole server", overdue[0], _vacuum(overdue[0]), advice, _OWNER
        )
    for row in overdue:
        if not row["enabled"]:
            advice = "Find out who switched it off and why; a bulk load that forgot to switch it on again is common."
            return _Cause(f"autovacuum is switched off for {_name(row)}", row, _switch_on(row), advice, _OWNER)
    by_pid = {row["pid"]: row for row in sessions}
    for row in overdue:
        if row["shut_out_by"]:
            return _shut_out(row, by_pid)
    workers = [row for row in sessions if row["backend_type"] == "autovacuum worker"]
    most = int(known.get("autovacuum_max_workers", 0))
    if most and len(workers) >= most:
        return _busy(overdue[0], workers, known)
    return None


def _shut_out(row: Row, by_pid: Mapping[int, Row]) -> _Cause:
    holders = [by_pid[pid] for pid in row["shut_out_by"] if pid in by_pid]
    idle = [one for one in holders if idles_in_transaction(one)]
    words = "; ".join(f"{who(one)}, {one['state']}, {shown(one['query'], 60)}" for one in holders) or "a hidden session"
    advice = (
        "The holder is idle: ending it lets autovacuum in."
        if idle
        else "Let the holder finish where it is a build or a manual vacuum: autovacuum comes by itself afterwards."
    )
    why = f"autovacuum steps aside for a lock on {_name(row)}, held by {words}"
    return _Cause(why, row, terminate(idle[0]) if idle else None, advice, SIGNAL_PRIVILEGE)


def _busy(row: Row, workers: list[Row], known: Mapping[str, str]) -> _Cause:
    throttled = [one for one in workers if one["wait_event"] == "VacuumDelay"]
    why = f"all {len(workers)} workers are busy, {len(throttled)} of them asleep for their cost delay at this moment"
    limit = _cost_limit(known)
    raised = min(MOST_COST_LIMIT, limit * FASTER)
    action = None
    if throttled and raised > limit:
        previous = known.get("autovacuum_vacuum_cost_limit", "-1")
        written = "" if previous == "-1" else previous
        action = proposed(AlterSystemReload("autovacuum_vacuum_cost_limit", str(raised), written))
    advice = (
        f"The workers share one cost limit of {limit}: more workers would each be slower. A table that is always behind"
        " gets its own (ALTER TABLE … SET (autovacuum_vacuum_cost_limit = …)). Up to 15 a worker takes the new limit"
        " with its next table."
    )
    return _Cause(why, row, action, advice, "a superuser, or SET and ALTER SYSTEM on the setting (15 and later)")


def _cost_limit(known: Mapping[str, str]) -> int:
    own = int(known.get("autovacuum_vacuum_cost_limit", -1))
    return own if own > 0 else int(known.get("vacuum_cost_limit", DEFAULT_COST_LIMIT))


def _vacuum(row: Row) -> ProposedAction | None:
    try:
        return proposed(VacuumTable(row["schema"], row["table"]))
    except UnknownAction:
        return None


def _switch_on(row: Row) -> ProposedAction | None:
    try:
        return proposed(SetTableStorage(row["schema"], row["table"], "autovacuum_enabled", "true", "false"))
    except UnknownAction:
        return None


def _name(row: Row) -> str:
    return f"{shown(row['schema'], 63)}.{shown(row['table'], 63)}"


def _finding(overdue: Rows, cause: _Cause, readings: Readings) -> Finding:
    vacuums = readings.deltas("vacuums")
    running = () if isinstance(vacuums, NotVisible) else vacuums
    return Finding(
        incident_class=NAME,
        severity="warning",
        title=f"{len(overdue)} tables wait for vacuum in vain: {cause.why}"[:TITLE_CHARS],
        evidence=(
            f"Why: {cause.why}",
            *(
                f"{_name(row)} has {row['dead_rows']} dead rows; autovacuum is due from {row['wanted_at_rows']} on"
                for row in overdue[:5]
            ),
            *(_progress(row, readings.window_s) for row in running[:5]),
        ),
        action=cause.action,
        advice=cause.advice,
        ruled_out=(
            "Not an old snapshot: nothing keeps vacuum from removing the rows once it runs",
            "Not mere bloat: new dead rows will keep coming as long as no vacuum does",
        ),
        verification="n_dead_tup of the tables falls, and last_autovacuum moves.",
        rollback="The action's own rollback puts the old setting back."
        if cause.action and cause.action.rollback
        else "",
        privilege=cause.privilege,
        diagram="",
        data={"why": cause.why, "overdue": [dict(row) for row in overdue]},
    )


def _progress(row: Row, window_s: float) -> str:
    scanned, total = row["heap_blks_scanned"], row["heap_blks_total"]
    return f"Vacuum of {shown(row['table'], 63)}: {row['phase']}, {scanned} of {total} blocks in {window_s:.1f} s"


CLASS = IncidentClass(
    NAME,
    "autovacuum does not get to tables that need it",
    ("vacuum_needs", "vacuums", "settings", "sessions", "prepared", "slots", "standbys"),
    judge,
)
