"""The checks a skill can name: each looks at a target through its reader and answers in one sentence with figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from agent.database import missing_index
from agent.database.classes import CLASSES
from agent.database.doctor import examine
from agent.database.limits import Limits
from agent.database.snapshot import (
    Activity,
    NotVisible,
    Plan,
    SequentialScan,
    StatementDelta,
    TableDelta,
    TableFacts,
    Workload,
)
from agent.database.text import sentence, shown
from agent.database.value import Value

if TYPE_CHECKING:
    from agent.database.incident_class import IncidentClass
    from agent.database.missing_index import Candidate
    from agent.database.reader import TargetReader

WINDOW_S = 3.0
"""Between the two snapshots of a workload; statistics reach the views within 1 s (PGSTAT_MIN_INTERVAL)."""
BIG_TABLE_ROWS = 10_000
"""Below it a sequential scan is no problem; pghero's missing-index query starts there too."""
SLOW_MEAN_MS = 20.0
"""pghero's slow_query_ms."""
TIME_SHARE = 0.25
"""Of the database's execution time in the window; below it a statement does not carry the load."""
SLOWER_THAN_BASELINE = 3.0
"""Mean in the window against the mean before it. The earlier mean already holds part of the incident."""
SLOWER_THAN_FASTEST = 20.0
"""Against the fastest run since the reset, for when the incident has filled the earlier mean."""
TUPLES_READ_SHARE = 0.5
"""Of all tuples read by sequential scans in the window; the table above it is the one that dominates."""
COST_FALL = 5.0
"""A missing index makes a plan at least this much cheaper; smaller gains have other causes."""
CONNECTIONS_USED_SHARE = 0.9
STALE_SHARE = 0.2
STALE_ROWS = 50
"""Twice autovacuum_analyze_scale_factor, and autovacuum_analyze_threshold: autovacuum should have come long ago."""
IN_AN_INCIDENT = Limits(long_query_s=10.0, lock_wait_s=0.1)
"""For the classes as checks. They are asked while an alert rings, which is no time to wait until a statement that takes
the whole server has done so for the minute after which `stanch diagnose` calls it long. An application gives up waiting
for a lock after a few seconds and asks again: whoever looks then must not take a wait that has just begun for none."""
LONG_TRANSACTION_S = 60.0
"""A transaction older than this makes CREATE INDEX CONCURRENTLY wait noticeably; the preflight asks the same."""


@dataclass(frozen=True, slots=True)
class Observation(Value):
    """What a check saw. not_visible is neither yes nor no: the role or the server would not show it, and data says why.

    summary is one plain sentence of at most 200 characters. data is JSON-ready and is what later checks get as known.
    """

    status: Literal["yes", "no", "not_visible"]
    summary: str
    data: Mapping[str, Any]


Known: TypeAlias = Mapping[str, Any]
"""Observation.data by the name of an earlier check; a check reads again what is not there."""


@dataclass(frozen=True, slots=True)
class DatabaseCheck:
    """Raises only what the reader raises."""

    name: str
    run: Callable[[TargetReader, Known], Observation]


def workload_sample(reader: TargetReader, _known: Known) -> Observation:
    workload = reader.workload(WINDOW_S)
    if workload.not_visible and not workload.statements and not workload.tables:
        return _hidden(workload.not_visible)
    calls = sum(statement.calls for statement in workload.statements)
    summary = (
        f"In {workload.window_s:.1f} s the busiest {len(workload.statements)} statements ran {calls} times"
        f" and took {workload.total_exec_ms:.0f} ms in all"
    )
    return Observation("yes", sentence(summary + _gaps(workload.not_visible)), workload.as_data())


def sequential_scans_dominate(reader: TargetReader, known: Known) -> Observation:
    workload = _workload(reader, known)
    if not workload.tables and workload.not_visible:
        return _hidden(workload.not_visible)
    read = sum(table.seq_tup_read for table in workload.tables)
    table = _most_scanned(workload)
    if table is None:
        return Observation("no", f"No table of {BIG_TABLE_ROWS} rows or more was read sequentially in the sample", {})
    share = table.seq_tup_read / read
    data = {"table": table.as_data(), "share": share, "window_s": workload.window_s}
    summary = (
        f"{_table_name(table.schema, table.table)} ({table.live_rows} rows) was read in full {table.seq_scans} times in"
        f" {workload.window_s:.1f} s: {table.seq_tup_read} tuples, {share:.0%} of all such reading"
    )
    return Observation("yes" if share >= TUPLES_READ_SHARE else "no", sentence(summary), data)


