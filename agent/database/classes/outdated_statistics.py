"""The planner counts on rows that are no longer so: statistics are old, and estimates far from what comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.database import statements
from agent.database.finding import Finding, Judgement, proposed
from agent.database.incident_class import IncidentClass
from agent.database.snapshot import NotVisible
from agent.database.text import shown
from guardrails.action import UnknownAction
from guardrails.table_action import AnalyzeTable

if TYPE_CHECKING:
    from agent.database.finding import ProposedAction
    from agent.database.readings import Readings, Row
    from agent.database.snapshot import Plan
    from agent.database.statements import Ran

NAME = "outdated_statistics"
TOLD = 3
STALE_SHARE = 0.2
STALE_ROWS = 50
"""Twice autovacuum_analyze_scale_factor, and autovacuum_analyze_threshold: autovacuum should have come long ago."""
OFF_BY = 10.0
"""Estimated rows against those that came out; within it a plan is rarely another one."""
LEAST_ROWS = 100.0
"""Of a few rows a factor of ten says nothing."""


def judge(readings: Readings) -> Judgement:
    tables, ran = readings.rows("tables"), statements.ran(readings)
    if isinstance(tables, NotVisible):
        return (tables,)
    if isinstance(ran, NotVisible):
        return (ran,)
    stale = {(row["schema"], row["table"]): row for row in tables if is_stale(row)}
    found: dict[tuple[str, str], Finding] = {}
    for statement in ran:
        plan = statements.plan_of(readings, statement)
        if plan is None or not (ratio := off_by(statement, plan)):
            continue
        suspects = [stale[name] for name in _tables(plan) if name in stale]
        for row in suspects:
            found.setdefault((row["schema"], row["table"]), _finding(row, statement, plan, ratio))
    return (*list(found.values())[:TOLD], *statements.unplanned(readings))


def off_by(statement: Ran, plan: Plan) -> float | None:
    """How many times estimate and outcome differ; None within OFF_BY, or where a LIMIT or total decides the rows."""
    estimated, actual = float(plan.root.get("Plan Rows", 0)), statement.rows_per_call
    if max(estimated, actual) < LEAST_ROWS or plan.root.get("Node Type") in {"Limit", "Aggregate", "ModifyTable"}:
        return None
    ratio = max(estimated, 1.0) / max(actual, 1.0)
    worst = max(ratio, 1 / ratio)
    return worst if worst > OFF_BY else None


def is_stale(row: Row) -> bool:
    modified = row["modified_since_analyze"]
    never = row["analyzed_age_s"] is None and modified > 0
    return bool(never or modified > STALE_ROWS + STALE_SHARE * row["live_rows"])


def _tables(plan: Plan) -> list[tuple[str, str]]:
    nodes = [node for node in plan.nodes() if "Relation Name" in node]
    return [(str(node.get("Schema", "")), str(node["Relation Name"])) for node in nodes]


def _finding(row: Row, statement: Ran, plan: Plan, ratio: float) -> Finding:
    name = f"{shown(row['schema'], 63)}.{shown(row['table'], 63)}"
    age_s = row["analyzed_age_s"]
    analyzed = "of which none is on record" if age_s is None else f"{age_s / 3600:.1f} h ago"
    estimated = float(plan.root.get("Plan Rows", 0))
    return Finding(
        incident_class=NAME,
        severity="warning",
        title=f"The statistics of {name} are outdated: a plan expects {ratio:.0f} times another number of rows",
        evidence=(
            f"The planner expects {estimated:.0f} rows of: {shown(statement.query, 120)}",
            f"It gave {statement.rows_per_call:.0f} rows a call, in {statement.calls} of {statement.mean_ms:.1f} ms",
            f"{row['modified_since_analyze']} of {row['live_rows']} rows changed since the last ANALYZE, {analyzed}",
        ),
        action=_analyze(row),
        advice=(
            "Where the estimate stays wrong with fresh statistics: more detail for a skewed column (ALTER TABLE …"
            " ALTER COLUMN … SET STATISTICS 1000), extended statistics for columns that go together"
            " (CREATE STATISTICS); never switch a way of planning off for everybody (enable_*)."
        ),
        ruled_out=(
            "Not a plan flip by parameters: the statistics themselves are old",
            "Not a missing index: which one would help is known only from a plan with right estimates",
        ),
        verification=(
            f"last_analyze moves (a non-owner's ANALYZE only warns), and the estimate comes within twice the"
            f" {statement.rows_per_call:.0f} rows a call."
        ),
        rollback="",
        privilege="the table's owner; from 17 on also MAINTAIN",
        diagram="",
        data={"table": dict(row), "statement": statement.as_data(), "estimated_rows": estimated, "off_by": ratio},
    )


def _analyze(row: Row) -> ProposedAction | None:
    try:
        return proposed(AnalyzeTable(row["schema"], row["table"]))
    except UnknownAction:
        return None


CLASS = IncidentClass(
    NAME, "old statistics mislead the planner", ("tables", "statements"), judge, statements.with_plans
)
