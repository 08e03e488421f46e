"""sql: judges SQL without running it. JSON Lines in and out, or plain text for people and CI."""

from __future__ import annotations

import contextlib
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from connectors.unreachable import Unreachable
from guardrails.sql.check import Report, UnusableVersion, check, version_num
from guardrails.sql.lock import UNKNOWN_RELATIONS
from guardrails.sql.readonly import check_readonly

if TYPE_CHECKING:
    from collections.abc import Iterator

    from connectors.target.related import Catalog

MAX_LINE_BYTES = 8 * 1024 * 1024
"""A longer line is answered with an error and skipped; the judge's own cap on SQL is smaller."""
_REACHES_FAR = re.compile(r"\b(cascade|insert|update|delete|merge)\b", re.IGNORECASE)
"""Foreign keys carry these further than one table."""
_NAMES_OTHERS = re.compile(r"\b(nextval|setval|policy|rule|function|procedure|trigger)\b", re.IGNORECASE)
"""Bodies and arguments name relations that no dependency of the named ones leads to."""
_CATALOG_CANNOT_TELL = frozenset({"not_understood", "unknown_call", "dangerous_call"})


class _BadLine(Exception):
    """One line of input that gets an error for an answer. id None = the line did not say."""

    def __init__(self, why: str, request_id: object = None) -> None:
        super().__init__(why)
        self.request_id = request_id


@click.group()
def sql() -> None:
    """Judge SQL: which locks it takes, what is dangerous about it, whether it only reads."""


@sql.command(
    name="check",
    epilog="""\b
Examples:
  echo '{"id":1,"sql":"CREATE INDEX ON orders (customer_id)"}' | stanch sql check
  stanch sql check --format text migrations/0042.sql
  stanch sql check --format text --pg-version 14.2 < migration.sql
""",
)
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dsn", help="Ask this database's catalog which relations are meant by *.")
@click.option("--format", "form", type=click.Choice(["json", "text"]), default="json", show_default=True)
@click.option("--pg-version", help="Server version of the text format, such as 15 or 14.2.")
@click.option("--in-transaction", is_flag=True, help="The text format: your tool wraps each file in a transaction.")
def check_command(
    files: tuple[Path, ...], dsn: str | None, form: str, pg_version: str | None, *, in_transaction: bool
) -> None:
    """Name locks, rewrites and dangers of migrations.

    In: {"id", "sql", "pg_version"?, "in_transaction"?} a line. Out: {"id", "verdict", "findings", "locks", "rewrites"}.
    The text format takes SQL as it is, from files or standard input, and exits 1 on a refusal.
    """
    with contextlib.ExitStack() as stack:
        catalog = stack.enter_context(_catalog(dsn)) if dsn else None
        if form == "json":
            for request in _requests():
                _answer(request, lambda body: _checked(body, catalog))
            return
        version = _version(pg_version)
        refused = False
        for name, text in _texts(files):
            report = check(text, version=version, in_transaction=in_transaction)
            refused |= report.verdict == "refuse"
            _print_report(name, with_catalog(report, text, catalog))
    sys.exit(1 if refused else 0)


@sql.command(
    name="readonly",
    epilog="""\b
Example:
  echo '{"id":1,"sql":"SELECT * FROM pg_stat_activity"}' | stanch sql readonly
""",
)
def readonly_command() -> None:
    """Tell whether a statement only reads. In: {"id", "sql"} a line. Out: {"id", "verdict", "reason"}."""
    for request in _requests():
        _answer(request, _read_only)


def _requests() -> Iterator[bytes]:
    """Lines of standard input; a longer one than allowed comes back cut and so fails to parse."""
    while line := sys.stdin.buffer.readline(MAX_LINE_BYTES + 1):
        if len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
            while rest := sys.stdin.buffer.readline(MAX_LINE_BYTES):
                if rest.endswith(b"\n"):
                    break
            line = b""
            yield b'"too long"'
            continue
        if line.strip():
            yield line


def _answer(line: bytes, answer: Any) -> None:
    request_id: object = None
    try:
        body = _body(line)
        request_id = body.get("id")
        reply = {"id": request_id, **answer(body)}
    except _BadLine as error:
        reply = {"id": error.request_id if error.request_id is not None else request_id, "error": str(error)}
    # A lone surrogate in an id is written as the escape it came as.
    sys.stdout.buffer.write(json.dumps(reply, ensure_ascii=False).encode(errors="backslashreplace") + b"\n")
    sys.stdout.buffer.flush()


