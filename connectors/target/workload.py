"""Two snapshots of the statistics views, and what happened between them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from psycopg import errors

from agent.database.snapshot import NotVisible, StatementDelta, TableDelta, Workload
from connectors.target.session import MARK, Connection, reason, row, rows

if TYPE_CHECKING:
    from collections.abc import Mapping

STATEMENTS_SHOWN = 20
TABLES_SHOWN = 30
QUERY_CHARS = 50_000
"""What missing_index and the read-only guard would still look at."""
_OWN = 12  # our own questions may be among the busiest of an idle server
_EXTENSION = "pg_stat_statements"
_SPLIT_TIMES = (1, 8)  # planning and execution counted apart, with min_exec_time
_INFO_VIEW = (1, 9)

_Row: TypeAlias = "Mapping[str, Any]"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Counters by (role, queryid) and by table oid. reset is when pg_stat_statements began to count, if it says so."""

    taken_at_s: float
    statements: Mapping[tuple[int, int], _Row]
    tables: Mapping[int, _Row]
    reset: object
    extension_schema: str | None
    not_visible: tuple[NotVisible, ...]


def snapshot(connection: Connection) -> Snapshot:
    """Raises what psycopg raises, except that statements nobody may see are noted."""
    schema, statements, reset, not_visible = _statements(connection)
    tables = {table["relid"]: table for table in rows(connection, "table_counters")}
    return Snapshot(time.monotonic(), statements, tables, reset, schema, not_visible)


def between(connection: Connection, before: Snapshot, after: Snapshot) -> Workload:
    """The deltas, with the texts of the statements that took most time.

    A counter that went backwards was reset: what it shows now is a lower bound of what happened.
    """
    statements = {key: _statement_delta(before.statements.get(key), now) for key, now in after.statements.items()}
    ran = {key: delta for key, delta in statements.items() if delta["calls"] > 0}
    tables = {relid: _table_delta(before.tables.get(relid), now) for relid, now in after.tables.items()}
    shown = _tables_shown(tables)
    sizes = {size["relid"]: size["total_bytes"] for size in rows(connection, "table_sizes", {"relids": list(shown)})}
    reset = before.reset != after.reset or any(delta["reset"] for delta in (*statements.values(), *tables.values()))
    return Workload(
        window_s=after.taken_at_s - before.taken_at_s,
        statements=_with_texts(connection, after.extension_schema, ran),
        tables=tuple(_table(tables[relid], sizes.get(relid, 0)) for relid in shown),
        total_exec_ms=sum(delta["total_exec_ms"] for delta in ran.values()),
        resets_detected=reset,
        not_visible=after.not_visible,
    )


def _statements(
    connection: Connection,
) -> tuple[str | None, dict[tuple[int, int], _Row], object, tuple[NotVisible, ...]]:
    extension = row(connection, "extension", {"extension": _EXTENSION})
    if extension is None:
        missing = "the extension pg_stat_statements is not created in this database"
        return None, {}, None, (NotVisible("statements", missing),)
    schema, version = extension["schema"], tuple(extension["version"])
    query = "statement_counters" if version >= _SPLIT_TIMES else "statement_counters_before_1_8"
    try:
        counters = rows(connection, query, extension_schema=schema)
        info = row(connection, "statements_reset", extension_schema=schema) if version >= _INFO_VIEW else None
    except (errors.ObjectNotInPrerequisiteState, errors.InsufficientPrivilege, errors.UndefinedFunction) as error:
        return None, {}, None, (NotVisible("statements", reason(error)),)
    visible: dict[tuple[int, int], _Row] = {
        (counter["userid"], counter["queryid"]): counter for counter in counters if counter["queryid"]
    }
    hidden = sum(1 for counter in counters if not counter["queryid"])
    why = "the role is no member of pg_read_all_stats (pg_monitor)"
    not_visible = [NotVisible("statements of other roles", why)] if hidden else []
    return schema, visible, info["stats_reset"] if info else None, tuple(not_visible)


def _statement_delta(before: _Row | None, now: _Row) -> dict[str, Any]:
    """Counters in the window. Without a before, or after a reset, all that is counted happened since."""
    reset = before is not None and now["calls"] < before["calls"]
    start = before if before is not None and not reset else None
    counted = ("calls", "total_exec_ms", "rows", "shared_blks_read", "shared_blks_hit")
    delta = {name: now[name] - (start[name] if start else 0) for name in counted}
    earlier_calls = start["calls"] if start else 0
    baseline = start["total_exec_ms"] / earlier_calls if start and earlier_calls else None
    return delta | {"baseline_mean_exec_ms": baseline, "min_exec_ms": now["min_exec_ms"], "reset": reset}


def _with_texts(
    connection: Connection, schema: str | None, ran: Mapping[tuple[int, int], dict[str, Any]]
) -> tuple[StatementDelta, ...]:
    if schema is None or not ran:
        return ()
    busiest = sorted(ran, key=lambda key: -ran[key]["total_exec_ms"])[: STATEMENTS_SHOWN + _OWN]
    params = {"queryids": [queryid for _, queryid in busiest], "chars": QUERY_CHARS, "own": f"{MARK}%"}
    texts = {
        (text["userid"], text["queryid"]): text
        for text in rows(connection, "statement_texts", params, extension_schema=schema)
    }
    # An entry may be thrown out between the two reads; without its text it says nothing.
    return tuple(_statement(key[1], ran[key], texts[key]) for key in busiest if key in texts)[:STATEMENTS_SHOWN]


def _statement(queryid: int, delta: Mapping[str, Any], text: _Row) -> StatementDelta:
    return StatementDelta(
        queryid=queryid,
        query=text["query"],
        calls=delta["calls"],
        total_exec_ms=delta["total_exec_ms"],
        mean_exec_ms=delta["total_exec_ms"] / delta["calls"],
        baseline_mean_exec_ms=delta["baseline_mean_exec_ms"],
        min_exec_ms=delta["min_exec_ms"],
        rows=delta["rows"],
        shared_blks_read=delta["shared_blks_read"],
        shared_blks_hit=delta["shared_blks_hit"],
        user=text["user"],
    )


def _table_delta(before: _Row | None, now: _Row) -> dict[str, Any]:
    counted = ("seq_scans", "seq_tup_read", "idx_scans")
    reset = before is not None and any(now[name] < before[name] for name in counted)
    start = before if before is not None and not reset else None
    return {**now, **{name: now[name] - (start[name] if start else 0) for name in counted}, "reset": reset}


def _tables_shown(tables: Mapping[int, _Row]) -> list[int]:
    """The most read sequentially, then those whose statistics are oldest in rows; each once."""
    read = sorted(
        (relid for relid in tables if tables[relid]["seq_tup_read"]), key=lambda r: -tables[r]["seq_tup_read"]
    )
    changed = sorted(tables, key=lambda relid: -tables[relid]["modified_since_analyze"])
    return list(dict.fromkeys([*read[:TABLES_SHOWN], *changed[:TABLES_SHOWN]]))


def _table(delta: _Row, total_bytes: int) -> TableDelta:
    last = delta["last_analyze"]
    return TableDelta(
        schema=delta["schema"],
        table=delta["table"],
        seq_scans=delta["seq_scans"],
        seq_tup_read=delta["seq_tup_read"],
        idx_scans=delta["idx_scans"],
        live_rows=delta["live_rows"],
        dead_rows=delta["dead_rows"],
        modified_since_analyze=delta["modified_since_analyze"],
        last_analyze=last.isoformat() if last else None,
        total_bytes=total_bytes,
    )
