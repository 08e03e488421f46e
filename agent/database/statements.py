"""What ran in a window by pg_stat_statements: the statements that matter, with their texts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.database.reading_part import reading_part
from agent.database.readings import number
from agent.database.snapshot import NotVisible, Plan

if TYPE_CHECKING:
    from agent.database.reader import TargetReader
    from agent.database.readings import Readings, Row

LOOKED_AT = 12
"""Statements whose texts are asked for, by each way of being busy."""
PLANNED = 5
PLANNED_SHARE = 0.05
"""Of the time in the window; what takes less is not looked at more closely."""
_PLANNABLE = ("select", "with", "values", "table", "update", "delete")
_BUSY_BY = ("total_exec_ms", "rows", "temp_blks_written", "calls")
BLOCK_BYTES = 8192  # BLCKSZ, which hardly anybody changes; pg_stat_statements counts in it


@dataclass(frozen=True, slots=True)
class Ran:
    """One statement of one role in the window.

    share is of all execution time in the window. spread_ms is the standard deviation of its times. fastest_ms is since
    the counters began, None on servers that do not say. generic_calls None: not before 18.
    """

    userid: int
    queryid: int
    user: str
    query: str
    calls: int
    total_ms: float
    mean_ms: float
    spread_ms: float
    fastest_ms: float | None
    rows: int
    temp_bytes: int
    share: float
    generic_calls: int | None

    @property
    def rows_per_call(self) -> float:
        return self.rows / self.calls

    def as_data(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


def with_texts(readings: Readings, reader: TargetReader) -> Readings:
    """A follow_up: the texts of the busiest statements, asked once for all classes."""
    if "statement_texts" in readings.now:
        return readings
    deltas = readings.deltas("statements")
    if isinstance(deltas, NotVisible):
        return readings.with_rows("statement_texts", deltas)
    queryids = list(dict.fromkeys(row["queryid"] for row in _busiest(deltas)))
    if not queryids:
        return readings.with_rows("statement_texts", ())
    return readings.with_rows("statement_texts", reader.asked("statement_texts", {"queryids": queryids}))


def with_plans(readings: Readings, reader: TargetReader) -> Readings:
    """A follow_up: also the generic plans of the few statements that take most of the time; of a write, its reading."""
    readings = with_texts(readings, reader)
    statements = ran(readings)
    if "statement_plans" in readings.now or isinstance(statements, NotVisible):
        return readings
    rows: list[Row] = []
    for statement in statements[:PLANNED]:
        if statement.share >= PLANNED_SHARE and statement.query.lstrip(" (\n\t").lower().startswith(_PLANNABLE):
            plan = reader.explain(reading_part(statement.query), statement.user)
            seen = {"why": plan.why} if isinstance(plan, NotVisible) else {"root": plan.root}
            rows.append({"userid": statement.userid, "queryid": statement.queryid, "root": None, "why": "", **seen})
    return readings.with_rows("statement_plans", tuple(rows))


def plan_of(readings: Readings, statement: Ran) -> Plan | None:
    """The generic plan that with_plans() asked for; None when it was not to be had."""
    rows = readings.rows("statement_plans")
    for row in () if isinstance(rows, NotVisible) else rows:
        if (row["userid"], row["queryid"]) == (statement.userid, statement.queryid) and row["root"]:
            return Plan(row["root"])
    return None


def ran(readings: Readings) -> tuple[Ran, ...] | NotVisible:
    """The statements whose texts are known and not our own, the longest in total first."""
    deltas, texts = readings.deltas("statements"), readings.rows("statement_texts")
    if isinstance(deltas, NotVisible):
        return deltas
    if isinstance(texts, NotVisible):
        return texts
    by_key = {(row["userid"], row["queryid"]): row["query"] for row in texts}
    total_ms = sum(row["total_exec_ms"] for row in deltas)
    known = [
        _ran(row, by_key[row["userid"], row["queryid"]], total_ms)
        for row in deltas
        if row["calls"] > 0 and (row["userid"], row["queryid"]) in by_key
    ]
    return tuple(sorted(known, key=lambda statement: -statement.total_ms))


def unseen(readings: Readings) -> tuple[NotVisible, ...]:
    """That other roles' statements are hidden from us; nothing when all are shown."""
    rows = readings.rows("statements")
    if isinstance(rows, NotVisible) or all(row["queryid"] for row in rows):
        return ()
    why = "the role is no member of pg_read_all_stats"
    return (NotVisible("statements of other roles", why, "GRANT pg_monitor TO <diagnose role>"),)


def unplanned(readings: Readings) -> tuple[NotVisible, ...]:
    """Statements that carry the load and whose plan was not to be had, by reason; with those hidden from us."""
    rows = readings.rows("statement_plans")
    reasons = dict.fromkeys(row["why"] for row in (() if isinstance(rows, NotVisible) else rows) if row["why"])
    told = [NotVisible("the plan of a statement that carries the load", why, _grant(why)) for why in reasons]
    return (*unseen(readings), *told)


def _grant(why: str) -> str:
    return "GRANT pg_read_all_data TO <diagnose role>" if "permission denied" in why else ""


def _busiest(deltas: tuple[Row, ...]) -> list[Row]:
    active = [row for row in deltas if row["calls"] > 0 and row["queryid"]]
    chosen: list[Row] = []
    for by in _BUSY_BY:
        chosen += sorted((row for row in active if row[by]), key=lambda row: -row[by])[:LOOKED_AT]
    return chosen


def _ran(row: Row, query: str, total_ms: float) -> Ran:
    calls = row["calls"]
    mean_ms = row["total_exec_ms"] / calls
    variance = number(row, "sum_squared_ms") / calls - mean_ms**2
    return Ran(
        userid=row["userid"],
        queryid=row["queryid"],
        user=row["user"],
        query=query,
        calls=calls,
        total_ms=row["total_exec_ms"],
        mean_ms=mean_ms,
        spread_ms=math.sqrt(max(0.0, variance)),
        fastest_ms=row["min_exec_ms"],
        rows=row["rows"],
        temp_bytes=int(number(row, "temp_blks_written")) * BLOCK_BYTES,
        share=row["total_exec_ms"] / total_ms if total_ms else 0.0,
        generic_calls=row["generic_calls"],
    )
