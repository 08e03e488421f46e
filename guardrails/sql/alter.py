"""ALTER TABLE and its relatives: which lock each subcommand takes.

Source: the manual's ALTER TABLE page and AlterTableGetLockLevel() of 12 to 18; checked by running each form.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrails.sql.column import (
    Column,
    Constraint,
    is_volatile,
    read_column,
    read_constraint,
    read_type,
    starts_constraint,
)
from guardrails.sql.lock import UNKNOWN_RELATIONS, Mode
from guardrails.sql.newer import needs_of_marks
from guardrails.sql.options import lock_of_options
from guardrails.sql.statement import Draft
from guardrails.sql.wording import derived_name, names_in, written

if TYPE_CHECKING:
    from guardrails.sql.cursor import Cursor
    from guardrails.sql.lex import Token

_AEL = Mode.ACCESS_EXCLUSIVE
_SUE = Mode.SHARE_UPDATE_EXCLUSIVE
_SRE = Mode.SHARE_ROW_EXCLUSIVE
_DROP_COLUMN_STOPS = frozenset({"cascade", "restrict"})


def alter_relation(cursor: Cursor, kind: str) -> Draft:
    """After ALTER TABLE, INDEX, VIEW, MATERIALIZED VIEW or FOREIGN TABLE."""
    draft = Draft(f"alter {kind}")
    cursor.accept("if", "exists")
    cursor.accept("only")
    relation = cursor.relation()
    cursor.symbol("*")
    if _whole_relation(cursor, draft, relation, kind):
        return draft
    while True:
        _action(cursor, draft, relation, kind)
        if not cursor.symbol(","):
            return draft


def _whole_relation(cursor: Cursor, draft: Draft, relation: str, kind: str) -> bool:
    """The forms that stand alone: RENAME, SET SCHEMA, ATTACH and DETACH."""
    if cursor.accept("rename"):
        _rename(cursor, draft, relation, kind)
    elif cursor.accept("set", "schema"):
        draft.lock(relation, _AEL, others=_AEL)
        draft.does("set_schema", relation, detail=cursor.name())
    elif cursor.accept("attach", "partition"):
        _attach(cursor, draft, relation, kind)
    elif cursor.accept("detach", "partition"):
        _detach(cursor, draft, relation)
    elif kind == "index" and cursor.accept("no", "depends"):
        cursor.expect("on", "extension")
        cursor.name()
        draft.lock(relation, _AEL)
    elif cursor.accept("depends", "on", "extension"):
        cursor.name()
        draft.lock(relation, _AEL)
    else:
        return False
    return True


def _rename(cursor: Cursor, draft: Draft, relation: str, kind: str) -> None:
    if cursor.accept("constraint"):
        old = cursor.name()
        cursor.expect("to")
        cursor.name()
        draft.lock(relation, _AEL, others=_AEL)
        draft.does("rename_constraint", relation, detail=old)
    elif cursor.accept("to"):
        new = cursor.name()
        draft.lock(relation, _SUE if kind == "index" else _AEL, others=_AEL)
        draft.does("rename_index" if kind == "index" else "rename_table", relation, detail=new)
    else:
        cursor.accept("column")
        old = cursor.name()
        cursor.expect("to")
        cursor.name()
        draft.lock(relation, _AEL, others=_AEL)
        draft.does("rename_column", relation, column=old)


def _attach(cursor: Cursor, draft: Draft, relation: str, kind: str) -> None:
    partition = cursor.relation()
    draft.lock(relation, _SUE)
    draft.lock(partition, _AEL, others=_AEL)
    if kind == "index":
        return
    if not cursor.accept("default"):
        cursor.expect("for", "values")
        cursor.rest()
    draft.scans.append(partition)
    draft.does("attach_partition", relation, detail=partition)


def _detach(cursor: Cursor, draft: Draft, relation: str) -> None:
    partition = cursor.relation()
    at_once = f"ALTER TABLE {relation} DETACH PARTITION {partition}; /* locks both: SET lock_timeout first */"
    if cursor.accept("concurrently"):
        draft.needs(14, "DETACH PARTITION … CONCURRENTLY", at_once)
        # The partition itself is locked ACCESS EXCLUSIVE at the very end, after all queries have left it.
        draft.lock(relation, _SUE)
        draft.lock(partition, _AEL, others=_AEL)
        draft.outside_transaction = draft.waits = True
        draft.does("detach_partition", relation, detail=partition, marks=frozenset({"concurrently"}))
        return
    finalize = cursor.accept("finalize")
    if finalize:
        draft.needs(14, "DETACH PARTITION … FINALIZE", at_once)
    draft.lock(relation, _SUE if finalize else _AEL)
    draft.lock(partition, _AEL, others=_AEL)
    draft.does("detach_partition", relation, detail=partition, marks=frozenset({"concurrently"} if finalize else ()))


def _action(cursor: Cursor, draft: Draft, relation: str, kind: str) -> None:
    match cursor.word():
        case "add":
            cursor.take()
            _add(cursor, draft, relation)
        case "drop":
            cursor.take()
            _drop(cursor, draft, relation)
        case "alter":
            cursor.take()
            _alter_column(cursor, draft, relation)
        case "validate":
            cursor.take()
            cursor.expect("constraint")
            draft.scans.append(relation)
            # The other end of a foreign key is only read, row by row.
            draft.lock(relation, _SUE, others=Mode.ROW_SHARE)
            draft.does("validate_constraint", relation, detail=cursor.name())
        case "enable" | "disable":
            _trigger_or_rule(cursor, draft, relation)
        case "set" | "reset":
            _set(cursor, draft, relation, kind)
        case _:
            _other(cursor, draft, relation)


def _add(cursor: Cursor, draft: Draft, relation: str) -> None:
    if starts_constraint(cursor):
        add_constraint(draft, relation, read_constraint(cursor))
        return
    cursor.accept("column")
    cursor.accept("if", "not", "exists")
    if cursor.opens():
        raise cursor.error("a column expected")
    _add_column(draft, relation, read_column(cursor))


def _add_column(draft: Draft, relation: str, column: Column) -> None:
    draft.lock(relation, _AEL, others=_AEL)
    marks = frozenset(column.marks)
    needs_of_marks(draft, marks)
    if marks & {"volatile_default", "serial", "identity", "stored", "unknown_type"}:
        draft.rewrite(relation)
    for other in column.references:
        draft.lock(other, _SRE, others=_SRE)
        parts = column.parts | {"key": column.name, "name": derived_name(relation, column.name, "fkey")}
        draft.does("add_column_references", relation, column=column.name, detail=other, marks=marks, parts=parts)
    parts = column.parts | _names_after(relation, column)
    draft.does("add_column", relation, column=column.name, detail=column.type, marks=marks, parts=parts)


def _names_after(relation: str, column: Column) -> dict[str, str | tuple[Token, ...]]:
    return {
        "first": f"ALTER TABLE {relation} ADD COLUMN {written(column.parts['definition'])}; ",  # type: ignore[arg-type]  # tokens
        "name": derived_name(relation, column.name, "key"),
        "key": column.name,
        "nulls": " NULLS NOT DISTINCT" if "not_distinct" in column.marks else "",
        "deferral": "",
        "not_null_name": derived_name(relation, column.name, "not_null"),
        "sequence": derived_name(relation, column.name, "seq"),
    }


_NOT_NULL_BEFORE_18 = (
    "ALTER TABLE {relation} ADD CHECK ({column} IS NOT NULL) NOT VALID; /* then VALIDATE CONSTRAINT in a transaction "
    "of its own, then ALTER COLUMN … SET NOT NULL, which sees that nothing is left to check */"
)


def add_constraint(draft: Draft, relation: str, constraint: Constraint) -> None:
    """A constraint on a table that exists already."""
    marks = frozenset(constraint.marks)
    needs_of_marks(draft, marks)
    if constraint.kind == "not null":
        draft.needs(
            18, "ADD CONSTRAINT … NOT NULL", _NOT_NULL_BEFORE_18.format(relation=relation, column=constraint.column)
        )
    name = "add_" + constraint.kind.replace(" ", "_")
    parts = _parts_of(relation, constraint)
    if constraint.kind == "foreign key":
        draft.lock(relation, _SRE, others=_SRE)
        draft.lock(constraint.references, _SRE)
        draft.does(name, relation, column=constraint.name, detail=constraint.references, marks=marks, parts=parts)
    else:
        draft.lock(relation, _AEL, others=_AEL)
        draft.does(name, relation, column=constraint.column, detail=constraint.name, marks=marks, parts=parts)
    if not marks & {"not_valid", "not_enforced", "using_index"}:
        draft.scans.append(relation)


_SUFFIXES = {"foreign key": "fkey", "unique": "key", "primary key": "pkey", "check": "check", "not null": "not_null"}


def _parts_of(relation: str, constraint: Constraint) -> dict[str, str | tuple[Token, ...]]:
    words = [constraint.column] if constraint.column else [*names_in(constraint.columns)]
    if constraint.kind == "primary key":
        words = []
    return {
        "first": "",
        "name": constraint.name or derived_name(relation, *words, _SUFFIXES.get(constraint.kind, "excl")),
        "key": constraint.columns,
        "nulls": " NULLS NOT DISTINCT" if "not_distinct" in constraint.marks else "",
        "deferral": " DEFERRABLE" if "deferrable" in constraint.marks else "",
        "definition": constraint.definition,
    }


def _drop(cursor: Cursor, draft: Draft, relation: str) -> None:
    if cursor.accept("constraint"):
        cursor.accept("if", "exists")
        # Dropping a foreign key locks the table at its other end just as much.
        draft.lock(relation, _AEL, others=_AEL)
        draft.does("drop_constraint", relation, detail=cursor.name())
    else:
        cursor.accept("column")
        cursor.accept("if", "exists")
        draft.lock(relation, _AEL, others=_AEL)
        draft.does("drop_column", relation, column=cursor.name())
    cursor.accept_one("cascade", "restrict")


def _alter_column(cursor: Cursor, draft: Draft, relation: str) -> None:
    if cursor.accept("constraint"):
        cursor.name()
        cursor.until(frozenset())
        draft.lock(relation, _AEL, others=_AEL)
        draft.does("alter_constraint", relation)
        return
    cursor.accept("column")
    token = cursor.peek()
    column = cursor.take().text if token is not None and token.kind == "number" else cursor.name()
    if cursor.accept("set", "data", "type") or cursor.accept("type"):
        _type(cursor, draft, relation, column)
    elif cursor.accept("set", "statistics"):
        cursor.symbol("-")
        cursor.take()
        draft.lock(relation, _SUE, others=_SUE)
    elif cursor.follows("set") and cursor.peek(1) is not None and cursor.peek(1).text == "(":  # type: ignore[union-attr]
        cursor.take()
        cursor.group()
        draft.lock(relation, _SUE, others=_SUE)
    elif cursor.accept("reset"):
        cursor.group()
        draft.lock(relation, _SUE, others=_SUE)
    else:
        _strong_column_change(cursor, draft, relation, column)


def _type(cursor: Cursor, draft: Draft, relation: str, column: str) -> None:
    name, _marks = read_type(cursor)
    if cursor.accept("collate"):
        cursor.relation()
    using = cursor.accept("using")
    if using:
        cursor.until(frozenset())
    draft.lock(relation, _AEL, others=_AEL)
    draft.rewrite(relation)  # only the old type, in the catalog, could tell that nothing is rewritten
    draft.does("alter_type", relation, column=column, detail=name, marks=frozenset({"using"} if using else ()))


def _strong_column_change(cursor: Cursor, draft: Draft, relation: str, column: str) -> None:
    draft.lock(relation, _AEL, others=_AEL)
    if cursor.accept("set", "not", "null"):
        draft.scans.append(relation)
        draft.does("set_not_null", relation, column=column, parts={"name": derived_name(relation, column, "not_null")})
    elif cursor.accept("drop", "not", "null"):
        draft.does("drop_not_null", relation, column=column)
    elif cursor.accept("set", "default"):
        expression = cursor.until(frozenset())
        marks = frozenset({"volatile"} if is_volatile(expression) else ())
        draft.does("set_default", relation, column=column, marks=marks)
    elif cursor.accept("drop", "default") or cursor.accept("drop", "identity") or cursor.accept("drop", "expression"):
        cursor.accept("if", "exists")
    elif cursor.accept("set", "expression", "as"):
        cursor.group()
        draft.rewrite(relation)
        draft.needs(17, "SET EXPRESSION", "ADD COLUMN with the new expression, then drop the old column and rename")
        draft.does("set_expression", relation, column=column)
    elif cursor.accept("set", "storage"):
        cursor.label()
    elif cursor.accept("set", "compression"):
        cursor.label()
        draft.needs(14, "SET COMPRESSION", "leave it out: older servers compress with pglz")
    else:
        draft.rewrites += _identity(cursor)


def _identity(cursor: Cursor) -> tuple[str, ...]:
    """What gets a new file: the sequence behind the column, one page."""
    if cursor.accept("add", "generated"):
        if not cursor.accept("always"):
            cursor.expect("by", "default")
        cursor.expect("as", "identity")
        if cursor.opens():
            cursor.group()
        return ()
    if not (cursor.follows("set", "generated") or cursor.word() == "restart" or cursor.follows("set")):
        raise cursor.error("not understood:")
    cursor.until(frozenset())
    return (UNKNOWN_RELATIONS,)


def _trigger_or_rule(cursor: Cursor, draft: Draft, relation: str) -> None:
    enable = cursor.take().value == "enable"
    cursor.accept_one("replica", "always")
    if cursor.accept("trigger"):
        name = cursor.label()
        draft.lock(relation, _SRE, others=_SRE)
        if not enable:
            draft.does("disable_trigger", relation, detail=name)
    elif cursor.accept("rule"):
        cursor.name()
        draft.lock(relation, _AEL, others=_AEL)
    else:
        cursor.expect("row", "level", "security")
        draft.lock(relation, _AEL, others=_AEL)
        draft.does("row_security", relation, detail="enable" if enable else "disable")


def _set(cursor: Cursor, draft: Draft, relation: str, kind: str) -> None:
    if cursor.take().value == "reset" or cursor.opens():
        draft.lock(relation, lock_of_options(cursor.group(), kind), others=_AEL if kind == "view" else _SUE)
    elif cursor.accept("without", "cluster"):
        draft.lock(relation, _SUE, others=_SUE)
    elif cursor.accept("without", "oids"):
        draft.lock(relation, _AEL)
    elif cursor.accept("tablespace"):
        cursor.name()
        cursor.accept("nowait")
        draft.lock(relation, _AEL, others=_AEL)
        draft.rewrite(relation)
        draft.does("set_tablespace", relation)
    elif cursor.accept("access", "method"):
        cursor.label()
        draft.needs(15, "SET ACCESS METHOD", "CREATE TABLE … USING a new one, copy the rows in batches, swap the names")
        draft.lock(relation, _AEL, others=_AEL)
        draft.rewrite(relation)
        draft.does("set_access_method", relation)
    else:
        way = cursor.accept_one("logged", "unlogged")
        if not way:
            raise cursor.error("not understood: SET")
        draft.lock(relation, _AEL, others=_AEL)
        draft.rewrite(relation)
        draft.does(f"set_{way}", relation)


def _other(cursor: Cursor, draft: Draft, relation: str) -> None:
    if cursor.accept("cluster", "on"):
        cursor.name()
        draft.lock(relation, _SUE, others=_SUE)
        return
    draft.lock(relation, _AEL, others=_AEL)
    if cursor.accept("owner", "to"):
        draft.does("owner_to", relation, detail=cursor.label())
    elif cursor.follows("force") or cursor.follows("no", "force"):
        cursor.accept("no")
        cursor.expect("force", "row", "level", "security")
        draft.does("row_security", relation, detail="force")
    elif cursor.accept("replica", "identity"):
        _replica_identity(cursor, draft, relation)
    elif cursor.accept("no", "inherit"):
        draft.lock(cursor.relation(), Mode.ACCESS_SHARE)
    elif cursor.accept("inherit"):
        draft.lock(cursor.relation(), _SUE)
    elif cursor.accept("of"):
        draft.lock(cursor.relation(), Mode.ACCESS_SHARE)
    elif not cursor.accept("not", "of"):
        raise cursor.error("not understood:")


def _replica_identity(cursor: Cursor, draft: Draft, relation: str) -> None:
    if cursor.accept("using", "index"):
        cursor.name()
    elif not cursor.accept_one("default", "full", "nothing"):
        raise cursor.error("a replica identity expected")
    draft.does("replica_identity", relation)