def slow_statement(reader: TargetReader, known: Known) -> Observation:
    workload = _workload(reader, known)
    finished = _slow_finished(workload)
    if finished.status == "yes":
        return finished
    return _slow_running(reader, workload) or finished


def _slow_finished(workload: Workload) -> Observation:
    if not workload.statements:
        return _no_statement(workload)
    statement = workload.statements[0]
    share = statement.total_exec_ms / workload.total_exec_ms if workload.total_exec_ms else 0.0
    ratio = _ratio(statement.mean_exec_ms, statement.baseline_mean_exec_ms)
    data = {"statement": statement.as_data(), "share": share, "times_baseline": ratio}
    before = "it had not run before" if ratio is None else f"{ratio:.1f} times its earlier mean"
    summary = (
        f"One statement took {share:.0%} of the time, {statement.calls} calls at {statement.mean_exec_ms:.1f} ms,"
        f" {before}: {shown(statement.query)}"
    )
    slow = share >= TIME_SHARE and statement.mean_exec_ms >= SLOW_MEAN_MS and _became_slow(statement, ratio)
    if not slow and workload.not_visible:
        return _hidden(workload.not_visible)
    return Observation("yes" if slow else "no", sentence(summary), data)


def plan_scans_a_big_table(reader: TargetReader, known: Known) -> Observation:
    statement, hidden = _statement(reader, known)
    if statement is None:
        return hidden
    plan = reader.explain(statement.query, statement.user)
    if isinstance(plan, NotVisible):
        return _hidden((plan,))
    data: dict[str, Any] = {"plan": plan.as_data(), "statement": statement.as_data(), "scan": None, "table": None}
    found = _filtered_big_scan(reader, plan)
    if isinstance(found, NotVisible):
        return _hidden((found,))
    if found is None:
        return Observation("no", f"The plan has no filtered sequential scan of {BIG_TABLE_ROWS} rows or more", data)
    scan, table = found
    data |= {"scan": scan.as_data(), "table": table.as_data()}
    summary = (
        f"The plan scans all {table.rows} rows of {_table_name(table.schema, table.table)} for {scan.rows:.0f}"
        f" (cost {scan.cost:.0f} of {plan.total_cost:.0f}), filter {shown(scan.filter or '')}"
    )
    return Observation("yes", sentence(summary), data)


def index_would_help(reader: TargetReader, known: Known) -> Observation:
    planned = known.get("plan_scans_a_big_table") or plan_scans_a_big_table(reader, known).data
    if "plan" not in planned:
        return _by_text_alone(reader, known, planned)
    if planned["table"] is None:
        return Observation("no", "The plan has no big sequential scan that an index could replace", {})
    statement = StatementDelta.from_data(planned["statement"])
    plan, table = Plan.from_data(planned["plan"]), TableFacts.from_data(planned["table"])
    wanted = missing_index.candidates(statement.query, plan, table)
    if not wanted:
        return Observation("no", "No condition on a plain column that an index could serve", {})
    for candidate in wanted:
        if existing := missing_index.existing_index(candidate, table):
            return _already_there(candidate, existing)
    advices = [_advice(reader, statement, plan, table, candidate) for candidate in wanted]
    return _advised(_thriftiest(advices, table))


def invalid_index_left(reader: TargetReader, _known: Known) -> Observation:
    indexes = reader.invalid_indexes()
    if isinstance(indexes, NotVisible):
        return _hidden((indexes,))
    data = {"indexes": [index.as_data() for index in indexes]}
    if not indexes:
        return Observation("no", "No invalid index is left behind", data)
    first = indexes[0]
    cost = "every write pays for it" if first.ready else "writes do not pay for it"
    summary = f"{len(indexes)} invalid: {_table_name(first.schema, first.name)} on {shown(first.table)}, {cost}"
    return Observation("yes", sentence(summary), data)


