"""The generic plan of a statement somebody else ran, without running it and without its parameters.

PREPARE, then EXPLAIN EXECUTE with NULLs under plan_cache_mode = force_generic_plan: the one way that works from 12 to
18 over the extended protocol. EXPLAIN (GENERIC_PLAN) of 16 and later does not: bound to NULLs there, the parameters are
folded into the plan (measured on 17: "One-Time Filter: false"), and unbound it needs the simple protocol, which takes
several statements in one text.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import psycopg
from sqlglot import exp

from agent.database.advisor.statement import folded
from agent.database.rewrite import NotSure, comparison
from agent.database.snapshot import Comparison, NotVisible, Plan, WhatIf
from connectors.target.session import Connection, row, rows, statement
from guardrails.sql.identifier import UnusableName, literal, qualified, quoted
from guardrails.sql.lex import Token, Unreadable, normal_text
from guardrails.sql.parse import one_statement
from guardrails.sql.readonly import check_readonly
from guardrails.sql.tree import tree

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_NAME = "stanch_plan"
_EXPLAIN = "EXPLAIN (VERBOSE, FORMAT JSON) EXECUTE"
_DEFAULT_PATH = '"$user", public'


def guarded(connection: Connection, query: str, user: str | None) -> str | NotVisible:
    """The statement with its tables qualified, if the read-only guard lets it pass; otherwise why it is not planned."""
    text = query.strip().rstrip(";").strip()
    found = _qualified(connection, text, user)
    if isinstance(found, NotVisible):
        return found
    verdict = check_readonly(found)
    if verdict.verdict != "allow":
        return NotVisible("the plan", f"only plain reading statements are planned: {verdict.reason}")
    return found


def plan(connection: Connection, text: str) -> Plan:
    """The generic plan of a guarded text. Raises what psycopg raises; nothing stays prepared."""
    try:
        statement(connection, f"PREPARE {_NAME} AS {text}")
        known = row(connection, "prepared_parameters", {"name": _NAME})
        count = known["parameters"] if known else 0
        nulls = f"({', '.join(['NULL'] * count)})" if count else ""
        (explained,) = statement(connection, f"{_EXPLAIN} {_NAME}{nulls}")
        return Plan.parse(explained["QUERY PLAN"])
    finally:
        if not connection.closed:
            with contextlib.suppress(psycopg.errors.InvalidSqlStatementName):
                statement(connection, f"DEALLOCATE {_NAME}")


def plan_with(connection: Connection, text: str, values: Sequence[str | None]) -> Plan | NotVisible:
    """The plan of a guarded text made for these values of its parameters, which the server casts to their types."""
    given = f"({', '.join('NULL' if value is None else literal(value) for value in values)})" if values else ""
    try:
        statement(connection, f"PREPARE {_NAME} AS {text}")
        known = row(connection, "prepared_parameters", {"name": _NAME})
        if known is None or known["parameters"] != len(values):
            return NotVisible("the plan for values", "the statement has another number of parameters")
        with connection.transaction():  # LOCAL, so that no pooler hands the setting on
            statement(connection, "SET LOCAL plan_cache_mode = force_custom_plan")
            (explained,) = statement(connection, f"{_EXPLAIN} {_NAME}{given}")
        return Plan.parse(explained["QUERY PLAN"])
    finally:
        if not connection.closed:
            with contextlib.suppress(psycopg.errors.InvalidSqlStatementName):
                statement(connection, f"DEALLOCATE {_NAME}")


COMPARED_COST = 5_000_000.0
"""In the planner's units: beyond it even a sample would keep a core busy for more than a second or two."""
_COMPARED_TIMEOUT_S = 3


def compared(connection: Connection, query: str, rewritten: str) -> Comparison | NotVisible:
    """Both texts over the same few rows of each table, read-only and within seconds. Raises what psycopg raises."""
    what = "the comparison on a sample"
    try:
        text = comparison(query, rewritten)
    except NotSure as unsure:
        return NotVisible(what, str(unsure))
    verdict = check_readonly(text)
    if verdict.verdict != "allow":
        return NotVisible(what, f"only plain reading statements are run: {verdict.reason}")
    (explained,) = statement(connection, f"EXPLAIN (FORMAT JSON) {text}")
    if Plan.parse(explained["QUERY PLAN"]).total_cost > COMPARED_COST:
        return NotVisible(what, "it would take too long even on a sample")
    with connection.transaction():  # LOCAL, so that no pooler hands the setting on
        statement(connection, f"SET LOCAL statement_timeout = '{_COMPARED_TIMEOUT_S}s'")
        (found,) = statement(connection, text)
    return Comparison(rows=found["rows"], missing=found["missing"], added=found["added"])


