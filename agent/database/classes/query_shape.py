"""A query whose shape makes the planner work hard, and another text that asks the same for less."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from agent.database import statements
from agent.database.finding import Finding, Judgement
from agent.database.incident_class import IncidentClass
from agent.database.rewrite import ColumnShape, RelationShape, Rewrite, rewritten, tables_named
from agent.database.snapshot import Comparison, NotVisible, Plan
from agent.database.text import shown

if TYPE_CHECKING:
    from agent.database.reader import TargetReader
    from agent.database.readings import Readings, Row

NAME = "query_shape"
TRIED = 5
CHEAPER = 2.0
"""The rewritten text's plan against the original's; less is within what estimates are worth."""
LEAST_MEAN_MS = 20.0
"""pghero's slow_query_ms."""
LEAST_SHARE = 0.1
LONGEST_TEXT_BYTES = 1024 - 4
"""Of a running statement: track_activity_query_size's default, less a character that did not fit in whole."""
RUNNING_S = 1.0
"""A statement counts in pg_stat_statements when it ends; one that still runs is taken from its session."""


def follow_up(readings: Readings, reader: TargetReader) -> Readings:
    readings = statements.with_texts(readings, reader)
    rows: list[Row] = []
    for query, user, why in _suspects(readings)[:TRIED]:
        rows += _tried(query, user, why, reader)
    return readings.with_rows("rewrites", tuple(rows))


def judge(readings: Readings) -> Judgement:
    ran = statements.ran(readings)
    rows = readings.rows("rewrites")
    found: list[Finding | NotVisible] = []
    for row in () if isinstance(rows, NotVisible) else rows:
        compared = _comparison(row)
        if isinstance(compared, Comparison) and not compared.equal:
            found.append(NotVisible("a rewrite", "on a sample it gave other rows, so it is not shown"))
        else:
            found.append(_finding(row, compared))
    return (*found, *((ran,) if isinstance(ran, NotVisible) else statements.unseen(readings)))


def _suspects(readings: Readings) -> list[tuple[str, str, str]]:
    """(text, role, why) of what carries the load, and of what has been running for a while."""
    found: list[tuple[str, str, str]] = []
    sessions = readings.rows("sessions")
    for row in () if isinstance(sessions, NotVisible) else sessions:
        age_s = row["query_age_s"] or 0.0
        if len(row["query"].encode()) >= LONGEST_TEXT_BYTES:
            continue  # it may be cut off, and what is left of it another query
        if row["state"] == "active" and row["wait_event_type"] != "Lock" and age_s >= RUNNING_S:
            found.append((row["query"], row["user"], f"process {row['pid']} has been at it for {age_s:.0f} s"))
    ran = statements.ran(readings)
    for one in () if isinstance(ran, NotVisible) else ran:
        if one.share >= LEAST_SHARE and one.mean_ms >= LEAST_MEAN_MS:
            why = f"{one.calls} calls of {one.mean_ms:.0f} ms took {one.share:.0%} of the time"
            found.append((one.query, one.user, why))
    return found


def _tried(query: str, user: str, why: str, reader: TargetReader) -> list[Row]:
    """The cheapest rewrite of a text that is worth showing, and the hint for its paging."""
    text = reader.qualified(query, user)
    if isinstance(text, NotVisible):
        return []
    names = [(schema, table) for schema, table in tables_named(text) if schema]
    params = {"schemas": [schema for schema, _ in names], "tables": [table for _, table in names]}
    shapes = reader.asked("relation_shapes", params)
    before = reader.explain(query, user)
    if isinstance(shapes, NotVisible) or isinstance(before, NotVisible):
        return []
    rewrites = rewritten(text, [relation_shape(row) for row in shapes]).rewrites
    rows: list[Row] = [_row(query, why, one, before.total_cost, None) for one in rewrites if one.kind == "hint"]
    priced = [(one, plan) for one in rewrites if one.kind == "equal" and (plan := _planned(one, user, reader))]
    best = min(priced, key=lambda pair: pair[1].total_cost, default=None)
    if best is not None and before.total_cost >= CHEAPER * max(0.01, best[1].total_cost):
        compared = reader.compared(text, best[0].sql)
        rows.append(_row(query, why, best[0], before.total_cost, best[1].total_cost, compared))
    return rows


def _planned(one: Rewrite, user: str, reader: TargetReader) -> Plan | None:
    plan = reader.explain(one.sql, user)
    return plan if isinstance(plan, Plan) else None


def _row(
    query: str,
    why: str,
    one: Rewrite,
    cost_before: float,
    cost_after: float | None,
    compared: Comparison | NotVisible | None = None,
) -> dict[str, Any]:
    return {
        "query": query,
        "why": why,
        "rewrite": one.as_data(),
        "cost_before": cost_before,
        "cost_after": cost_after,
        "compared": compared.as_data() if compared is not None else None,
    }


def relation_shape(row: Row) -> RelationShape:
    """From the reading "relation_shapes"."""
    columns = tuple(map(ColumnShape, row["columns"], row["not_null"], row["families"]))
    never_null = {column.name for column in columns if column.not_null}
    keys = tuple(tuple(key) for key in json.loads(row["keys"]) if set(key) <= never_null)
    return RelationShape(row["schema"], row["table"], columns, keys)


def _comparison(row: Row) -> Comparison | NotVisible | None:
    data = row["compared"]
    if data is None:
        return None
    return Comparison.from_data(data) if "rows" in data else NotVisible.from_data(data)


def _finding(row: Row, compared: Comparison | NotVisible | None) -> Finding:
    rewrite = Rewrite.from_data(row["rewrite"])
    hint = rewrite.kind == "hint"
    cost = f"cost {row['cost_before']:.0f}"
    if row["cost_after"] is not None:
        cost += f", of the other text {row['cost_after']:.0f}"
    return Finding(
        incident_class=NAME,
        severity="notice",
        title=f"A query would be cheaper in another form ({rewrite.rule.replace('_', ' ')}): {shown(row['query'], 80)}",
        evidence=(row["why"], f"The planner: {cost}", _checked(compared, hint=hint)),
        action=None,
        advice=f"{rewrite.why}. {'The application would ask' if hint else 'The same answer'}: {rewrite.sql}",
        ruled_out=(
            "Not a missing index: the plans are compared with the indexes that are there",
            "Nothing is run for the application: a query's text is changed where it is written",
        ),
        verification="Mean time of the new text's queryid against the old one's, over as many calls.",
        rollback="The old text.",
        privilege="none: it is the application's to change",
        diagram="",
        data={**row},
    )


def _checked(compared: Comparison | NotVisible | None, *, hint: bool) -> str:
    match compared:
        case Comparison() if compared.rows:
            return f"Checked: on a sample both gave the same {compared.rows} rows, duplicates and NULLs included"
        case Comparison():
            return "Not checked: on a sample of the rows neither gave any"
        case NotVisible():
            return f"Not checked on rows: {compared.why}"
        case None:
            return "Not the same question, so not compared" if hint else "Not checked on rows"


CLASS = IncidentClass(NAME, "a query would be cheaper in another form", ("statements", "sessions"), judge, follow_up)
