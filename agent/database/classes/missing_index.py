"""A statement reads a big table in full for a few rows, since no index leads to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.database import missing_index, statements
from agent.database.finding import Finding, Judgement
from agent.database.incident_class import IncidentClass
from agent.database.index_change import PRIVILEGE, build, if_corrupting, megabytes
from agent.database.reading_part import reading_part
from agent.database.snapshot import NotVisible
from agent.database.text import shown

if TYPE_CHECKING:
    from agent.database.missing_index import Candidate
    from agent.database.reader import TargetReader
    from agent.database.readings import Readings, Row
    from agent.database.snapshot import Plan, TableFacts
    from agent.database.statements import Ran

NAME = "missing_index"
BIG_TABLE_ROWS = 10_000
"""Below it a sequential scan is no problem; pghero's missing-index query starts there too."""
SLOW_MEAN_MS = 5.0
"""A quarter of pghero's slow_query_ms, for a statement that is called often takes its share with less."""
TIME_SHARE = 0.1
COST_FALL = 5.0
"""A missing index makes a plan at least this much cheaper; smaller gains have other causes."""
FEW_ROWS_SHARE = 0.1
"""Of the table; who wants more of it is served by reading it in full."""
TOLD = 3


def follow_up(readings: Readings, reader: TargetReader) -> Readings:
    readings = statements.with_plans(readings, reader)
    ran = statements.ran(readings)
    if isinstance(ran, NotVisible):
        return readings
    rows: list[Row] = []
    for statement in ran:
        plan = statements.plan_of(readings, statement)
        if plan is not None and statement.mean_ms >= SLOW_MEAN_MS and statement.share >= TIME_SHARE:
            rows += _advised(statement, plan, reader)
    return readings.with_rows("index_advice", tuple(rows))


def judge(readings: Readings) -> Judgement:
    ran, advice = statements.ran(readings), readings.rows("index_advice")
    if isinstance(ran, NotVisible):
        return (ran,)
    by_id = {(one.userid, one.queryid): one for one in ran}
    rows = () if isinstance(advice, NotVisible) else advice
    found: dict[tuple[Any, ...], Finding] = {}
    for row in rows:
        key = (row["schema"], row["table"], tuple(row["columns"]))
        if _falls(row) and key not in found:
            found[key] = _finding(row, by_id[row["userid"], row["queryid"]], readings)
    return (*list(found.values())[:TOLD], *statements.unplanned(readings))


def _falls(row: Row) -> bool:
    before, after = row["cost_before"], row["cost_after"]
    return after is not None and before >= COST_FALL * max(after, 0.01)


def _advised(statement: Ran, plan: Plan, reader: TargetReader) -> list[Row]:
    """The thriftiest index for the dearest filtered scan of a big table; none when one is there or none would help."""
    for scan in plan.sequential_scans():
        facts = reader.table_facts(scan.schema or "", scan.table)
        if isinstance(facts, NotVisible) or (facts.rows or 0) < BIG_TABLE_ROWS or facts.partitioned:
            continue
        if scan.rows > FEW_ROWS_SHARE * (facts.rows or 0):
            continue
        wanted = missing_index.candidates(reading_part(statement.query), plan, facts)
        if any(missing_index.existing_index(one, facts) for one in wanted):
            continue
        priced = [_priced(statement, plan, one, facts, reader) for one in wanted]
        known = [row for row in priced if row["cost_after"] is not None]
        if known:
            return [min(known, key=_weight)]
    return []


def _weight(row: Row) -> tuple[float, int]:
    """The cheapest plan for the room the index takes: each column more is paid by every write."""
    return missing_index.burden(row["cost_after"], row["room_bytes"]), len(row["columns"])


def _priced(statement: Ran, plan: Plan, candidate: Candidate, facts: TableFacts, reader: TargetReader) -> Row:
    what_if = reader.what_if(
        reading_part(statement.query), facts.schema, facts.table, candidate.columns, statement.user
    )
    row: dict[str, Any] = {
        "userid": statement.userid,
        "queryid": statement.queryid,
        "schema": facts.schema,
        "table": facts.table,
        "rows": facts.rows,
        "columns": list(candidate.columns),
        "cost_before": plan.total_cost,
        # Ours to estimate for all alike: HypoPG's figure grows too fast with the columns (measured on 1.3.1).
        "room_bytes": missing_index.estimated_bytes(candidate, facts),
    }
    if isinstance(what_if, NotVisible):
        return row | {
            "estimated_bytes": row["room_bytes"],
            "cost_after": missing_index.estimated_cost(plan, candidate, facts),
            "validated": False,
        }
    return row | {
        "estimated_bytes": what_if.estimated_bytes,
        "cost_after": what_if.cost_after if what_if.used else what_if.cost_before,
        "validated": True,
    }


def _finding(row: Row, statement: Ran, readings: Readings) -> Finding:
    name = f"{shown(row['schema'], 63)}.{shown(row['table'], 63)}"
    columns = ", ".join(shown(column, 63) for column in row["columns"])
    how = "tried with HypoPG" if row["validated"] else "by the planner's own estimates, not validated"
    size = f"about {megabytes(row['estimated_bytes'])}" if row["estimated_bytes"] else "of a size that is not known"
    return Finding(
        incident_class=NAME,
        severity="warning",
        title=f"A statement reads all of {name} for want of an index on ({columns})",
        evidence=(
            (
                f"{statement.calls} calls of {statement.mean_ms:.1f} ms took {statement.share:.0%} of the time:"
                f" {shown(statement.query, 120)}"
            ),
            (
                f"The plan reads all {row['rows']} rows of {name}; its cost would fall from {row['cost_before']:.0f} to"
                f" {row['cost_after']:.0f} ({how})"
            ),
            f"The index would take {size}",
        ),
        action=build(readings, row["schema"], row["table"], row["columns"]),
        advice=(
            if_corrupting(readings)
            + "After the build the statement's real time decides: where it is not better, drop the"
            " index again. Every write of the table pays for it."
        ),
        ruled_out=(
            "Not an index that is there and not chosen: none leads with these columns",
            "Not a result as large as the table: the plan wants few of its rows",
        ),
        verification="The index is valid, the plan uses it, and the statement's mean time by queryid falls.",
        rollback="DROP INDEX CONCURRENTLY.",
        privilege=f"{PRIVILEGE}, and CREATE on its schema",
        diagram="",
        data={"advice": dict(row), "statement": statement.as_data()},
    )


CLASS = IncidentClass(NAME, "a statement reads a big table for want of an index", ("statements",), judge, follow_up)
