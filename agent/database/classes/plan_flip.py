"""One plan for all parameters, where a common and a rare value want different ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.database import statements
from agent.database.finding import Finding, Judgement, proposed
from agent.database.incident_class import IncidentClass
from agent.database.parameters import compared
from agent.database.role_settings import role_setting
from agent.database.snapshot import NotVisible, Plan
from agent.database.text import shown
from guardrails.action import UnknownAction
from guardrails.server_action import SetRoleSetting

if TYPE_CHECKING:
    from agent.database.finding import ProposedAction
    from agent.database.parameters import Compared
    from agent.database.reader import TargetReader
    from agent.database.readings import Readings, Row
    from agent.database.statements import Ran

NAME = "plan_flip"
TRIED = 3
"""Statements whose plans are compared; each takes a few EXPLAINs."""
LEAST_CALLS = 5
"""The server itself plans five times with values before it thinks of a generic plan (plancache.c)."""
LEAST_MEAN_MS = 1.0
SPREAD = 2.0
"""Standard deviation against mean: one statement, times of two kinds."""
SLOWER_THAN_FASTEST = 20.0
"""Against the fastest run: when every call has the wrong plan now, there is no spread any more."""
COSTLIER = 5.0
"""The generic plan against the one for a rare value."""
_SETTING, _CUSTOM = "plan_cache_mode", "force_custom_plan"


def follow_up(readings: Readings, reader: TargetReader) -> Readings:
    """Explains the suspects with a common and a rare value for each column they compare a parameter with."""
    readings = statements.with_plans(readings, reader)
    ran = statements.ran(readings)
    if isinstance(ran, NotVisible):
        return readings
    rows: list[Row] = []
    for statement in [one for one in ran if _is_suspect(one)][:TRIED]:
        rows += _tried(statement, reader)
    return readings.with_rows("value_plans", tuple(rows))


def judge(readings: Readings) -> Judgement:
    ran = statements.ran(readings)
    if isinstance(ran, NotVisible):
        return (ran,)
    plans = readings.rows("value_plans")
    found: list[Finding] = []
    for statement in ran:
        generic = statements.plan_of(readings, statement)
        own = [] if isinstance(plans, NotVisible) else [row for row in plans if row["queryid"] == statement.queryid]
        if generic is None or role_setting(readings, statement.user, _SETTING) == _CUSTOM:
            continue
        found += [_finding(statement, generic, row, readings) for row in own if _flips(generic, row, statement)][:1]
    return (*found, *statements.unplanned(readings))


def shape(plan: Plan) -> tuple[tuple[str, ...], ...]:
    """What a plan does, without its figures: nodes, relations and indexes in order."""
    return tuple(
        tuple(str(node.get(part, "")) for part in ("Node Type", "Relation Name", "Index Name", "Join Type"))
        for node in plan.nodes()
    )


def _is_suspect(statement: Ran) -> bool:
    if "$1" not in statement.query or statement.calls < LEAST_CALLS or statement.mean_ms < LEAST_MEAN_MS:
        return False
    fastest = statement.fastest_ms
    slow_now = bool(fastest) and statement.mean_ms >= SLOWER_THAN_FASTEST * (fastest or 0.0)
    return slow_now or statement.spread_ms >= SPREAD * statement.mean_ms


def _tried(statement: Ran, reader: TargetReader) -> list[Row]:
    """A row for each skewed column: its common and its rare value, and the plans made for them."""
    text = reader.qualified(statement.query, statement.user)
    parameters = None if isinstance(text, NotVisible) else compared(text)
    if not parameters or any(one.schema is None for one in parameters):
        return []
    values = {(one.schema, one.table, one.column): _values(one, reader) for one in parameters}
    usual = [values[one.schema, one.table, one.column] for one in parameters]
    if any(value is None or value["common"] is None for value in usual):
        return []
    rows: list[Row] = []
    for position, one in enumerate(parameters):
        value = usual[position]
        if value is None or value["rare"] is None or value["rare"] == value["common"]:
            continue
        given = [known["common"] if known else None for known in usual]
        common = reader.explain_with(statement.query, given, statement.user)
        given[position] = value["rare"]
        rare = reader.explain_with(statement.query, given, statement.user)
        if isinstance(common, Plan) and isinstance(rare, Plan):
            rows.append(
                {
                    "queryid": statement.queryid,
                    "column": f"{one.schema}.{one.table}.{one.column}",
                    "common_share": value["common_share"],
                    "common": common.root,
                    "rare": rare.root,
                }
            )
    return rows


def _values(one: Compared, reader: TargetReader) -> dict[str, Any] | None:
    found = reader.asked("column_values", {"schema": one.schema, "table": one.table, "columns": [one.column]})
    return None if isinstance(found, NotVisible) or not found else dict(found[0])


def _flips(generic: Plan, row: Row, statement: Ran) -> bool:
    common, rare = Plan(row["common"]), Plan(row["rare"])
    if shape(common) == shape(rare):
        return False
    if shape(generic) == shape(rare):
        return statement.spread_ms >= SPREAD * statement.mean_ms
    return generic.total_cost >= COSTLIER * max(0.01, rare.total_cost)


def _finding(statement: Ran, generic: Plan, row: Row, readings: Readings) -> Finding:
    common, rare = Plan(row["common"]), Plan(row["rare"])
    like = "that of a rare value" if shape(generic) == shape(rare) else "that of a common value"
    seen = (
        f"{statement.generic_calls} of the {statement.calls} calls used the generic plan"
        if statement.generic_calls is not None
        else "which of its calls used the generic plan is not shown before 18"
    )
    return Finding(
        incident_class=NAME,
        severity="warning",
        title=f"A statement of {shown(statement.user, 63)} has one plan for values that want different ones",
        evidence=(
            (
                f"{statement.calls} calls took {statement.mean_ms:.1f} ms each, give or take {statement.spread_ms:.1f};"
                f" the fastest ever {statement.fastest_ms or 0:.2f} ms: {shown(statement.query, 120)}"
            ),
            (
                f"Cost of the generic plan {generic.total_cost:.0f} ({_access(generic)}); for the most common value of"
                f" {shown(row['column'], 130)} ({row['common_share']:.0%} of the rows) {common.total_cost:.0f}"
                f" ({_access(common)}), for a rare one {rare.total_cost:.0f} ({_access(rare)})"
            ),
            f"The generic plan is like {like}; {seen}",
        ),
        action=_custom_plans(statement, readings),
        advice=(
            "Planning with the values costs a fraction of a millisecond a call. Sessions open now keep their setting:"
            " the pool has to open new ones. Never DISCARD in a pool, nor restart, to get another plan by luck."
        ),
        ruled_out=(
            "Not a missing index: the plan for a rare value uses one",
            "Not outdated statistics: they know which value is common and which is rare",
        ),
        verification="The 95th percentile of the statement (mean and spread by queryid) falls in sessions opened anew.",
        rollback="The role's earlier setting comes back.",
        privilege="CREATEROLE with ADMIN on the role, or a superuser",
        diagram="",
        data={
            "statement": statement.as_data(),
            "column": row["column"],
            "generic_cost": generic.total_cost,
            "common_cost": common.total_cost,
            "rare_cost": rare.total_cost,
        },
    )


def _access(plan: Plan) -> str:
    """How the plan gets at its first table."""
    node = next((one for one in plan.nodes() if "Relation Name" in one or "Index Name" in one), plan.root)
    return " ".join(str(node[part]) for part in ("Node Type", "Index Name") if part in node)[:80]


def _custom_plans(statement: Ran, readings: Readings) -> ProposedAction | None:
    previous = role_setting(readings, statement.user, _SETTING)
    if isinstance(previous, NotVisible):
        return None
    try:
        return proposed(SetRoleSetting(statement.user, _SETTING, _CUSTOM, previous or ""))
    except UnknownAction:
        return None


CLASS = IncidentClass(
    NAME, "one plan serves values that want different ones", ("statements", "role_settings"), judge, follow_up
)
