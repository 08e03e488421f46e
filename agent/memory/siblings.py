"""Where else is the same wrong? After a verified fix the check that confirmed its cause is asked again, read-only.

It is asked of the repaired target and of every other one; for an index, the tables that are read in full are looked at
too: do they have the same column, or a foreign key, without an index?
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from agent.database.checks import BIG_TABLE_ROWS, CHECKS
from agent.database.limits import Limits
from agent.database.snapshot import NotVisible
from agent.database.text import sentence, shown
from agent.database.value import Value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent.database.reader import TargetReader
    from agent.database.readings import Row, Rows
    from agent.incident import Working
    from agent.runbook.skill import Check, Skill

MOST_TABLES = 20
"""Looked at closely on one target, those that were read most first."""
TOLD = 5

Status = Literal["yes", "no", "not_visible"]


@dataclass(frozen=True, slots=True)
class Sibling(Value):
    """One look. where: the target. what: the table or the check. status yes: the same is wrong here too."""

    where: str
    what: str
    status: Status
    summary: str


@dataclass(frozen=True, slots=True)
class Pattern(Value):
    """What was wrong, as far as it can be looked for elsewhere.

    check: its name in agent.database.checks. schema, table, columns: of the index that was missing; empty for every
    other fix.
    """

    check: str
    schema: str = ""
    table: str = ""
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Swept(Value):
    """All looks of one sweep. seconds: how long it took; unseen: targets it had no time for."""

    pattern: Pattern
    siblings: tuple[Sibling, ...]
    unseen: tuple[str, ...]
    seconds: float

    @property
    def found(self) -> tuple[Sibling, ...]:
        return tuple(one for one in self.siblings if one.status == "yes")

    @property
    def status(self) -> Status:
        if self.found:
            return "yes"
        looked = any(one.status == "no" for one in self.siblings)
        return "no" if looked else "not_visible"

    @property
    def summary(self) -> str:
        hidden = sum(1 for one in self.siblings if one.status == "not_visible") + len(self.unseen)
        gaps = f"; {hidden} could not be looked at" if hidden else ""
        if not self.found:
            return sentence(f"The same was found nowhere else in {len(self.siblings)} looks{gaps}")
        places = ", ".join(f"{shown(one.what, 60)} on {shown(one.where, 30)}" for one in self.found[:3])
        return sentence(f"The same is wrong in {len(self.found)} more places: {places}{gaps}")


def pattern(skill: Skill, working: Working, action: str, params: Mapping[str, Any]) -> Pattern | None:
    """What to look for after this fix; None: no database check confirmed its cause, so there is nothing to repeat."""
    conclusion = working.conclusion
    if conclusion is None:
        return None
    check = _confirming(skill, working, conclusion.cause)
    if check is None:
        return None
    if action != "create_index_concurrently":
        return Pattern(check.query)
    columns = tuple(str(name) for name in params.get("columns", ()))
    return Pattern(check.query, str(params.get("schema", "")), str(params.get("table", "")), columns)


def _confirming(skill: Skill, working: Working, cause: str) -> Check | None:
    """The database check that said yes and speaks most for this cause against the next best."""

    def telling(check: Check) -> float:
        others = [chance for one, chance in check.yes_given.items() if one != cause]
        return check.yes_given.get(cause, 0.0) / max([*others, 1e-9])

    said_yes = [
        check
        for name, answer in working.answered.items()
        if answer.status == "yes" and (check := skill.checks.get(name)) is not None
    ]
    able = [check for check in said_yes if check.tool == "database" and not check.gathers and check.query in CHECKS]
    return max(able, key=lambda check: (telling(check), check.id), default=None)


def look(reader: TargetReader, target: str, wanted: Pattern) -> tuple[Sibling, ...]:
    """One target. Raises what the reader raises."""
    seen = CHECKS[wanted.check].run(reader, {})
    found = [Sibling(target, wanted.check, seen.status, seen.summary)]
    return (*found, *_unindexed(reader, target, wanted)) if wanted.columns else tuple(found)


def _unindexed(reader: TargetReader, target: str, wanted: Pattern) -> list[Sibling]:
    """Tables that are read in full and have the column, or a foreign key, without an index that begins with it."""
    readings = reader.readings(("tables", "foreign_keys_without_index"), 0.0, Limits())
    tables, keys = readings.rows("tables"), readings.rows("foreign_keys_without_index")
    if isinstance(tables, NotVisible):
        return [Sibling(target, "tables", "not_visible", sentence(f"{tables.what} not visible: {tables.why}"))]
    read = [row for row in tables if _read_in_full(row)]
    read.sort(key=lambda row: (-row["seq_tup_read"], row["schema"], row["table"]))
    columns = _key_columns([] if isinstance(keys, NotVisible) else keys)
    found: list[Sibling] = []
    for row in read[:MOST_TABLES]:
        facts = reader.table_facts(row["schema"], row["table"])
        if isinstance(facts, NotVisible):
            continue
        led = {index.columns[0] for index in facts.indexes if index.columns and index.valid and not index.partial}
        suspects = dict.fromkeys([wanted.columns[0], *columns.get((row["schema"], row["table"]), ())])
        found += [_sibling(target, row, name) for name in suspects if facts.column(name) and name not in led]
    return found[:TOLD]


def _read_in_full(row: Row) -> bool:
    """Since the counters were reset. A LIMIT ends a scan early; such reading is no sign of a missing index."""
    scans = row["seq_scan"] or 0
    return bool(
        (row["live_rows"] or 0) >= BIG_TABLE_ROWS and scans and (row["seq_tup_read"] or 0) / scans >= BIG_TABLE_ROWS
    )


def _key_columns(keys: Rows | Sequence[Row]) -> dict[tuple[str, str], list[str]]:
    columns: dict[tuple[str, str], list[str]] = {}
    for key in keys:
        columns.setdefault((key["schema"], key["table"]), []).append(key["columns"][0])
    return columns


def _sibling(target: str, row: Row, column: str) -> Sibling:
    name = f"{shown(row['schema'], 63)}.{shown(row['table'], 63)} ({shown(column, 63)})"
    summary = f"{name}: no index begins with it; {row['live_rows']} rows, read in full {row['seq_scan']} times so far"
    return Sibling(target, name, "yes", sentence(summary))