def what_if(connection: Connection, text: str, schema: str, table: str, columns: Sequence[str]) -> WhatIf | NotVisible:
    """The plan with and without a hypothetical index. HypoPG's state is the session's, so it is reset either way."""
    extension = row(connection, "extension", {"extension": "hypopg"})
    if extension is None:
        return NotVisible("the plan with the index", "the extension hypopg is not created in this database")
    home = extension["schema"]
    command = f"CREATE INDEX ON {qualified(schema, table)} ({', '.join(quoted(column) for column in columns)})"
    before = plan(connection, text)
    try:
        (created,) = rows(connection, "hypothetical_create", {"command": command}, extension_schema=home)
        after = plan(connection, text)
        size = row(connection, "hypothetical_size", {"relid": created["indexrelid"]}, extension_schema=home)
    finally:
        if not connection.closed:
            rows(connection, "hypothetical_reset", extension_schema=home)
    mark = f"<{created['indexrelid']}>"  # HypoPG names its indexes <oid>btree_…
    used = any(str(node.get("Index Name", "")).startswith(mark) for node in after.nodes())
    return WhatIf(before.total_cost, after.total_cost, int(size["bytes"]) if size else 0, used)


def _qualified(connection: Connection, text: str, user: str | None) -> str | NotVisible:
    """Our session searches pg_catalog only, so that nobody's function is planned in place of the system's (planning
    runs immutable ones). Unqualified tables get the schema that the statement's own role would find them in; the rest
    of the text stays byte for byte what it was.
    """
    try:
        tokens = one_statement(text)
        parsed = tree(tokens)
    except Unreadable as error:
        return NotVisible("the plan", f"the statement's text could not be parsed: {error}")
    unqualified = _unqualified_tables(parsed)
    if not unqualified:
        return text
    found = homes(connection, {folded(node.this) for node in unqualified}, user)
    starts = _starts(tokens)
    pieces: list[str] = []
    position = 0
    for node in sorted(unqualified, key=lambda one: int(one.this.meta["start"])):
        name = folded(node.this)
        schema = found.get(name)
        start = starts.get(int(node.this.meta["start"]))
        if schema is None or start is None:
            return NotVisible("the plan", f"it is open which schema the table {name} is in")
        try:
            pieces += [text[position:start], quoted(schema), "."]
        except UnusableName as error:
            return NotVisible("the plan", str(error))
        position = start
    return "".join([*pieces, text[position:]])


def _starts(tokens: tuple[Token, ...]) -> dict[int, int]:
    """Where each token of the parsed text (single blanks, no comments) began in the text as given."""
    starts: dict[int, int] = {}
    position = 0
    for token in tokens:
        starts[position] = token.start
        position += len(normal_text((token,))) + 1
    return starts


def _unqualified_tables(parsed: exp.Expr) -> list[exp.Table]:
    own = {folded(cte.args["alias"].this) for cte in parsed.find_all(exp.CTE)}
    return [
        table
        for table in parsed.find_all(exp.Table)
        if isinstance(table.this, exp.Identifier)
        and not table.db
        and folded(table.this) not in own
        and "start" in table.this.meta
    ]


def homes(connection: Connection, names: set[str], user: str | None) -> Mapping[str, str]:
    """The schema of each name on the role's search path; off the path only when there is no choice. Views are left
    out: what they call is chosen by their owner.
    """
    found: dict[str, dict[str, str]] = {}
    for relation in rows(connection, "relations_named", {"names": sorted(names)}):
        found.setdefault(relation["name"], {})[relation["schema"]] = relation["relkind"]
    setting = row(connection, "search_path_of", {"user": user or ""})
    path = _path(connection, setting["search_path"] if setting else _DEFAULT_PATH, user)
    homes: dict[str, str] = {}
    for name, kinds in found.items():
        if "pg_catalog" in kinds:  # searched first by everybody
            homes[name] = "pg_catalog"
            continue
        on_path = [schema for schema in path if schema in kinds]
        chosen = on_path[0] if on_path else next(iter(kinds)) if len(kinds) == 1 else None
        if chosen is not None and kinds[chosen] != "v":
            homes[name] = chosen
    return homes


def _path(connection: Connection, search_path: str, user: str | None) -> list[str]:
    parts = rows(connection, "path_schemas", {"search_path": search_path})
    return [user if part["names"] == ["$user"] and user else part["names"][0] for part in parts if part["names"]]
