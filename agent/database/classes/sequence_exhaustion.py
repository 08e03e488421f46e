"""A sequence that nears the largest value its column can hold: beyond it every INSERT fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.database.finding import Finding, Judgement
from agent.database.incident_class import IncidentClass
from agent.database.snapshot import NotVisible
from agent.database.text import shown
from guardrails.sql.identifier import UnusableName, qualified, quoted

if TYPE_CHECKING:
    from agent.database.readings import Readings, Row

NAME = "sequence_exhaustion"
CRITICAL_SHARE = 0.95


def judge(readings: Readings) -> Judgement:
    rows = readings.rows("sequences")
    if isinstance(rows, NotVisible):
        return (rows,)
    found: list[Finding | NotVisible] = []
    for row in rows:
        share = used_share(row)
        if share is not None and share >= readings.limits.sequence_share and not row["cycles"]:
            found.append(_finding(row, share))
    found.sort(key=lambda one: -one.data["used_share"] if isinstance(one, Finding) else 0.0)
    hidden = sum(1 for row in rows if not row["readable"])
    if hidden:
        why = "the role may not SELECT them"
        grant = "GRANT SELECT ON ALL SEQUENCES IN SCHEMA <schema> TO <diagnose role>"
        found.append(NotVisible(f"the values of {hidden} sequences of small columns", why, grant))
    return tuple(found)


def used_share(row: Row) -> float | None:
    """Of the values a sequence may give; None when it gave none, is hidden, or counts down."""
    if row["last_value"] is None or row["increment"] <= 0:
        return None
    return float(row["last_value"] - row["smallest"]) / max(1.0, float(row["largest"] - row["smallest"]))


def _finding(row: Row, share: float) -> Finding:
    name = f"{shown(row['schema'], 63)}.{shown(row['name'], 63)}"
    fills = f"{row['table_schema']}.{row['table']}.{row['column']}" if row["table"] else "no column that owns it"
    return Finding(
        incident_class=NAME,
        severity="critical" if share >= CRITICAL_SHARE else "warning",
        title=f"Sequence {name} has used {share:.0%} of its values; then INSERTs into its table fail",
        evidence=(
            f"It stands at {row['last_value']} of {row['largest']}: {row['largest'] - row['last_value']} are left",
            f"It fills {shown(fills, 150)} ({row['column_type'] or 'unknown type'}); the sequence is {row['type']}",
        ),
        action=None,
        advice=_recipe(row),
        ruled_out=(
            "Not a cycling sequence: it would begin again",
            "Not a bigint column of a bigint sequence: those are not looked at, they do not end",
        ),
        verification="nextval() goes on, and the share of used values falls below a tenth.",
        rollback="Until the swap: drop the new column and its trigger.",
        privilege="ownership of the sequence and the table",
        diagram="",
        data={**row, "used_share": share},
    )


def _recipe(row: Row) -> str:
    try:
        sequence = qualified(row["schema"], row["name"])
        if row["table"] is None:
            return (
                f"ALTER SEQUENCE {sequence} AS bigint; then look which columns take its values: they have to be bigint."
            )
        if row["column_type"] == "bigint":
            return f"The column is a bigint already: ALTER SEQUENCE {sequence} AS bigint; rewrites nothing."
        table, column = qualified(row["table_schema"], row["table"]), quoted(row["column"])
        new = quoted(f"{row['column'][:50]}_bigint")
    except UnusableName:
        return "Its names are none that a command could safely hold: plan the change of the column to bigint by hand."
    return (
        f"Never ALTER COLUMN {column} TYPE bigint: it rewrites the table while nobody can read it. Instead, each step"  # noqa: S608 shown
        f" short and with lock_timeout: (1) ALTER TABLE {table} ADD COLUMN {new} bigint; (2) a BEFORE INSERT OR UPDATE"
        f" trigger that sets {new} := {column}; (3) UPDATE {table} SET {new} = {column} WHERE {new} IS NULL in batches"
        f" of some thousand rows, each its own transaction; (4) CREATE UNIQUE INDEX CONCURRENTLY on {new}, and for"
        f" NOT NULL ADD CONSTRAINT … CHECK ({new} IS NOT NULL) NOT VALID, in another transaction VALIDATE"
        " CONSTRAINT; the same for every foreign key column that refers to it; (5) in one short transaction drop the"
        f" trigger, rename the columns, move default and primary key over; (6) ALTER SEQUENCE {sequence} AS bigint. As"
        f" a stopgap a signed column has as many values below zero: ALTER SEQUENCE {sequence} MINVALUE"
        f" {-row['largest'] - 1} RESTART WITH {-row['largest'] - 1}, where the application bears negative keys."
    )


CLASS = IncidentClass(NAME, "a sequence nears the end of its column's values", ("sequences",), judge)
