"""Reads back what an action rendered and compares it with the action: the second pair of eyes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from guardrails.index_action import CreateIndexConcurrently
from guardrails.rendered import NAME_PREFIX
from guardrails.sql.identifier import qualified
from guardrails.sql.lex import Unreadable
from guardrails.sql.lock import MODES, UNKNOWN_RELATIONS
from guardrails.sql.locks import locks_of
from guardrails.sql.parse import one_statement
from guardrails.sql.statement import folded
from guardrails.sql.tree import tree

if TYPE_CHECKING:
    from guardrails.action import Action, Rendered


def differences(action: Action, rendered: Rendered) -> tuple[str, ...]:
    """What the parsed statements say otherwise than the action; empty when they agree."""
    try:
        found = _foreign_locks(action, rendered)
        if isinstance(action, CreateIndexConcurrently):
            found += _create_index(action, rendered) + _drop_index(action, rendered)
    except Unreadable as error:
        return (f"the rendered command does not parse: {error}",)
    return tuple(found)


def _foreign_locks(action: Action, rendered: Rendered) -> list[str]:
    """Every statement is understood, and its named locks stay on the action's relations and below its own limit."""
    found = []
    ours = {folded(qualified(*relation)) for relation in rendered.relations}
    made = f"{action.schema}.{NAME_PREFIX}"
    for step in rendered.steps:
        for lock in locks_of(step):
            if lock.relation == UNKNOWN_RELATIONS or folded(lock.relation).startswith(made):
                continue
            if MODES[lock.mode] > action.strongest:
                found.append(f"{lock.mode} on {lock.relation} is more than {action.kind} may take")
            if not _is_ours(lock.relation, ours, action):
                found.append(f"{lock.relation} is no relation of the action")
    for step in (*rendered.cleanup_steps, *rendered.rollback_steps):
        locks_of(step)
    return found


def _is_ours(relation: str, ours: set[str], action: Action) -> bool:
    """The tables it names, its indexes in the same schema, or a catalog view it looks a session up in."""
    name = folded(relation)
    return name in ours or name.startswith(("pg_catalog.", f"{action.schema}."))


def _create_index(action: CreateIndexConcurrently, rendered: Rendered) -> list[str]:
    (step,) = rendered.steps
    found = tree(one_statement(step))
    if not isinstance(found, exp.Create) or found.kind != "INDEX" or not isinstance(found.this, exp.Index):
        return ["the rendered command is no CREATE INDEX"]
    index = found.this
    table = index.args.get("table")
    parameters = index.args.get("params")
    checks = {
        "CONCURRENTLY": bool(found.args.get("concurrently")),
        "no IF NOT EXISTS": not found.args.get("exists"),
        "not UNIQUE": not found.args.get("unique"),
        "the index name": index.name == rendered.object_name,
        "the table": isinstance(table, exp.Table) and (table.db, table.name) == (action.schema, action.table),
        "the columns": _columns(parameters) == action.columns,
        "the method": _method(parameters) == action.method,
        "no WHERE": parameters is None or parameters.args.get("where") is None,
    }
    return [f"the rendered command differs from the action: {what}" for what, agrees in checks.items() if not agrees]


def _columns(parameters: object) -> tuple[str, ...]:
    if not isinstance(parameters, exp.IndexParameters):
        return ()
    ordered = [item.this if isinstance(item, exp.Ordered) else item for item in parameters.args.get("columns") or ()]
    return tuple(item.name if isinstance(item, exp.Column) and not item.table else "" for item in ordered)


def _method(parameters: object) -> str:
    using = parameters.args.get("using") if isinstance(parameters, exp.IndexParameters) else None
    return using.name.lower() if isinstance(using, exp.Expression) else "btree"


def _drop_index(action: CreateIndexConcurrently, rendered: Rendered) -> list[str]:
    found_differences = []
    for step in (*rendered.cleanup_steps, *rendered.rollback_steps):
        found = tree(one_statement(step))
        names = found.args.get("tables") if isinstance(found, exp.Drop) else None
        only = names[0] if names and len(names) == 1 else None
        if (
            not isinstance(found, exp.Drop)
            or found.args.get("kind") != "INDEX"
            or not found.args.get("concurrently")
            or found.args.get("cascade")
            or not isinstance(only, exp.Table)
            or (only.db, only.name) != (action.schema, rendered.object_name)
        ):
            found_differences.append("the rendered cleanup or rollback drops something else than the action creates")
    return found_differences
