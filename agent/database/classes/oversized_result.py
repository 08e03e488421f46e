"""A statement that hands over far more rows a call than anybody looks at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.database import statements
from agent.database.finding import Finding, Judgement
from agent.database.incident_class import IncidentClass
from agent.database.snapshot import NotVisible
from agent.database.text import shown

if TYPE_CHECKING:
    from agent.database.readings import Readings
    from agent.database.statements import Ran

NAME = "oversized_result"
TOLD = 3
LEAST_SHARE = 0.1
"""Of the time, or it does not matter how many rows it gives."""
LEAST_CALLS = 2
"""Once is a report or an export."""


def judge(readings: Readings) -> Judgement:
    ran = statements.ran(readings)
    if isinstance(ran, NotVisible):
        return (ran,)
    large = [
        one
        for one in ran
        if one.calls >= LEAST_CALLS
        and one.rows_per_call >= readings.limits.rows_per_call
        and one.share >= LEAST_SHARE
        and one.query.lstrip(" (\n\t").lower().startswith(("select", "with", "table", "values", "fetch"))
    ]
    return (*(_finding(one, readings) for one in large[:TOLD]), *statements.unseen(readings))


def _finding(statement: Ran, readings: Readings) -> Finding:
    return Finding(
        incident_class=NAME,
        severity="notice",
        title=f"A statement of {shown(statement.user, 63)} hands over {statement.rows_per_call:.0f} rows a call",
        evidence=(
            (
                f"{statement.calls} calls in {readings.window_s:.1f} s gave {statement.rows} rows and took"
                f" {statement.share:.0%} of the time: {shown(statement.query, 120)}"
            ),
        ),
        action=None,
        advice=(
            "Nobody reads that many. Ask for a page: ORDER BY a key, LIMIT, and the next page from the last key on"
            " (not OFFSET); count or sum in the database what is only counted; export through a cursor or COPY, from a"
            " standby."
        ),
        ruled_out=(
            "Not COPY or a backup: those are other statements",
            "Not a missing index: an index makes finding rows cheap, not handing them over",
        ),
        verification="Rows a call of the statement (pg_stat_statements) come down.",
        rollback="",
        privilege="none: it is the application's to change",
        diagram="",
        data={"statement": statement.as_data()},
    )


CLASS = IncidentClass(
    NAME, "a statement hands over far more rows than anybody reads", ("statements",), judge, statements.with_texts
)
