"""Sorts and hashes that do not fit into work_mem go through temporary files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.database import statements
from agent.database.finding import Finding, Judgement, proposed
from agent.database.incident_class import IncidentClass
from agent.database.index_change import megabytes
from agent.database.readings import settings
from agent.database.role_settings import role_setting
from agent.database.snapshot import NotVisible
from agent.database.text import shown
from guardrails.action import UnknownAction
from guardrails.server_action import SetRoleSetting

if TYPE_CHECKING:
    from agent.database.finding import ProposedAction
    from agent.database.readings import Readings
    from agent.database.statements import Ran

NAME = "temp_file_spill"
IN_MEMORY = 4
"""Rows in memory take two to three times their space in a temporary file; rounded up to a power of two."""
MOST_WORK_MEM_MB = 256
"""Each sort of each session may take it; beyond, the statement or an index has to change."""
GUILTY_SHARE = 0.5
_UNITS_KB = {"kB": 1, "MB": 1024, "GB": 1024 * 1024}


def judge(readings: Readings) -> Judgement:
    work = readings.deltas("database_work")
    if isinstance(work, NotVisible):
        return (work,)
    if not work or not readings.window_s:
        return ()
    spilled = work[0]["temp_bytes"]
    if spilled / readings.window_s < readings.limits.temp_bytes_per_s:
        return ()
    ran = statements.ran(readings)
    if isinstance(ran, NotVisible):
        return (_finding(spilled, None, readings), ran)
    worst = max(ran, key=lambda statement: statement.temp_bytes, default=None)
    guilty = worst if worst is not None and worst.temp_bytes >= GUILTY_SHARE * spilled else None
    return (_finding(spilled, guilty, readings), *statements.unseen(readings))


def _finding(spilled: int, guilty: Ran | None, readings: Readings) -> Finding:
    wanted_mb = _wanted_mb(guilty) if guilty else None
    have = _work_mem(readings, guilty.user if guilty else "")
    evidence = [f"{megabytes(spilled)} went to temporary files in {readings.window_s:.1f} s"]
    if guilty is not None:
        evidence.append(
            f"{megabytes(guilty.temp_bytes)} of it by one statement of {shown(guilty.user, 63)}, {guilty.calls} calls:"
            f" {shown(guilty.query, 120)}"
        )
        evidence.append(f"{megabytes(guilty.temp_bytes / guilty.calls)} a call, with work_mem = {have}")
    return Finding(
        incident_class=NAME,
        severity="warning",
        title=f"{megabytes(spilled / readings.window_s)} a second go through temporary files",
        evidence=tuple(evidence),
        action=_more_memory(guilty, wanted_mb, readings) if guilty and wanted_mb else None,
        advice=_advice(guilty, wanted_mb),
        ruled_out=(
            "Not the tables' own growth: temp_bytes counts temporary files alone",
            "Not WAL: that is counted apart",
        ),
        verification="temp_bytes stands still while the statement runs, in sessions opened after the change.",
        rollback="The role's earlier setting comes back; sessions take it when they are opened anew.",
        privilege="CREATEROLE with ADMIN on the role, or a superuser",
        diagram="",
        data={"temp_bytes": spilled, "statement": guilty.as_data() if guilty else None, "work_mem": have},
    )


def _wanted_mb(guilty: Ran) -> int:
    need_mb = guilty.temp_bytes / guilty.calls * IN_MEMORY / (1024 * 1024)
    wanted = 1
    while wanted < need_mb:
        wanted *= 2
    return wanted


def _advice(guilty: Ran | None, wanted_mb: int | None) -> str:
    never = "Never raise work_mem for everybody: each sort of each connection may take it."
    if guilty is None or wanted_mb is None:
        return f"No single statement writes most of it; raise work_mem for the role that runs the large sorts. {never}"
    if wanted_mb > MOST_WORK_MEM_MB:
        return (
            f"It would take {wanted_mb} MB of memory a sort, which is too much for a setting: an index that gives the"
            f" order asked for, a smaller result, or fewer columns in the sort help. {never}"
        )
    return (
        f"An index that gives the order asked for needs no sort at all. Sessions open now keep their setting. {never}"
    )


def _more_memory(guilty: Ran, wanted_mb: int, readings: Readings) -> ProposedAction | None:
    previous = role_setting(readings, guilty.user, "work_mem")
    if wanted_mb > MOST_WORK_MEM_MB or isinstance(previous, NotVisible):
        return None
    if _kilobytes(_work_mem(readings, guilty.user)) >= wanted_mb * 1024:
        return None  # set already; the sessions are older, or the role is not the one that counts
    try:
        return proposed(SetRoleSetting(guilty.user, "work_mem", f"{wanted_mb}MB", previous or ""))
    except UnknownAction:
        return None


def _work_mem(readings: Readings, user: str) -> str:
    own = role_setting(readings, user, "work_mem")
    if isinstance(own, str):
        return own
    known = readings.rows("settings")
    kilobytes = "" if isinstance(known, NotVisible) else settings(known).get("work_mem", "")
    return f"{kilobytes}kB" if kilobytes else "unknown"


def _kilobytes(text: str) -> int:
    number = text.rstrip("kMGB")
    return int(number) * _UNITS_KB.get(text.removeprefix(number), 1) if number.isdigit() else 0


CLASS = IncidentClass(
    NAME,
    "sorts and hashes go through temporary files",
    ("database_work", "statements", "role_settings", "settings"),
    judge,
    statements.with_texts,
)