def lock_waits(reader: TargetReader, _known: Known) -> Observation:
    activity = reader.activity()
    waiting = [session for session in activity.waiting if (session.waiting_s or 0.0) >= IN_AN_INCIDENT.lock_wait_s]
    roots = activity.root_blockers()
    sessions = {session.pid: session for session in activity.sessions}
    data = {
        "waiting": [session.as_data() for session in waiting],
        "roots": [sessions[pid].as_data() for pid in roots if pid in sessions],
        "root_pids": list(roots),
    }
    if not waiting:
        none = f"No session has waited {IN_AN_INCIDENT.lock_wait_s:g} s for a lock"
        return _unless_hidden(activity, Observation("no", none, data))
    longest = max(session.waiting_s or 0.0 for session in waiting)
    summary = f"{len(waiting)} sessions wait for locks, the longest {longest:.0f} s"
    if roots:
        root = sessions.get(roots[0])
        state = f" ({root.state}, {shown(root.application, 30)})" if root else ""
        summary += f"; behind process {roots[0]}{state}"
    return Observation("yes", sentence(summary), data)


def connections_exhausted(reader: TargetReader, _known: Known) -> Observation:
    activity = reader.activity()
    share = activity.total / activity.usable_connections if activity.usable_connections else 1.0
    data = {
        "total": activity.total,
        "usable_connections": activity.usable_connections,
        "by_state": dict(activity.by_state),
        "by_application": dict(activity.by_application),
    }
    states = ", ".join(f"{count} {shown(state, 30)}" for state, count in activity.by_state.items())
    summary = f"{activity.total} of {activity.usable_connections} connections are used ({share:.0%}): {states}"
    return Observation("yes" if share >= CONNECTIONS_USED_SHARE else "no", sentence(summary), data)


def stale_statistics(reader: TargetReader, known: Known) -> Observation:
    workload = _workload(reader, known)
    if not workload.tables and workload.not_visible:
        return _hidden(workload.not_visible)
    stale = [table for table in workload.tables if _is_stale(table)]
    stale.sort(key=lambda table: -table.modified_since_analyze)
    data = {"tables": [table.as_data() for table in stale]}
    if not stale:
        return Observation("no", "The statistics of the busy tables are fresh", data)
    worst = stale[0]
    analysed = f"last analysed {worst.last_analyze}" if worst.last_analyze else "never analysed"
    summary = (
        f"{_table_name(worst.schema, worst.table)}: {worst.modified_since_analyze} of {worst.live_rows} rows changed"
        f" since its statistics were taken, {analysed}"
    )
    return Observation("yes", sentence(summary), data)


def long_transaction(reader: TargetReader, _known: Known) -> Observation:
    activity = reader.activity()
    old = [session for session in activity.sessions if (session.xact_age_s or 0.0) >= LONG_TRANSACTION_S]
    old.sort(key=lambda session: -(session.xact_age_s or 0.0))
    data = {"sessions": [session.as_data() for session in old]}
    if not old:
        nothing = Observation("no", f"No transaction is older than {LONG_TRANSACTION_S:.0f} s", data)
        return _unless_hidden(activity, nothing)
    oldest = old[0]
    held = ", holding a snapshot" if oldest.backend_xmin_age is not None else ""
    summary = (
        f"{len(old)} transactions are older than {LONG_TRANSACTION_S:.0f} s; process {oldest.pid}"
        f" ({oldest.state}, {shown(oldest.application, 30)}) has been in one for {oldest.xact_age_s or 0:.0f} s{held}"
    )
    return Observation("yes", sentence(summary), data)


_ALL = (
    workload_sample,
    sequential_scans_dominate,
    slow_statement,
    plan_scans_a_big_table,
    index_would_help,
    invalid_index_left,
    lock_waits,
    connections_exhausted,
    stale_statistics,
    long_transaction,
)


def _class_check(incident: IncidentClass) -> DatabaseCheck:
    """Whether the target has an incident of this class now: yes with its findings, the most severe first."""

    def run(reader: TargetReader, _known: Known) -> Observation:
        report = examine(reader, WINDOW_S if incident.needs_window else 0.0, IN_AN_INCIDENT, (incident,))
        data = report.as_data()
        if report.findings:
            return Observation("yes", sentence(report.findings[0].title), data)
        if report.not_visible:
            return _hidden(report.not_visible)
        return Observation("no", f"Not so: {incident.what}", data)

    return DatabaseCheck(incident.name, run)


CHECKS: Mapping[str, DatabaseCheck] = {
    **{check.__name__: DatabaseCheck(check.__name__, check) for check in _ALL},
    **{incident.name: _class_check(incident) for incident in CLASSES.values()},
}


