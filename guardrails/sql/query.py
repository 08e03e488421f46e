"""SELECT, INSERT, UPDATE, DELETE, MERGE: which relations they name, by sqlglot's tree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from guardrails.sql.functions import OTHER_BUILT_IN, READABLE, READABLE_ANYWHERE
from guardrails.sql.identifier import KEYWORDS
from guardrails.sql.lex import Unreadable
from guardrails.sql.lock import UNKNOWN_RELATIONS, Mode
from guardrails.sql.readonly import SELECT_ALL_FROM, TYPES, is_grammar, names_columns
from guardrails.sql.statement import Draft
from guardrails.sql.tree import let_go, tree

if TYPE_CHECKING:
    from guardrails.sql.lex import Token

# Functions that touch no relation, or only a sequence; any other one that does more than read may lock anything.
_SEQUENCE_FUNCTIONS = frozenset({"nextval", "setval", "currval", "lastval"})
_LOCKLESS_PREFIXES = (
    "pg_advisory",
    "pg_try_advisory",
    "pg_sleep",
    "pg_stat_",
    "pg_cancel",
    "pg_terminate",
    "pg_wal",
    "lo_",
)
_LOCKLESS = frozenset(
    """
    set_config setseed pg_notify pg_reload_conf pg_rotate_logfile pg_switch_wal pg_create_restore_point
    pg_export_snapshot pg_read_file pg_read_binary_file pg_ls_dir pg_stat_file pg_logical_emit_message
    pg_current_xact_id txid_current pg_promote pg_log_backend_memory_contexts pg_drop_replication_slot
    pg_create_physical_replication_slot pg_create_logical_replication_slot pg_replication_slot_advance
    pg_current_logfile array_sample array_shuffle
    """.split()  # noqa: SIM905 a list of names reads better as text
)
_NAMES_OR_WRITES = (exp.Table, exp.CTE, exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Into, exp.Lock)
_LOOKED_AT: dict[type, bool] = {}
"""Whether a class of nodes is one of those: asked once a class, since a query has hundreds of nodes."""
_ROW_LOCKS = frozenset({"update", "share", "no", "key"})
_REACH_CHILDREN = frozenset({"update", "delete"})
_GRAMMAR_OF_WRITES = {"conflict": frozenset({"on"}), "insert": frozenset({"then"})}
"""Words before a bracket that only statements with these before them have."""


def read_query(tokens: tuple[Token, ...]) -> Draft:
    """A statement that reads or writes rows.

    Raises:
        Unreadable: sqlglot does not take it for such a statement.
    """
    if tokens[0].kind == "word" and tokens[0].value == "table":
        tokens = (*SELECT_ALL_FROM, *tokens[1:])
    parsed = tree(_without_overriding(tokens))
    if isinstance(parsed, exp.Create | exp.Drop):
        raise Unreadable("not a query")
    draft = Draft(_kind(parsed))
    every = list(parsed.walk())
    nodes = [node for node in every if _LOOKED_AT.get(type(node), True) and _is_looked_at(type(node))]
    ctes = frozenset(node.alias for node in nodes if isinstance(node, exp.CTE))
    mode = _mode(tokens, nodes)
    draft.locks.append((UNKNOWN_RELATIONS, mode))  # indexes, and what a view reads
    only = _only_these(nodes) if mode is Mode.ROW_SHARE else None
    for node in nodes:
        match node:
            case exp.Table(this=exp.Identifier()) if node.db or node.name not in ctes:
                if not isinstance(node.parent, exp.Lock):  # FOR UPDATE OF names an alias
                    spared = only is not None and node.alias_or_name not in only
                    draft.lock(_written(node), Mode.ACCESS_SHARE if spared else mode)
            case exp.Insert() | exp.Update() | exp.Delete() | exp.Merge():
                if isinstance(node, exp.Merge):
                    draft.needs(17 if node.args.get("returning") else 15, *_merge(node))
                if not isinstance(node.parent, exp.When):  # the branches of a MERGE write to its own target
                    _write(node, draft)
            case exp.Into():
                draft.creates.append(_written(node.this))
                draft.does("create_table_as", _written(node.this))
    _calls(tokens, draft)
    let_go(every)
    return draft


def _merge(merge: exp.Merge) -> tuple[str, str]:
    if merge.args.get("returning"):
        return "MERGE … RETURNING", "leave RETURNING out, and SELECT the rows afterwards in the same transaction"
    return "MERGE", "INSERT … ON CONFLICT … DO UPDATE, or an UPDATE and an INSERT in one transaction"


def _without_overriding(tokens: tuple[Token, ...]) -> tuple[Token, ...]:
    """INSERT … OVERRIDING SYSTEM VALUE locks nothing more, and sqlglot does not know it."""
    if tokens[0].value != "insert":
        return tokens
    for index, token in enumerate(tokens[:-2]):
        if token.value == "overriding" and tokens[index + 2].value == "value":
            return (*tokens[:index], *tokens[index + 3 :])
    return tokens


def _is_looked_at(kind: type) -> bool:
    known = _LOOKED_AT.get(kind)
    if known is None:
        known = _LOOKED_AT[kind] = issubclass(kind, _NAMES_OR_WRITES)
    return known


def _kind(parsed: exp.Expression) -> str:
    match parsed:
        case exp.Insert() | exp.Update() | exp.Delete() | exp.Merge():
            return type(parsed).__name__.lower()
    return "select"


def _mode(tokens: tuple[Token, ...], nodes: list[exp.Expr]) -> Mode:
    """The lock on the relations that are only read.

    A foreign key may lead from the written table to any of them: its check locks rows of parents, and ON DELETE and ON
    UPDATE write to children.
    """
    found = Mode.ACCESS_SHARE
    for node in nodes:
        match node:
            case exp.Update() | exp.Delete():
                return Mode.ROW_EXCLUSIVE
            case exp.Merge() if any(token.kind == "word" and token.value in _REACH_CHILDREN for token in tokens):
                return Mode.ROW_EXCLUSIVE
            case exp.Insert():
                found = Mode.ROW_SHARE
    return Mode.ROW_SHARE if found is Mode.ACCESS_SHARE and _locks_rows(tokens) else found


def _locks_rows(tokens: tuple[Token, ...]) -> bool:
    found = [index for index, (kind, _text, value, _start) in enumerate(tokens) if value == "for" and kind == "word"]
    return any(tokens[index + 1 : index + 2] and tokens[index + 1].value in _ROW_LOCKS for index in found)


def _only_these(nodes: list[exp.Expr]) -> set[str] | None:
    """The aliases FOR UPDATE OF … names, if each is a table's own; None = every relation is meant."""
    named: set[str] = set()
    for node in nodes:
        if isinstance(node, exp.Insert):
            return None
        if isinstance(node, exp.Lock):
            if not node.expressions:
                return None
            named.update(table.name for table in node.expressions)
    tables = {
        node.alias_or_name for node in nodes if isinstance(node, exp.Table) and not isinstance(node.parent, exp.Lock)
    }
    return named if named <= tables else None


