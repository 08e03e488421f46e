"""Maintenance and catalog statements that sqlglot passes over: VACUUM, REINDEX, COMMENT, LOCK, GRANT and the like."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrails.sql.lock import UNKNOWN_RELATIONS, Mode
from guardrails.sql.newer import OPTIONS_SINCE, REINDEX_BEFORE_12
from guardrails.sql.statement import Draft, folded

if TYPE_CHECKING:
    from guardrails.sql.cursor import Cursor

_AEL = Mode.ACCESS_EXCLUSIVE
_SUE = Mode.SHARE_UPDATE_EXCLUSIVE
_ON = frozenset({"true", "on", "1"})
_OFF = frozenset({"false", "off", "0"})
_VACUUM_OPTIONS = frozenset(
    """
    full freeze verbose analyze disable_page_skipping skip_locked index_cleanup process_main process_toast truncate
    parallel skip_database_stats only_database_stats buffer_usage_limit
    """.split()  # noqa: SIM905 a list of names reads better as text
)
_LOCK_MODES = {mode.name.lower().replace("_", " "): mode for mode in Mode}


def _options(cursor: Cursor, known: frozenset[str], draft: Draft) -> set[str]:
    """`(full, analyze false, parallel 2)`: the names that are switched on."""
    found: set[str] = set()
    cursor.expect_symbol("(")
    while True:
        name = cursor.label().lower()
        if name not in known:
            raise cursor.error(f"the option {name[:30]!a} is not known")
        if name in OPTIONS_SINCE.get(draft.kind, {}):
            draft.needs(
                OPTIONS_SINCE[draft.kind][name], f"{draft.kind.upper()} ({name.upper()})", "leave the option out"
            )
        value = ""
        while (token := cursor.peek()) is not None and token.text not in (",", ")"):
            value = cursor.take().value.lower()
        if value not in _OFF:
            found.add(name)
        if cursor.symbol(")"):
            return found
        cursor.expect_symbol(",")


def vacuum(cursor: Cursor) -> Draft:
    draft = Draft("vacuum", outside_transaction=True)
    options = _options(cursor, _VACUUM_OPTIONS, draft) if cursor.opens() else set()
    while word := cursor.accept_one("full", "freeze", "verbose", "analyze", "analyse"):
        options.add(word)
    full = "full" in options
    mode = _AEL if full else _SUE
    relations = _tables_with_columns(cursor)
    draft.lock(relations or (UNKNOWN_RELATIONS,), mode, others=mode)
    for relation in relations or (UNKNOWN_RELATIONS,):
        if full:
            draft.rewrite(relation)
            draft.does(
                "vacuum_full", relation, parts={"table": "" if relation == UNKNOWN_RELATIONS else f" {relation}"}
            )
        else:
            draft.does("vacuum", relation)
    return draft


def analyze(cursor: Cursor) -> Draft:
    draft = Draft("analyze")
    if cursor.opens():
        _options(cursor, frozenset({"verbose", "skip_locked", "buffer_usage_limit"}), draft)
    cursor.accept("verbose")
    relations = _tables_with_columns(cursor)
    draft.lock(relations or (UNKNOWN_RELATIONS,), _SUE, others=_SUE)
    draft.does("analyze", *relations[:1])
    return draft


def _tables_with_columns(cursor: Cursor) -> tuple[str, ...]:
    found: list[str] = []
    while not cursor.at_end:
        cursor.accept("only")
        found.append(cursor.relation())
        cursor.symbol("*")
        if cursor.opens():
            cursor.group()
        if not cursor.at_end:
            cursor.expect_symbol(",")
            if cursor.at_end:
                raise cursor.error("a table expected")
    return tuple(found)


def reindex(cursor: Cursor) -> Draft:
    draft = Draft("reindex")
    known = frozenset({"concurrently", "verbose", "tablespace"})
    options = _options(cursor, known, draft) if cursor.opens() else set[str]()
    what = cursor.accept_one("index", "table", "schema", "database", "system")
    if not what:
        raise cursor.error("INDEX, TABLE, SCHEMA, DATABASE or SYSTEM expected")
    concurrently = cursor.accept("concurrently") or "concurrently" in options
    name = "" if what in ("database", "system") and cursor.at_end else cursor.relation()
    marks = {what} | ({"concurrently"} if concurrently else set())
    if what == "system" or folded(name).startswith("pg_catalog."):
        marks.add("catalog")
    if concurrently:
        draft.needs(12, "REINDEX … CONCURRENTLY", REINDEX_BEFORE_12)
    if what in ("database", "system") and not name:
        draft.needs(16, f"REINDEX {what.upper()} without a name", "write the database's name")
    draft.outside_transaction = concurrently or what in ("schema", "database", "system")
    draft.waits = concurrently
    if what in ("schema", "database", "system"):
        draft.lock(UNKNOWN_RELATIONS, _SUE if concurrently else _AEL)
        parts = {"what": f"{what.upper()} CONCURRENTLY {name}".rstrip()}
        draft.does("reindex", UNKNOWN_RELATIONS, detail=name, marks=frozenset(marks), parts=parts)
        return draft
    if concurrently:
        # The old index is locked ACCESS EXCLUSIVE under its new name, once nobody uses it any more.
        draft.lock(name, _SUE, others=_AEL)
    elif what == "index":
        draft.lock(name, _AEL, others=_AEL)
    else:
        draft.lock(name, Mode.SHARE, others=_AEL)
    draft.rewrites += [name, UNKNOWN_RELATIONS] if what == "index" else [UNKNOWN_RELATIONS]
    draft.does("reindex", name, marks=frozenset(marks), parts={"what": f"{what.upper()} CONCURRENTLY {name}"})
    return draft


def cluster(cursor: Cursor) -> Draft:
    draft = Draft("cluster")
    if cursor.opens():
        _options(cursor, frozenset({"verbose"}), draft)
    cursor.accept("verbose")
    if cursor.at_end:
        draft.outside_transaction = True
        draft.lock(UNKNOWN_RELATIONS, _AEL)
        draft.rewrites.append(UNKNOWN_RELATIONS)
        draft.does("cluster")
        return draft
    relation = cursor.relation()
    draft.lock(relation, _AEL, others=_AEL)
    if cursor.accept("using"):
        draft.lock(cursor.name(), _AEL)
    elif cursor.accept("on"):  # the old spelling: CLUSTER index ON table
        draft.lock(cursor.relation(), _AEL)
    draft.rewrite(relation)
    draft.does("cluster", relation)
    return draft


def refresh(cursor: Cursor) -> Draft:
    draft = Draft("refresh materialized view")
    cursor.expect("materialized", "view")
    concurrently = cursor.accept("concurrently")
    relation = cursor.relation()
    if cursor.accept("with") and not cursor.accept("no", "data"):
        cursor.expect("data")
    if concurrently:
        draft.lock(relation, Mode.EXCLUSIVE, others=Mode.ROW_EXCLUSIVE)
    else:
        draft.lock(relation, _AEL, others=_AEL)
        draft.rewrite(relation)
    draft.does("refresh", relation, marks=frozenset({"concurrently"} if concurrently else ()))
    return draft


def truncate(cursor: Cursor) -> Draft:
    draft = Draft("truncate")
    cursor.accept("table")
    relations = cursor.relations()
    _ = cursor.accept("restart", "identity") or cursor.accept("continue", "identity")
    cascade = cursor.accept_one("cascade", "restrict") == "cascade"
    draft.lock(relations, _AEL, others=_AEL)
    for relation in relations:
        draft.rewrite(relation)
        draft.does("truncate", relation, marks=frozenset({"cascade"} if cascade else ()))
    return draft


def lock_table(cursor: Cursor) -> Draft:
    draft = Draft("lock")
    cursor.accept("table")
    relations = cursor.relations()
    mode = _AEL
    if cursor.accept("in"):
        words = []
        while cursor.word() not in ("mode", ""):
            words.append(cursor.take().value)
        cursor.expect("mode")
        if " ".join(words) not in _LOCK_MODES:
            raise cursor.error("a lock mode expected")
        mode = _LOCK_MODES[" ".join(words)]
    nowait = cursor.accept("nowait")
    draft.lock(relations, mode, others=mode)
    for relation in relations:
        draft.does("lock", relation, detail=mode.spelling, marks=frozenset({"nowait"} if nowait else ()))
    return draft


def comment(cursor: Cursor) -> Draft:
    draft = Draft("comment")
    cursor.expect("on")
    if any(cursor.accept(*words) for words in _LOCKED_OBJECTS):
        draft.lock(cursor.relation(), _SUE)
    elif cursor.accept("column"):
        draft.lock(cursor.relation().rpartition(".")[0], _SUE)
    elif cursor.accept_one("constraint", "trigger", "rule", "policy"):
        cursor.name()
        cursor.expect("on")
        of_domain = cursor.accept("domain")
        relation = cursor.relation()
        if not of_domain:
            draft.lock(relation, Mode.ACCESS_SHARE)
    else:
        while not cursor.at_end and cursor.word() != "is":
            cursor.take()
    cursor.expect("is")
    cursor.take()
    return draft


_SIMPLE_OBJECTS: tuple[tuple[str, ...], ...] = (
    ("access", "method"),
    ("aggregate",),
    ("cast",),
    ("collation",),
    ("conversion",),
    ("domain",),
    ("event", "trigger"),
    ("extension",),
    ("foreign", "data", "wrapper"),
    ("function",),
    ("language",),
    ("operator", "class"),
    ("operator", "family"),
    ("operator",),
    ("procedure",),
    ("publication",),
    ("role",),
    ("user",),
    ("group",),
    ("routine",),
    ("schema",),
    ("server",),
    ("statistics",),
    ("subscription",),
    ("tablespace",),
    ("text", "search", "configuration"),
    ("text", "search", "dictionary"),
    ("text", "search", "parser"),
    ("text", "search", "template"),
    ("transform",),
    ("type",),
    ("database",),
    ("owned",),
)
_LOCKED_OBJECTS: tuple[tuple[str, ...], ...] = (
    ("table",),
    ("foreign", "table"),
    ("view",),
    ("materialized", "view"),
    ("sequence",),
    ("index",),
)


def drop(cursor: Cursor) -> Draft:
    for words in _LOCKED_OBJECTS:
        if cursor.accept(*words):
            return _drop_relations(cursor, "_".join(words))
    if word := cursor.accept_one("trigger", "rule", "policy"):
        draft = Draft(f"drop {word}")
        cursor.accept("if", "exists")
        name = cursor.name()
        cursor.expect("on")
        relation = cursor.relation()
        cursor.accept_one("cascade", "restrict")
        draft.lock(relation, _AEL, others=_AEL)
        draft.does(f"drop_{word}", relation, detail=name)
        return draft
    for words in _SIMPLE_OBJECTS:
        if cursor.accept(*words):
            return _drop_object(cursor, "_".join(words))
    raise cursor.error("not understood: DROP")


def _drop_relations(cursor: Cursor, what: str) -> Draft:
    draft = Draft(f"drop {what.replace('_', ' ')}")
    concurrently = what == "index" and cursor.accept("concurrently")
    if_exists = cursor.accept("if", "exists")
    relations = cursor.relations()
    cascade = cursor.accept_one("cascade", "restrict") == "cascade"
    draft.outside_transaction = draft.waits = concurrently
    # Concurrently, too, the index itself is locked ACCESS EXCLUSIVE in the last step, when nobody uses it any more.
    draft.lock(relations, _AEL, others=_SUE if concurrently else _AEL)
    given = {"concurrently": concurrently, "cascade": cascade, "if_exists": if_exists}
    marks = {mark for mark, present in given.items() if present}
    for relation in relations:
        draft.does(f"drop_{what}", relation, marks=frozenset(marks))
    return draft


def _drop_object(cursor: Cursor, what: str) -> Draft:
    draft = Draft(f"drop {what.replace('_', ' ')}")
    names = " ".join(token.text for token in cursor.rest())
    draft.lock(UNKNOWN_RELATIONS, _AEL)
    marks = frozenset({"cascade"} if names.lower().endswith(" cascade") else ())
    draft.does(f"drop_{what}", detail=names[:100], marks=marks)
    return draft


def grant(cursor: Cursor) -> Draft:
    """GRANT and REVOKE change only catalog rows; from 18 on they hold the weakest lock on a relation meanwhile."""
    draft = Draft("grant")
    cursor.rest()
    draft.lock(UNKNOWN_RELATIONS, Mode.ACCESS_SHARE)
    draft.does("grant")
    return draft


def publication(cursor: Cursor, kind: str) -> Draft:
    draft = Draft(kind)
    cursor.name()
    adding = kind == "create publication" or cursor.accept_one("add", "set", "drop") != ""
    if cursor.accept("for") and not cursor.follows("table"):
        cursor.rest()
        draft.lock(UNKNOWN_RELATIONS, _SUE)
        return draft
    if adding and cursor.accept("table"):
        while not cursor.at_end and cursor.word() != "with":
            cursor.accept("only")
            draft.lock(cursor.relation(), _SUE, others=_SUE)
            cursor.symbol("*")
            if cursor.opens():
                cursor.group()
            if cursor.accept("where"):
                cursor.group()
            if not cursor.symbol(","):
                break
            cursor.accept("table")
        if cursor.accept("with"):
            cursor.group()
        return draft
    cursor.rest()
    draft.lock(UNKNOWN_RELATIONS, _SUE)
    return draft


def domain(cursor: Cursor) -> Draft:
    draft = Draft("alter domain")
    name = cursor.relation()
    # Every table with a column of the domain is locked while its rows are checked.
    draft.lock(UNKNOWN_RELATIONS, Mode.SHARE)
    if cursor.accept("add"):
        rest = cursor.rest()
        not_valid = [token.value for token in rest[-2:]] == ["not", "valid"]
        draft.does("domain_constraint", detail=name, marks=frozenset({"not_valid"} if not_valid else ()))
    elif cursor.follows("set", "not", "null"):
        cursor.rest()
        draft.does("domain_constraint", detail=name)
    else:
        cursor.rest()
    return draft


def alter_type(cursor: Cursor) -> Draft:
    draft = Draft("alter type")
    name = cursor.relation()
    if cursor.accept("add", "value"):
        cursor.accept("if", "not", "exists")
        cursor.take()
        marks = frozenset({"ordered"} if cursor.accept_one("before", "after") else ())
        if marks:
            cursor.take()
        draft.does("enum_value", detail=name, marks=marks)
    elif cursor.accept("rename", "value"):
        cursor.rest()
        draft.does("rename_enum_value", detail=name)
    elif cursor.word() in ("owner", "rename") or cursor.follows("set", "schema"):
        renames = cursor.word() == "rename"
        cursor.rest()
        draft.lock(UNKNOWN_RELATIONS, _AEL)
        if renames:
            draft.does("rename_type", detail=name)
    else:
        cursor.rest()
        draft.lock(UNKNOWN_RELATIONS, _AEL)
        draft.does("alter_composite_type", detail=name)
    return draft