def _workload(reader: TargetReader, known: Known) -> Workload:
    sampled = known.get("workload_sample")
    if sampled and "window_s" in sampled:
        return Workload.from_data(sampled)
    return reader.workload(WINDOW_S)


def _most_scanned(workload: Workload) -> TableDelta | None:
    big = [table for table in workload.tables if table.live_rows >= BIG_TABLE_ROWS and _reads_it_all(table)]
    return max(big, key=lambda table: table.seq_tup_read, default=None)


def _reads_it_all(table: TableDelta) -> bool:
    """A LIMIT or an EXISTS ends a scan early; such reading is no sign of a missing index."""
    return table.seq_scans > 0 and table.seq_tup_read / table.seq_scans >= BIG_TABLE_ROWS


def _became_slow(statement: StatementDelta, ratio: float | None) -> bool:
    if ratio is None or ratio >= SLOWER_THAN_BASELINE:
        return True
    fastest = _ratio(statement.mean_exec_ms, statement.min_exec_ms)
    return ratio >= 1.0 and fastest is not None and fastest >= SLOWER_THAN_FASTEST


def _ratio(value: float, against: float | None) -> float | None:
    return None if not against else value / against


def _slow_running(reader: TargetReader, workload: Workload) -> Observation | None:
    """Statements are counted when they end; one that takes longer than the sample is only seen while it runs."""
    running = [
        session
        for session in reader.activity().sessions
        if session.state == "active"
        and session.wait_event_type != "Lock"
        and (session.state_age_s or 0.0) > workload.window_s
    ]
    if not running:
        return None
    longest = max(running, key=lambda session: session.state_age_s or 0.0)
    age_s = longest.state_age_s or 0.0
    statement = StatementDelta(
        queryid=0,
        query=longest.query,
        calls=0,
        total_exec_ms=0.0,
        mean_exec_ms=age_s * 1000,
        baseline_mean_exec_ms=None,
        min_exec_ms=None,
        rows=0,
        shared_blks_read=0,
        shared_blks_hit=0,
        user=longest.user,
    )
    data = {"statement": statement.as_data(), "share": None, "times_baseline": None, "running": len(running)}
    summary = f"{len(running)} statements have run for over {workload.window_s:.0f} s, one for {age_s:.0f} s: "
    return Observation("yes", sentence(summary + shown(longest.query)), data)


def _no_statement(workload: Workload) -> Observation:
    if workload.not_visible:
        return _hidden(workload.not_visible)
    return Observation("no", f"No statement finished in {workload.window_s:.1f} s", {"statement": None})


def _statement(reader: TargetReader, known: Known) -> tuple[StatementDelta | None, Observation]:
    """The slow statement; or None and what to answer instead."""
    data = known.get("slow_statement")
    seen = Observation("yes", "", data) if data and "statement" in data else slow_statement(reader, known)
    if seen.status == "not_visible" or not seen.data.get("statement"):
        return None, seen
    return StatementDelta.from_data(seen.data["statement"]), seen


def _filtered_big_scan(reader: TargetReader, plan: Plan) -> tuple[SequentialScan, TableFacts] | NotVisible | None:
    for scan in plan.sequential_scans():
        if scan.filter is None and not _joins(plan):
            continue
        facts = reader.table_facts(scan.schema or "", scan.table)
        if isinstance(facts, NotVisible):
            return facts
        if (facts.rows or 0) >= BIG_TABLE_ROWS:
            return scan, facts
    return None


def _joins(plan: Plan) -> bool:
    """An unfiltered scan below a join may still be one that a lookup by the join's column would replace."""
    return any("Join" in str(node.get("Node Type")) or node.get("Node Type") == "Nested Loop" for node in plan.nodes())


def _advice(
    reader: TargetReader, statement: StatementDelta, plan: Plan, table: TableFacts, candidate: Candidate
) -> dict[str, Any]:
    what_if = reader.what_if(statement.query, table.schema, table.table, candidate.columns, statement.user)
    advice: dict[str, Any] = {
        "schema": candidate.schema,
        "table": candidate.table,
        "columns": list(candidate.columns),
        "cost_before": plan.total_cost,
    }
    if isinstance(what_if, NotVisible):
        return advice | {
            "estimated_bytes": missing_index.estimated_bytes(candidate, table),
            "cost_after": missing_index.estimated_cost(plan, candidate, table),
            "validated": False,
        }
    return advice | {
        "estimated_bytes": what_if.estimated_bytes,
        "cost_before": what_if.cost_before,
        "cost_after": what_if.cost_after,
        "validated": True,
    }