def _write(written: exp.Expression, draft: Draft) -> None:
    target = written.this
    if isinstance(target, exp.Schema):
        target = target.this
    if not isinstance(target, exp.Table):
        raise Unreadable("not understood: where it writes to")
    relation = _written(target)
    # Indexes and partitions too; ON DELETE CASCADE reaches children, foreign keys lock rows of parents.
    draft.lock(relation, Mode.ROW_EXCLUSIVE, others=Mode.ROW_EXCLUSIVE)
    bounded = written.args.get("where") is not None
    if isinstance(written, exp.Update | exp.Delete):
        name = "update_rows" if isinstance(written, exp.Update) else "delete_rows"
        marks = {"bounded"} if bounded and not _always_true(written.args["where"]) else set()
        draft.does(name, relation, marks=frozenset(marks))
    elif isinstance(written, exp.Insert):
        draft.does("insert_rows", relation)


def _always_true(where: exp.Expression) -> bool:
    condition = where.this.unnest() if isinstance(where.this, exp.Expression) else None
    if isinstance(condition, exp.Boolean):
        return bool(condition.this)
    return isinstance(condition, exp.EQ) and condition.left == condition.right


def _written(table: exp.Expression | str) -> str:
    """The name as it was written, without alias, ONLY or sample."""
    if not isinstance(table, exp.Table):
        raise Unreadable("not understood: a relation")
    parts = [part for part in (table.args.get("catalog"), table.args.get("db"), table.this) if part is not None]
    return ".".join(
        '"' + part.name.replace('"', '""') + '"' if part.args.get("quoted") else part.name for part in parts
    )


def _calls(tokens: tuple[Token, ...], draft: Draft) -> None:
    """A function may lock what it likes; only those we know are believed not to."""
    brackets = [index for index, (_kind, text, _value, _start) in enumerate(tokens) if text == "("]
    for index in (bracket - 1 for bracket in brackets if bracket):
        token = tokens[index]
        if token.kind not in ("word", "name"):
            continue
        name = token.value
        if name in READABLE or name in READABLE_ANYWHERE or name in TYPES or _calls_nothing(tokens, index):
            continue
        if name in _SEQUENCE_FUNCTIONS:
            draft.locks.append((UNKNOWN_RELATIONS, Mode.ROW_EXCLUSIVE))
        elif name in _LOCKLESS or (name in OTHER_BUILT_IN and name.startswith(_LOCKLESS_PREFIXES)):
            draft.does("call", detail=name)
        elif name in OTHER_BUILT_IN:
            draft.locks.append((UNKNOWN_RELATIONS, Mode.ACCESS_EXCLUSIVE))
            draft.does("call", detail=name)
        else:
            draft.locks.append((UNKNOWN_RELATIONS, Mode.ACCESS_EXCLUSIVE))
            draft.does("call_unknown", detail=name)


def _calls_nothing(tokens: tuple[Token, ...], index: int) -> bool:
    """Whether the word before a bracket is grammar, the table of INSERT INTO, or an alias with columns."""
    token, before = tokens[index], tokens[index - 1] if index else None
    if before is not None and before.text == ".":
        return _is_target(tokens, index)
    if before is not None and before.kind == "word" and before.value == "as":
        return True
    if token.kind == "word":
        if is_grammar(token.value, before):
            return True
        if before is not None and before.value in _GRAMMAR_OF_WRITES.get(token.value, ()):
            return True
        if token.value == "set" and before is not None and before.value != "(":
            return before.value == "update" or before.kind == "name" or before.value not in KEYWORDS
    return _is_target(tokens, index) or names_columns(tokens, index)


def _is_target(tokens: tuple[Token, ...], index: int) -> bool:
    """The perhaps qualified name after INSERT INTO."""
    while index > 1 and tokens[index - 1].text == ".":
        index -= 2
    return index > 1 and tokens[index - 1].value == "into" and tokens[index - 2].value == "insert"