def _body(line: bytes) -> dict[str, Any]:
    if line == b'"too long"':
        raise _BadLine(f"longer than {MAX_LINE_BYTES} bytes")
    try:
        body = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise _BadLine(f"not a JSON object in UTF-8: {type(error).__name__}") from error
    if not isinstance(body, dict):
        raise _BadLine("not a JSON object")
    if not isinstance(body.get("sql"), str):
        raise _BadLine("sql is no text", body.get("id"))
    return body


def _checked(body: dict[str, Any], catalog: Catalog | None) -> dict[str, Any]:
    given = body.get("pg_version")
    wrapped = body.get("in_transaction")
    if wrapped is not None and not isinstance(wrapped, bool):
        raise _BadLine("in_transaction is neither true nor false")
    if (given is not None and not isinstance(given, str | int)) or isinstance(given, bool):
        raise _BadLine("pg_version is no text")
    try:
        version = None if given is None else version_num(str(given))
    except UnusableVersion as error:
        raise _BadLine(str(error)) from error
    try:
        report = check(body["sql"], version=version, in_transaction=bool(wrapped))
        report = with_catalog(report, body["sql"], catalog)
    except Unreachable as error:
        raise _BadLine(str(error)) from error
    return {
        "verdict": report.verdict,
        "findings": [
            {"rule": finding.rule, "level": finding.level, "why": finding.why, "fix": finding.fix}
            for finding in report.findings
        ],
        "locks": [{"relation": lock.relation, "mode": lock.mode} for lock in report.locks],
        "rewrites": list(report.rewrites),
    }


def _read_only(body: dict[str, Any]) -> dict[str, Any]:
    answer = check_readonly(body["sql"])
    return {"verdict": answer.verdict, "reason": answer.reason}


def _catalog(dsn: str) -> Catalog:
    from connectors.target.related import Catalog

    return Catalog(dsn)


def with_catalog(report: Report, text: str, catalog: Catalog | None) -> Report:
    """`*` replaced by the names the catalog knows, where it can know them all."""
    bound = next((lock for lock in report.locks if lock.relation == UNKNOWN_RELATIONS), None)
    named = [lock for lock in report.locks if lock.relation != UNKNOWN_RELATIONS]
    if catalog is None or bound is None or not named:
        return report
    if any(finding.rule in _CATALOG_CANNOT_TELL for finding in report.findings) or _NAMES_OTHERS.search(text):
        return report
    from guardrails.sql.lock import LockTaken

    known = dict.fromkeys(lock.relation for lock in named)
    far = _REACHES_FAR.search(text) is not None
    found = catalog.related([lock.relation for lock in named], far=far)
    locks = (*named, *(LockTaken(one.relation, bound.mode) for one in found if one.relation not in known))
    rewrites = report.rewrites
    if UNKNOWN_RELATIONS in rewrites:
        files = (*known, *(one.relation for one in found if one.own or far))
        rewrites = tuple(dict.fromkeys(name for name in (*rewrites, *files) if name != UNKNOWN_RELATIONS))
    return Report(report.verdict, report.findings, locks, rewrites)


def _version(text: str | None) -> int | None:
    try:
        return None if text is None else version_num(text)
    except UnusableVersion as error:
        raise click.UsageError(str(error)) from error


def _texts(files: tuple[Path, ...]) -> Iterator[tuple[str, str]]:
    """Each file, or standard input. Bytes that are no UTF-8 become characters the judge refuses."""
    if not files:
        yield "standard input", sys.stdin.buffer.read().decode(errors="surrogateescape")
    for path in files:
        yield str(path), path.read_bytes().decode(errors="surrogateescape")


_SIGNS = {"refuse": "refused", "warn": "warning", "note": "note"}


def _print_report(name: str, report: Report) -> None:
    click.echo(f"{_plain(name)}: {'refused' if report.verdict == 'refuse' else 'allowed'}")
    for finding in report.findings:
        click.echo(f"  {_SIGNS[finding.level]:8} {finding.rule}: {_plain(finding.why)}")
        click.echo(f"           instead: {_plain(finding.fix)}")
    for lock in report.locks:
        relation = "other relations at most" if lock.relation == UNKNOWN_RELATIONS else _plain(lock.relation)
        click.echo(f"  lock     {relation}: {lock.mode}")
    rewritten = [_plain(relation) for relation in report.rewrites if relation != UNKNOWN_RELATIONS]
    if rewritten:
        click.echo(f"  rewrite  {', '.join(rewritten)}")


def _plain(text: str) -> str:
    """Fit for a terminal: names come from hostile text."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)