def _thriftiest(advices: list[dict[str, Any]], table: TableFacts) -> dict[str, Any]:
    """The cheapest plan for the room the index takes: each column more is paid by every write.

    Room is ours to estimate for all alike: HypoPG's figure grows too fast with the columns (measured on 1.3.1).
    """
    known = [advice for advice in advices if advice["cost_after"] is not None]
    if not known:
        return advices[0]

    def burden(advice: dict[str, Any]) -> float:
        candidate = missing_index.Candidate(advice["schema"], advice["table"], tuple(advice["columns"]), 0)
        return missing_index.burden(advice["cost_after"], missing_index.estimated_bytes(candidate, table))

    return min(known, key=lambda advice: (burden(advice), len(advice["columns"])))


def _advised(advice: dict[str, Any]) -> Observation:
    before, after = advice["cost_before"], advice["cost_after"]
    name = f"{_table_name(advice['schema'], advice['table'])} ({', '.join(shown(c, 40) for c in advice['columns'])})"
    how = "by HypoPG" if advice["validated"] else "estimated, not validated"
    if before is None or after is None:
        return Observation("yes", sentence(f"An index on {name} fits the conditions; {how}"), advice)
    status: Literal["yes", "no"] = "yes" if before >= COST_FALL * max(after, 0.01) else "no"
    verb = "would take" if status == "yes" else "would only take"
    return Observation(
        status, sentence(f"An index on {name} {verb} the plan from cost {before:.0f} to {after:.0f}, {how}"), advice
    )


def _already_there(candidate: Candidate, existing: str) -> Observation:
    columns = ", ".join(shown(column, 40) for column in candidate.columns)
    summary = f"Index {shown(existing, 63)} already begins with {columns}; the planner does not choose it"
    return Observation("no", sentence(summary), {"existing": existing})


def _by_text_alone(reader: TargetReader, known: Known, planned: Known) -> Observation:
    """Where the plan is not to be had (a write, no SELECT right): the text, and the table that is scanned anyway."""
    statement, hidden = _statement(reader, known)
    if statement is None:
        return hidden
    scanned = _most_scanned(_workload(reader, known))
    named = {table for _, table in missing_index.tables_named(statement.query)}
    if scanned is None or scanned.table not in named:
        return Observation("not_visible", "Without the plan it stays open which table an index would serve", planned)
    table = reader.table_facts(scanned.schema, scanned.table)
    if isinstance(table, NotVisible):
        return _hidden((table,))
    wanted = [c for c in missing_index.candidates(statement.query, None, table) if c.equality_columns]
    if not wanted:
        return Observation("no", "No condition on a plain column that an index could serve", {})
    if existing := missing_index.existing_index(wanted[0], table):
        return _already_there(wanted[0], existing)
    return _advised(
        {
            "schema": table.schema,
            "table": table.table,
            "columns": list(wanted[0].columns),
            "estimated_bytes": missing_index.estimated_bytes(wanted[0], table),
            "cost_before": None,
            "cost_after": None,
            "validated": False,
        }
    )


def _is_stale(table: TableDelta) -> bool:
    if table.live_rows < BIG_TABLE_ROWS:
        return False
    return table.last_analyze is None or table.modified_since_analyze > STALE_ROWS + STALE_SHARE * table.live_rows


def _unless_hidden(activity: Activity, otherwise: Observation) -> Observation:
    """Having seen none is an answer only when all of it can be seen."""
    return _hidden(activity.not_visible) if activity.not_visible else otherwise


def _hidden(reasons: tuple[NotVisible, ...]) -> Observation:
    summary = "; ".join(f"{reason.what} not visible: {reason.why}" for reason in reasons)
    return Observation("not_visible", sentence(summary), {"not_visible": [reason.as_data() for reason in reasons]})


def _gaps(reasons: tuple[NotVisible, ...]) -> str:
    return f"; not visible: {', '.join(reason.what for reason in reasons)}" if reasons else ""


def _table_name(schema: str, table: str) -> str:
    return f"{shown(schema, 63)}.{shown(table, 63)}"
