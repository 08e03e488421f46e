"""An index built or dropped, as a typed action, and the words that go with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.database.finding import ProposedAction, proposed
from agent.database.text import shown
from guardrails.action import UnknownAction
from guardrails.index_action import CreateIndexConcurrently, DropIndexConcurrently
from guardrails.sql.identifier import UnusableName, qualified

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.database.readings import Readings, Row

PRIVILEGE = "membership in the role that owns the table"
DROP_PRIVILEGE = f"{PRIVILEGE}; the target's fence lets only indexes of Stanch's be dropped unless it is drawn wider"
DEFINITION_CHARS = 500
CORRUPTING = range(140_000, 140_004)
"""Server versions with the fault that 14.4 mended: CREATE INDEX and REINDEX CONCURRENTLY may lose entries."""


def build(readings: Readings, schema: str, table: str, columns: Sequence[str]) -> ProposedAction | None:
    """None on a server that would build it wrongly, and for names that no command could safely hold."""
    if readings.server_version_num in CORRUPTING:
        return None
    try:
        return proposed(CreateIndexConcurrently(schema, table, tuple(columns)))
    except UnknownAction:
        return None


def if_corrupting(readings: Readings) -> str:
    """What to do first on such a server; "" on others."""
    if readings.server_version_num not in CORRUPTING:
        return ""
    return (
        "14.0 to 14.3 can corrupt an index silently while building it concurrently: update the server to 14.4 first. "
    )


def drop(row: Row) -> ProposedAction | None:
    """None for an index whose columns and method are not all there is to say of it: it could not be brought back."""
    columns = row["columns"]
    if not row["plain"] or not columns or any(column is None for column in columns):
        return None
    try:
        return proposed(
            DropIndexConcurrently(
                row["schema"], row["table"], row["name"], tuple(str(column) for column in columns), row["method"]
            )
        )
    except UnknownAction:
        return None


def by_hand(row: Row) -> str:
    """The drop and the way back for a person to run, where drop() gives none."""
    try:
        index = qualified(row["schema"], row["name"])
    except UnusableName:
        return "Its name is none that a command could safely hold: drop it by hand, CONCURRENTLY."
    return f"DROP INDEX CONCURRENTLY {index}; and keep its definition to bring it back: {definition(row)}"


def table_of(row: Row) -> str:
    """For people."""
    return f"{shown(row['schema'], 63)}.{shown(row['table'], 63)}"


def definition(row: Row, name: str = "definition") -> str:
    """For people: on one line, and nothing in it invisible; the finding's data has it byte for byte."""
    return shown(row[name], DEFINITION_CHARS)


def megabytes(size_bytes: float) -> str:
    return f"{size_bytes / 1_000_000:.1f} MB"
