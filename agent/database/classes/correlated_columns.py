"""Columns whose values go together: the planner multiplies their shares and expects far too few rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.database import missing_index, statements
from agent.database.classes import outdated_statistics
from agent.database.finding import Finding, Judgement, proposed
from agent.database.incident_class import IncidentClass
from agent.database.reading_part import reading_part
from agent.database.snapshot import NotVisible
from agent.database.text import shown
from guardrails.action import UnknownAction
from guardrails.table_action import CreateStatistics

if TYPE_CHECKING:
    from agent.database.finding import ProposedAction
    from agent.database.reader import TargetReader
    from agent.database.readings import Readings, Row
    from agent.database.snapshot import Plan, TableFacts
    from agent.database.statements import Ran

NAME = "correlated_columns"
AGREES_WITHIN = 3.0
"""Rows a call against what the most selective column alone lets through: then the others add nothing to it."""
LEAST_COLUMNS = 2
TOLD = 3


def follow_up(readings: Readings, reader: TargetReader) -> Readings:
    """Asks about the tables of statements that give far more rows than expected."""
    readings = statements.with_plans(readings, reader)
    ran = statements.ran(readings)
    if isinstance(ran, NotVisible):
        return readings
    rows: list[Row] = []
    for statement in ran:
        plan = statements.plan_of(readings, statement)
        if plan is not None and _underestimated(statement, plan):
            rows += _looked_at(statement, plan, reader)
    return readings.with_rows("columns_together", tuple(rows))


def judge(readings: Readings) -> Judgement:
    ran, tables, looked = readings.deltas("statements"), readings.rows("tables"), readings.rows("columns_together")
    if isinstance(ran, NotVisible):
        return (ran,)
    if isinstance(tables, NotVisible):
        return (tables,)
    stale = {(row["schema"], row["table"]) for row in tables if outdated_statistics.is_stale(row)}
    found: dict[tuple[Any, ...], Finding] = {}
    for row in () if isinstance(looked, NotVisible) else looked:
        key = (row["schema"], row["table"], tuple(row["columns"]))
        if key[:2] not in stale and not row["known"] and _go_together(row):
            found.setdefault(key, _finding(row))
    return (*list(found.values())[:TOLD], *statements.unseen(readings))


def _underestimated(statement: Ran, plan: Plan) -> bool:
    too_few = float(plan.root.get("Plan Rows", 0)) < statement.rows_per_call
    return too_few and outdated_statistics.off_by(statement, plan) is not None


def _looked_at(statement: Ran, plan: Plan, reader: TargetReader) -> list[Row]:
    """One row for a plan over a single table that asks for two or more columns to equal something."""
    scans = {
        (str(node.get("Schema", "")), str(node["Relation Name"])) for node in plan.nodes() if "Relation Name" in node
    }
    if len(scans) != 1:
        return []
    ((schema, table),) = scans
    facts = reader.table_facts(schema, table)
    if isinstance(facts, NotVisible) or not facts.rows:
        return []
    columns = _compared(statement, facts)
    known = reader.asked("extended_statistics", {"schema": schema, "table": table})
    if len(columns) < LEAST_COLUMNS or isinstance(known, NotVisible):
        return []
    single = min(facts.rows / missing_index.distinct_values(name, facts) for name in columns)
    return [
        {
            "schema": schema,
            "table": table,
            "columns": columns,
            "single_rows": single,
            "expected_rows": float(plan.root.get("Plan Rows", 0)),
            "rows_per_call": statement.rows_per_call,
            "calls": statement.calls,
            "query": statement.query,
            "known": any(set(columns) <= set(one["columns"]) for one in known),
        }
    ]


def _compared(statement: Ran, facts: TableFacts) -> list[str]:
    for one in missing_index.candidates(reading_part(statement.query), None, facts):
        if one.equality_columns >= LEAST_COLUMNS:
            return sorted(one.columns[: one.equality_columns])
    return []


def _go_together(row: Row) -> bool:
    """As many rows come out as the most selective column alone would give: more would be a skewed value."""
    return bool(row["single_rows"] / AGREES_WITHIN <= row["rows_per_call"] <= row["single_rows"] * AGREES_WITHIN)


def _finding(row: Row) -> Finding:
    name = f"{shown(row['schema'], 63)}.{shown(row['table'], 63)}"
    columns = ", ".join(shown(column, 63) for column in row["columns"])
    return Finding(
        incident_class=NAME,
        severity="notice",
        title=f"The planner takes {columns} of {name} for independent, and expects too few rows",
        evidence=(
            f"It expects {row['expected_rows']:.0f} rows of: {shown(row['query'], 120)}",
            (
                f"It gave {row['rows_per_call']:.0f} rows a call in {row['calls']} calls: as many as one of the"
                f" columns alone lets through ({row['single_rows']:.0f})"
            ),
        ),
        action=_statistics(row),
        advice="Statistics over the columns together cost no write; ANALYZE keeps them up to date.",
        ruled_out=(
            "Not outdated statistics: few rows of the table changed since ANALYZE",
            "Not one skewed value: then more rows would come out than a column's mean share",
        ),
        verification=f"The estimate comes within twice the {row['rows_per_call']:.0f} rows a call.",
        rollback="DROP STATISTICS.",
        privilege="the table's owner, and CREATE on its schema",
        diagram="",
        data=dict(row),
    )


def _statistics(row: Row) -> ProposedAction | None:
    try:
        return proposed(CreateStatistics(row["schema"], row["table"], tuple(row["columns"])))
    except UnknownAction:
        return None


CLASS = IncidentClass(
    NAME, "the planner takes columns that go together for independent", ("tables", "statements"), judge, follow_up
)
