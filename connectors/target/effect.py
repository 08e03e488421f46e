"""What a fix changed, by the target's own counters: the statement's latency, its plan, and how writes fare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from agent.database.execution import Counters, Effect
from agent.database.snapshot import NotVisible, Plan
from connectors.target import planned
from connectors.target.diagnose import NOT_PLANNABLE
from connectors.target.facts import relid_of
from connectors.target.session import HIDDEN_FROM_US, Connection, reason, row
from connectors.target.watchdog import statements_schema
from guardrails.index_action import CreateIndexConcurrently, CreatePartitionedIndex

if TYPE_CHECKING:
    from agent.database.execution import Statement, Terms
    from guardrails.action import Action
    from guardrails.approved import Approved

ENOUGH_CALLS = 20
"""Of the statement after the fix; a mean of fewer says more about chance than about the fix."""
ENOUGH_UPDATES = 100
BETTER = 0.8
"""The statement's mean after the fix must be at most this share of the one before for the fix to be kept."""
HOT_LOSS = 0.2
"""A fall of the share of HOT updates that is worth a word: each lost one writes to every index of its table."""


def counters(connection: Connection, approved: Approved[Action], terms: Terms) -> Counters:
    """One look. Raises what psycopg raises."""
    moment = row(connection, "moment")
    if moment is None:
        raise AssertionError("a SELECT without FROM has a row")
    counted = _statement(connection, terms.statement)
    action = approved.action
    relid = relid_of(connection, action.schema, action.table) if action.table else None
    table = row(connection, "table_updates", {"relid": relid}) if relid is not None else None
    scans = None
    if isinstance(action, CreateIndexConcurrently | CreatePartitionedIndex):
        names = {"schema": action.schema, "names": list(approved.rendered.left_over)}
        found = row(connection, "index_scans", names)
        scans = found["scans"] if found else None
    return Counters(
        at=moment["at"],
        calls=counted[0],
        exec_ms=counted[1],
        updates=table["updates"] if table else None,
        hot_updates=table["hot_updates"] if table else None,
        index_scans=scans,
    )


def _statement(connection: Connection, statement: Statement | None) -> tuple[int | None, float | None]:
    schema = statements_schema(connection) if statement is not None else None
    if statement is None or schema is None:
        return None, None
    params = {"queryid": statement.queryid, "user": statement.user}
    found = row(connection, "statement_counter", params, extension_schema=schema)
    return (found["calls"], found["exec_ms"]) if found else (None, None)


def effect(connection: Connection, approved: Approved[Action], terms: Terms, before: Counters) -> Effect:
    """From the counters as they were before the run until now. Raises what psycopg raises."""
    now = counters(connection, approved, terms)
    missing: list[str] = []
    uses = _plan_uses(connection, approved, terms.statement, missing)
    calls, mean_after = _latency(before, now)
    mean_before = _mean_before(before, terms.statement)
    hot_before, hot_after = _hot(None, before), _hot(before, now)
    if terms.statement is not None and now.calls is None:
        missing.append("the statement's counters (pg_stat_statements 1.8 and pg_read_all_stats)")
    advice, summary = _advice(terms.statement, calls, mean_before, mean_after, uses)
    if hot_before is not None and hot_after is not None and hot_before - hot_after > HOT_LOSS:
        summary += f"; HOT updates of the table fell from {hot_before:.0%} to {hot_after:.0%}"
    return Effect(
        advice=advice,
        summary=summary,
        plan_uses_index=uses,
        calls_after=calls,
        mean_ms_before=mean_before,
        mean_ms_after=mean_after,
        hot_share_before=hot_before,
        hot_share_after=hot_after,
        index_scans=now.index_scans,
        not_visible=tuple(missing),
    )


def _latency(before: Counters, now: Counters) -> tuple[int, float | None]:
    """Calls since, and their mean in milliseconds; None with too few. A reset in between starts from zero."""
    if now.calls is None or now.exec_ms is None:
        return 0, None
    reset = before.calls is None or before.exec_ms is None or now.calls < before.calls
    calls = now.calls - (0 if reset else before.calls or 0)
    spent_ms = now.exec_ms - (0.0 if reset else before.exec_ms or 0.0)
    return calls, spent_ms / calls if calls >= ENOUGH_CALLS else None


def _mean_before(before: Counters, statement: Statement | None) -> float | None:
    """In the window that the incident was found in; where it only was seen running, since the last reset."""
    if statement is not None and statement.calls and statement.mean_us:
        return statement.mean_us / 1000
    return before.exec_ms / before.calls if before.calls and before.exec_ms is not None else None


def _hot(before: Counters | None, now: Counters) -> float | None:
    """hot_updates / updates between two looks, or until one; None with too few updates."""
    if now.updates is None or now.hot_updates is None:
        return None
    updates = now.updates - ((before.updates or 0) if before else 0)
    hot = now.hot_updates - ((before.hot_updates or 0) if before else 0)
    return hot / updates if updates >= ENOUGH_UPDATES and 0 <= hot <= updates else None


def _advice(
    statement: Statement | None,
    calls: int,
    before: float | None,
    after: float | None,
    uses: bool | None,
) -> tuple[Literal["keep", "roll_back", "open"], str]:
    """What to do, and why. An index that the statement does not use cannot be what made it faster."""
    if statement is None:
        return "open", "the fix was for no one statement, so only the alert tells whether it helped"
    said = {True: "; its plan uses the index", False: "; its plan does not use the index", None: ""}[uses]
    if after is None:
        return "open", f"not enough calls since the fix: {calls} of {ENOUGH_CALLS}{said}"
    if before is None:
        return "open", f"{calls} calls at {after:.1f} ms since the fix, nothing to compare them with{said}"
    figures = f"{before:.1f} ms before, {after:.1f} ms over {calls} calls since the fix{said}"
    if uses is not False and after <= BETTER * before:
        return "keep", f"the statement is faster: {figures}"
    return "roll_back", f"the fix did not make the statement faster, and a rollback is at hand: {figures}"


def _plan_uses(
    connection: Connection,
    approved: Approved[Action],
    statement: Statement | None,
    missing: list[str],
) -> bool | None:
    """Whether the statement's plan names an index that the fix made; None where there is none, or no plan is shown."""
    names = set(approved.rendered.left_over)
    makes = isinstance(approved.action, CreateIndexConcurrently | CreatePartitionedIndex)
    schema = statements_schema(connection) if statement is not None and makes else None
    if statement is None or schema is None:
        return None
    params = {"queryid": statement.queryid, "user": statement.user}
    found = row(connection, "statement_text", params, extension_schema=schema)
    if found is None:
        missing.append("the statement's text: it is no longer in pg_stat_statements")
        return None
    seen = _plan(connection, found["query"], statement.user)
    if isinstance(seen, NotVisible):
        missing.append(f"{seen.what}: {seen.why}")
        return None
    return any(str(node.get("Index Name", "")) in names for node in seen.nodes())


def _plan(connection: Connection, query: str, user: str) -> Plan | NotVisible:
    """The statement's generic plan as the role's search path reads it, if the read-only guard lets it be planned."""
    try:
        text = planned.guarded(connection, query, user)
        return text if isinstance(text, NotVisible) else planned.plan(connection, text)
    except (*HIDDEN_FROM_US, *NOT_PLANNABLE) as error:
        return NotVisible("the plan", reason(error))
