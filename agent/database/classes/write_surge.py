"""Far more is inserted, updated, deleted or committed than before, and one application does most of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from agent.database import statements
from agent.database.finding import Finding, Judgement
from agent.database.incident_class import IncidentClass
from agent.database.index_change import table_of
from agent.database.readings import hidden
from agent.database.snapshot import NotVisible
from agent.database.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.database.readings import Readings, Row
    from agent.database.statements import Ran

NAME = "write_surge"
Kind = Literal["inserted", "updated", "deleted", "commits"]
_WORDS = {"inserted": "Inserts", "updated": "Updates", "deleted": "Deletes", "commits": "Commits"}
_VERBS = {"inserted": ("insert", "copy"), "updated": ("update",), "deleted": ("delete",)}
GUILTY_SHARE = 0.5
"""Of the work; below it nobody in particular is to blame."""


@dataclass(frozen=True, slots=True)
class Surge:
    """before_per_s is the mean since the counters began, up to the window."""

    kind: Kind
    count: int
    per_s: float
    before_per_s: float


def judge(readings: Readings) -> Judgement:
    surge = _surge(readings)
    if isinstance(surge, NotVisible):
        return (surge,)
    if surge is None:
        return ()
    ran = statements.ran(readings)
    known = () if isinstance(ran, NotVisible) else ran
    unseen = (ran,) if isinstance(ran, NotVisible) else statements.unseen(readings)
    sessions = readings.rows("busy_sessions")
    unshown = () if isinstance(sessions, NotVisible) else (hidden(sessions),)
    return (_finding(surge, known, readings), *unseen, *(one for one in unshown if one))


def _surge(readings: Readings) -> Surge | NotVisible | None:
    """The kind of work that has grown most; None when none has, or nothing is known of the time before."""
    deltas, before = readings.deltas("database_work"), readings.before.get("database_work", ())
    if isinstance(deltas, NotVisible):
        return deltas
    if isinstance(before, NotVisible) or not deltas or not before or deltas[0]["reset"]:
        return None
    now, earlier = deltas[0], before[0]
    if readings.window_s <= 0 or earlier["counted_s"] < readings.window_s:
        return None
    kinds: tuple[Kind, ...] = ("inserted", "updated", "deleted", "commits")
    surges = [
        Surge(kind, now[kind], now[kind] / readings.window_s, earlier[kind] / earlier["counted_s"]) for kind in kinds
    ]
    limits = readings.limits
    grown = [
        one
        for one in surges
        if one.per_s >= limits.surge_rows_per_s and one.per_s >= limits.surge_factor * one.before_per_s
    ]
    # A commit counts beside the rows it writes, so commits are the surge only where rows are not.
    return max(grown, key=lambda one: (one.kind != "commits", one.per_s), default=None)


@dataclass(frozen=True, slots=True)
class _Guilty:
    """Who does most of it, as far as it shows: share is of the statements that do such work."""

    user: str | None
    share: float
    application: str | None
    statement: Ran | None

    def __str__(self) -> str:
        if self.user is None:
            return "nobody in particular"
        named = f", application {shown(self.application, 63)}" if self.application else ""
        return f"role {shown(self.user, 63)}{named}"


def _guilty(surge: Surge, ran: tuple[Ran, ...], readings: Readings) -> _Guilty:
    counted: Callable[[Ran], int] = (lambda one: one.calls) if surge.kind == "commits" else (lambda one: one.rows)
    workers = [one for one in ran if _does(one, surge.kind)]
    by_user = Counter[str]()
    for one in workers:
        by_user[one.user] += counted(one)
    total = sum(by_user.values())
    user = next((name for name, count in by_user.most_common(1) if count >= GUILTY_SHARE * total), None)
    worst = max((one for one in workers if one.user == user), key=counted, default=None)
    share = by_user[user] / total if user and total else 0.0
    return _Guilty(user, share, _application(readings, user), worst)


def _finding(surge: Surge, ran: tuple[Ran, ...], readings: Readings) -> Finding:
    guilty = _guilty(surge, ran, readings)
    table = _table(readings, surge.kind)
    words = _WORDS[surge.kind]
    times = f"{surge.per_s / surge.before_per_s:.0f} times as many as" if surge.before_per_s >= 1 else "against none"
    evidence = [
        f"{surge.count} {words.lower()} in {readings.window_s:.1f} s; before, {surge.before_per_s:.0f} a second"
    ]
    if table is not None:
        evidence.append(f"Most of them in {table_of(table)}: {table[surge.kind]}")
    if guilty.statement is not None:
        done = guilty.statement
        evidence.append(f"{done.calls} calls, {done.rows} rows: {shown(done.query, 120)}")
    if guilty.user:
        evidence.append(f"{guilty.share:.0%} of that work is of {guilty}")
    return Finding(
        incident_class=NAME,
        severity="warning",
        title=f"{words} rose to {surge.per_s:.0f} a second, {times} before; {guilty} does most of it",
        evidence=tuple(evidence),
        action=None,
        advice=_advice(surge.kind, guilty.user),
        ruled_out=(
            "Not slower writes: it is their number that grew",
            "Not one long statement only: the rate is of rows that are counted as they are committed",
        ),
        verification="The rate comes back to what it was.",
        rollback="",
        privilege="none: it is the application's to change",
        diagram="",
        data={
            "kind": surge.kind,
            "per_s": surge.per_s,
            "before_per_s": surge.before_per_s,
            "user": guilty.user,
            "application": guilty.application,
            "table": table_of(table) if table is not None else None,
            "statement": guilty.statement.as_data() if guilty.statement is not None else None,
        },
    )


def _advice(kind: Kind, user: str | None) -> str:
    whose = f"the owner of role {shown(user, 63)}" if user else "the applications' owners"
    if kind == "commits":
        return f"Ask {whose} to do more in each transaction: a commit waits for the disk, whatever it holds."
    return (
        f"Ask {whose} whether it is meant (a backfill, a retry loop, an import), and to slow it down: batches of some"
        " thousand rows, a pause between them. ALTER ROLE … CONNECTION LIMIT bounds it where nobody answers, from the"
        " next connection on."
    )


def _does(statement: Ran, kind: Kind) -> bool:
    text = statement.query.lstrip(" (\n\t").lower()
    if kind == "commits":
        return not text.startswith(("begin", "commit", "rollback", "set", "start"))
    verbs = _VERBS[kind]
    return text.startswith(verbs) or (text.startswith("with") and any(verb in text for verb in verbs))


def _application(readings: Readings, user: str | None) -> str | None:
    """Whose sessions began most statements between the looks, by role; None when nobody was seen at it."""
    rows = readings.rows("busy_sessions")
    if isinstance(rows, NotVisible) or user is None:
        return None
    begun = {
        (row["pid"], row["query_start"]): row["application"]
        for row in rows
        if row["user"] == user and row["query_start"] is not None
    }
    counted = Counter(name for name in begun.values() if name)
    return counted.most_common(1)[0][0] if counted else None


def _table(readings: Readings, kind: Kind) -> Row | None:
    tables = readings.deltas("tables")
    if isinstance(tables, NotVisible) or kind == "commits":
        return None
    return max((row for row in tables if row[kind]), key=lambda row: int(row[kind]), default=None)


CLASS = IncidentClass(
    NAME,
    "one application writes far more than before",
    ("database_work", "tables", "statements", "busy_sessions"),
    judge,
    statements.with_texts,
)
