"""advise: which indexes would help, for statements on standard input or the workload of pg_stat_statements."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agent.database.advisor.advise import Advice
    from agent.database.advisor.catalog import TableProfile
    from agent.database.advisor.choice import Chosen
    from agent.database.advisor.definition import Definition
    from agent.database.advisor.workload import WorkloadAdvice
    from connectors.target.advice import AdvisorSession

MAX_LINE_BYTES = 8 * 1024 * 1024
"""A longer line is answered with an error and skipped; the advisor's own cap on SQL is smaller."""
MEGABYTE = 1024 * 1024

EPILOG = """\b
Examples:
  echo '{"id":1,"sql":"SELECT * FROM orders WHERE customer_id = $1"}' | stanch advise --dsn postgresql://…
  stanch advise --dsn postgresql://… --format text < slow.sql
  stanch advise --dsn postgresql://… --workload --budget-mb 500
  stanch advise --dsn postgresql://… --workload --format json
"""


@click.command("advise", epilog=EPILOG)
@click.option("--dsn", required=True, help="The database. A role with SELECT on the tables is enough; HypoPG helps.")
@click.option("--workload", is_flag=True, help="Advise for what pg_stat_statements has counted, not standard input.")
@click.option("--statements", default=60, show_default=True, help="Of the workload: how many, by the time they took.")
@click.option("--budget-mb", type=click.FloatRange(min=0, min_open=True), help="At most so much room for new indexes.")
@click.option("--format", "form", type=click.Choice(["json", "text"]), help="Default: text for --workload, else json.")
def advise(dsn: str, *, workload: bool, statements: int, budget_mb: float | None, form: str | None) -> None:
    """Advise indexes. Statements are planned, never run, and nothing is built.

    In: {"id", "sql"} a line, the SQL with literals or $1. Out: {"id", "indexes": [{"sql", "table", "columns",
    "estimated_bytes", "validated", "cost_before", "cost_after"}], "seconds", "reason"}; unknown figures are null. The
    text format takes one statement. validated says that the planner itself judged the index, by HypoPG; cost_before is
    the plan without that index and with the others of the advice.
    """
    from connectors.target.advice import AdvisorSession

    budget_bytes = int(budget_mb * MEGABYTE) if budget_mb is not None else None
    with AdvisorSession(dsn) as session:
        if workload:
            _workload(session, statements, budget_bytes, form or "text")
        elif (form or "json") == "json":
            for line in _lines():
                _answer(line, session, budget_bytes)
        else:
            _text(sys.stdin.buffer.read().decode(errors="surrogateescape"), session, budget_bytes)


def _lines() -> Iterator[bytes | None]:
    """Lines of standard input; None for one that is too long."""
    while line := sys.stdin.buffer.readline(MAX_LINE_BYTES + 1):
        if len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
            while (rest := sys.stdin.buffer.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
                pass
            yield None
        elif line.strip():
            yield line


def _answer(line: bytes | None, session: AdvisorSession, budget_bytes: int | None) -> None:
    from agent.database.advisor.advise import advise as advise_statement
    from connectors.unreachable import Unreachable

    request_id: object = None
    try:
        request_id, sql = _request(line)
        began = time.perf_counter()
        advice = advise_statement(sql, session, extensions=session.extensions, max_bytes=budget_bytes)
        seconds = round(time.perf_counter() - began, 4)
        reply = {
            "id": request_id,
            "indexes": [_index(one, advice.profiles) for one in advice.indexes],
            "seconds": seconds,
            "reason": advice.reason,
        }
    except _BadLine as error:
        reply = {"id": error.request_id, "error": str(error)}
    except Unreachable as error:
        reply = {"id": request_id, "error": str(error)}
    # A lone surrogate in an id is written as the escape it came as.
    sys.stdout.buffer.write(json.dumps(reply, ensure_ascii=False).encode(errors="backslashreplace") + b"\n")
    sys.stdout.buffer.flush()


class _BadLine(Exception):
    """One line of input that gets an error for an answer. request_id None: the line did not say."""

    def __init__(self, why: str, request_id: object = None) -> None:
        super().__init__(why)
        self.request_id = request_id


def _request(line: bytes | None) -> tuple[object, str]:
    if line is None:
        raise _BadLine(f"longer than {MAX_LINE_BYTES} bytes")
    try:
        body = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise _BadLine(f"not a JSON object in UTF-8: {type(error).__name__}") from error
    if not isinstance(body, dict):
        raise _BadLine("not a JSON object")
    if not isinstance(body.get("sql"), str):
        raise _BadLine("sql is no text", body.get("id"))
    return body.get("id"), body["sql"]


def _index(chosen: Chosen, profiles: Mapping[tuple[str, str], TableProfile]) -> dict[str, Any]:
    definition = chosen.definition
    return {
        "sql": _script(definition, profiles),
        "table": f"{definition.schema}.{definition.table}",
        "columns": list(definition.columns),
        "estimated_bytes": chosen.bytes,
        "validated": chosen.validated,
        "cost_before": round(chosen.cost_before, 2),
        "cost_after": None if chosen.cost_after is None else round(chosen.cost_after, 2),
    }


def _script(definition: Definition, profiles: Mapping[tuple[str, str], TableProfile]) -> str:
    """One statement; for a partitioned table several, to be sent one by one."""
    return ";\n".join(definition.statements(profiles[definition.schema, definition.table].leaves))


# -- for people


def _text(sql: str, session: AdvisorSession, budget_bytes: int | None) -> None:
    from agent.database.advisor.advise import advise as advise_statement

    advice: Advice = advise_statement(sql, session, extensions=session.extensions, max_bytes=budget_bytes)
    if not advice.indexes:
        click.echo(f"No index: {_plain(advice.reason)}.")
        return
    for one in advice.indexes:
        click.echo(f"{_plain(_script(one.definition, advice.profiles))};")
        after = "?" if one.cost_after is None else f"{one.cost_after:.0f}"
        by = "by HypoPG" if one.validated else "estimated, not validated"
        click.echo(f"  {_size(one.bytes)}, plan cost {one.cost_before:.0f} to {after} ({by})")
    click.echo(f"{_plain(advice.reason)}.")


def _workload(session: AdvisorSession, statements: int, budget_bytes: int | None, form: str) -> None:
    from agent.database.advisor.workload import advise_workload
    from agent.database.snapshot import NotVisible
    from service.commands.failures import CommandFailed

    workload = session.workload(statements)
    if isinstance(workload, NotVisible):
        raise CommandFailed(f"the workload is not visible: {workload.why}")
    began = time.perf_counter()
    shows_progress = sys.stderr.isatty()

    def progress(done: int) -> None:
        if shows_progress:
            click.echo(f"\r{done} of {len(workload)} statements", nl=done == len(workload), err=True)

    advice = advise_workload(
        workload, session, extensions=session.extensions, budget_bytes=budget_bytes, progress=progress
    )
    seconds = time.perf_counter() - began
    if form == "json":
        _workload_lines(advice, seconds)
    else:
        texts = {one.id: one.sql for one in workload}
        _workload_text(advice, texts, seconds, validates=session.validates)


def _workload_lines(advice: WorkloadAdvice, seconds: float) -> None:
    for one in advice.indexes:
        row = {
            "sql": _script(one.definition, advice.profiles),
            "table": f"{one.definition.schema}.{one.definition.table}",
            "columns": list(one.definition.columns),
            "estimated_bytes": one.bytes,
            "validated": one.validated,
            "saved_ms": round(one.saved_ms, 1),
            "write_ms": round(one.write_ms, 1),
            "statements": list(one.helps),
        }
        click.echo(json.dumps(row, ensure_ascii=False))
    total = {"total_ms": round(advice.total_ms, 1), "after_ms": round(advice.after_ms, 1), "seconds": round(seconds, 3)}
    click.echo(json.dumps(total | {"without": [{"id": id_, "reason": why} for id_, why in advice.without]}))


def _workload_text(advice: WorkloadAdvice, texts: Mapping[str, str], seconds: float, *, validates: bool) -> None:
    from agent.database.text import shown

    if not validates:
        click.echo("HypoPG is not in this database: costs are estimated from statistics, nothing is validated.")
    for one in advice.indexes:
        click.echo(f"\n{_plain(_script(one.definition, advice.profiles))};")
        paid = f", writes pay {one.write_ms / 1000:.1f} s" if one.write_ms >= 1 else ""
        click.echo(f"  {_size(one.bytes)}, saves {one.saved_ms / 1000:.1f} s of what was counted{paid}")
        for queryid in one.helps[:3]:
            click.echo(f"  helps {shown(texts[queryid], 90)}")
    room = sum(one.bytes or 0 for one in advice.indexes)
    click.echo(
        f"\n{len(advice.indexes)} indexes, {_size(room)}: {advice.total_ms / 1000:.1f} s of statements would have taken"
        f" {advice.after_ms / 1000:.1f} s by plan cost. Looked at {len(texts)} statements in {seconds:.1f} s."
    )
    for queryid, why in advice.without[:10]:
        click.echo(f"  no index for {shown(texts[queryid], 60)}: {shown(why, 160)}")
    if len(advice.without) > 10:  # noqa: PLR2004 a screenful
        click.echo(f"  and {len(advice.without) - 10} more without")


def _size(size_bytes: int | None) -> str:
    return "size not known" if size_bytes is None else f"{size_bytes / MEGABYTE:.1f} MB"


def _plain(text: str) -> str:
    """Fit for a terminal: names come from hostile text."""
    return "".join(
        character if character.isprintable() or character == "\n" else ascii(character)[1:-1] for character in text
    )
