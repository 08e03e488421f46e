"""What we read, beside what PostgreSQL's own parser (pglast) reads of the same text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pglast
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pglast.visitors import Visitor

from guardrails.sql.functions import READABLE, READABLE_ANYWHERE
from guardrails.sql.lex import Unreadable, lex, statements
from guardrails.sql.lock import UNKNOWN_RELATIONS, Mode
from guardrails.sql.locks import read
from guardrails.sql.readonly import check_readonly
from guardrails.sql.statement import folded
from lab.bench.squawk import corpus
from tests.guardrails.rules.test_rules import NAMES, fixture
from tests.guardrails.sql.bypasses import BYPASSES, DIAGNOSIS
from tests.guardrails.sql.lock_cases import CASES, SINCE
from tests.guardrails.sql.test_locks_live import HELD_OUT_CASES

if TYPE_CHECKING:
    from guardrails.sql.statement import Statement

ROOTS: dict[str, tuple[str, ...]] = {
    "SelectStmt": ("select",),
    "InsertStmt": ("insert",),
    "UpdateStmt": ("update",),
    "DeleteStmt": ("delete",),
    "MergeStmt": ("merge",),
    "CreateStmt": ("create table",),
    "CreateTableAsStmt": ("create table", "create materialized view"),
    "IndexStmt": ("create index",),
    "ViewStmt": ("create view",),
    "RefreshMatViewStmt": ("refresh materialized view",),
    "ReindexStmt": ("reindex",),
    "ClusterStmt": ("cluster",),
    "VacuumStmt": ("vacuum", "analyze"),
    "TruncateStmt": ("truncate",),
    "LockStmt": ("lock",),
    "CommentStmt": ("comment",),
    "CopyStmt": ("copy",),
    "ExplainStmt": ("explain",),
    "PrepareStmt": ("prepare",),
    "DeclareCursorStmt": ("declare",),
    "VariableSetStmt": ("set", "reset"),
    "VariableShowStmt": ("show",),
    "TransactionStmt": ("begin", "commit", "rollback", "savepoint", "release", "prepare transaction"),
    "GrantStmt": ("grant",),
    "GrantRoleStmt": ("grant",),
    "DropStmt": ("drop",),
    "DropdbStmt": ("drop database",),
    "DropRoleStmt": ("drop",),
    "DropOwnedStmt": ("drop owned",),
    "AlterTableStmt": ("alter",),
    "RenameStmt": ("alter",),
    "AlterOwnerStmt": ("alter",),
    "AlterObjectSchemaStmt": ("alter",),
    "AlterSystemStmt": ("alter system",),
    "AlterSeqStmt": ("alter sequence",),
    "AlterEnumStmt": ("alter type",),
    "AlterDomainStmt": ("alter domain",),
    "CreateTrigStmt": ("create trigger",),
    "RuleStmt": ("create rule",),
    "CreatePolicyStmt": ("create policy",),
    "CreateStatsStmt": ("create statistics",),
    "CreateSeqStmt": ("create sequence",),
    "CreateFunctionStmt": ("create function", "create procedure"),
    "DoStmt": (),
    "CallStmt": (),
    "ExecuteStmt": (),
    "SecLabelStmt": (),
    "ReassignOwnedStmt": (),
    "ImportForeignSchemaStmt": (),
}
"""What our reading of each of PostgreSQL's roots may be; nothing = never understood. Others are not compared."""

# The grammar itself calls these; no text names them.
BY_GRAMMAR = frozenset({"timezone", "xmlexists", "system_user"})
ROWS = frozenset({"select", "insert", "update", "delete", "merge"})
_PARTS = ("catalogname", "schemaname", "relname")


class Seen(Visitor):
    """The relations, functions and kinds of statement anywhere in a tree."""

    def __init__(self) -> None:
        super().__init__()
        self.relations: set[str] = set()
        self.functions: set[str] = set()
        self.ctes: set[str] = set()
        self.kinds: set[str] = set()

    def visit_RangeVar(self, ancestors: Any, node: Any) -> None:  # noqa: N802 pglast calls it so
        above = {type(step.node).__name__ for step in (ancestors, ancestors.parent) if step is not None}
        if above & {"LockingClause", "CompositeTypeStmt"}:
            return  # an alias; a new type
        self.relations.add(".".join(getattr(node, part) for part in _PARTS if getattr(node, part)))

    def visit_FuncCall(self, _ancestors: Any, node: Any) -> None:  # noqa: N802 pglast calls it so
        self.functions.add(node.funcname[-1].sval)

    def visit_CommonTableExpr(self, _ancestors: Any, node: Any) -> None:  # noqa: N802 pglast calls it so
        self.ctes.add(node.ctename)

    def visit(self, _ancestors: Any, node: Any) -> None:
        kind = type(node).__name__
        if kind.endswith("Stmt") or kind in ("LockingClause", "IntoClause"):
            self.kinds.add(kind)


def theirs(text: str) -> tuple[Any, ...] | None:
    """PostgreSQL's trees of the text's statements; None where it finds a syntax error."""
    try:
        return tuple(raw.stmt for raw in pglast.parse_sql(text))
    except (pglast.parser.ParseError, UnicodeEncodeError):
        return None


def seen_in(tree: Any) -> Seen:
    found = Seen()
    found(tree)
    return found


def ours(text: str) -> list[Statement] | None:
    """Our readings of the text's statements; None where we refuse any of them."""
    try:
        return [read(tokens) for tokens in statements(lex(text))]
    except Unreadable:
        return None


def disagreements(text: str) -> list[str]:
    """Where we accept a text: another number of statements, another root, a relation or function we did not see."""
    mine = ours(text)
    if not mine:
        return []
    trees = theirs(text)
    if trees is None:
        return []  # the server will refuse it
    if len(trees) != len(mine):
        return [f"{len(trees)} statements, we read {len(mine)}"]
    found = []
    for tree, statement in zip(trees, mine, strict=True):
        kinds = ROOTS.get(type(tree).__name__)
        if kinds is not None and not any(statement.kind.startswith(kind) for kind in kinds):
            found.append(f"a {type(tree).__name__}, we read {statement.kind}")
        found += _unseen(tree, statement)
    return found


def _unseen(tree: Any, statement: Statement) -> list[str]:
    seen = seen_in(tree)
    named = {folded(relation)[:63]: mode for relation, mode in statement.locks} | dict.fromkeys(
        (folded(relation)[:63] for relation in statement.creates), Mode.ACCESS_EXCLUSIVE
    )
    bound = named.get(UNKNOWN_RELATIONS)
    # A policy or rule may name others in its body: those are bounded, not named.
    relations = seen.relations - seen.ctes
    found = [f"the relation {name}" for name in relations if name not in named and bound is None]
    if statement.kind in ROWS:
        found += [f"the relation {name}, which is only bounded" for name in relations if name not in named]
        called = {operation.detail for operation in statement.operations if operation.name.startswith("call")}
        strange = seen.functions - READABLE - READABLE_ANYWHERE - BY_GRAMMAR - called - {"current_setting"}
        if not strange <= {"nextval", "setval", "currval", "lastval"}:
            found.append(f"the functions {sorted(strange)}")
    return found


def leaks(text: str) -> list[str]:
    """What PostgreSQL's parser sees in a text that the guard takes for reading only."""
    if check_readonly(text).verdict == "block":
        return []
    trees = theirs(text)
    if trees is None:
        return []
    if len(trees) != 1:
        return [f"{len(trees)} statements"]
    tree = trees[0]
    if type(tree).__name__ == "ExplainStmt":
        tree = tree.query
    seen = seen_in(tree)
    found = sorted(seen.kinds - {"SelectStmt", "VariableShowStmt"})
    if type(tree).__name__ not in ("SelectStmt", "VariableShowStmt"):
        found.append(type(tree).__name__)
    return found + sorted(seen.functions - READABLE - READABLE_ANYWHERE - BY_GRAMMAR - {"current_setting"})


def without_version(example: str) -> str:
    return re.sub(r"^-- version \S+\n", "", example)


FIXTURES = tuple(without_version(line) for name in NAMES for lines in fixture(name).values() for line in lines)
EVERYTHING = (*CASES, *SINCE, *HELD_OUT_CASES, *corpus(), *FIXTURES, *BYPASSES, *DIAGNOSIS)
PAGES = tuple((Path(__file__).parents[3] / "docs" / "rules").glob("*.md"))


def test_what_we_accept_postgresql_reads_in_the_same_way() -> None:
    found = {text: wrong for text in EVERYTHING if (wrong := disagreements(text))}
    assert found == {}


def test_what_may_only_read_is_one_query_to_postgresql_too() -> None:
    found = {text: wrong for text in EVERYTHING if (wrong := leaks(text))}
    assert found == {}


def test_the_comparison_compares_something() -> None:
    both = [text for text in EVERYTHING if ours(text) and theirs(text)]
    assert len(both) >= 1000
    assert sum(check_readonly(text).verdict == "allow" for text in EVERYTHING) >= 200
    assert disagreements("SELECT 1; SELECT 2") == []


def test_every_example_of_our_pages_and_fixtures_is_sql_to_postgresql() -> None:
    blocks = [found for page in PAGES for found in re.findall(r"```sql\n(.*?)```", page.read_text("utf-8"), re.DOTALL)]
    lines = [line for block in blocks for line in block.splitlines() if line and not line.startswith("--")]
    wrong = [line for line in (*lines, *FIXTURES) if theirs(line) is None and ours(line) is not None]
    assert wrong == []


WORDS = sorted({token.text for text in (*CASES, *HELD_OUT_CASES, *DIAGNOSIS) for token in lex(text)})
HOSTILE = (
    "pg_sleep ( 1 )",
    "DELETE FROM t",
    "FOR UPDATE",
    "INTO n",
    "; DROP TABLE t",
    "/*",
    "*/",
    "--",
    "$$",
    "'",
    '"',
)


@st.composite
def mixed(draw: st.DrawFn, texts: tuple[str, ...]) -> str:
    """A real statement with words dropped, moved, and put in from others."""
    words = [token.text for token in lex(draw(st.sampled_from(texts)))]
    for _ in range(draw(st.integers(0, 5))):
        place = draw(st.integers(0, len(words)))
        match draw(st.sampled_from(["insert", "hostile", "drop", "graft"])):
            case "insert":
                words.insert(place, draw(st.sampled_from(WORDS)))
            case "hostile":
                words.insert(place, draw(st.sampled_from(HOSTILE)))
            case "drop":
                words[place : place + 1] = []
            case _:
                other = [token.text for token in lex(draw(st.sampled_from(texts)))]
                cut = draw(st.integers(0, len(other)))
                words[place:] = other[cut:]
    return draw(st.sampled_from([" ", "\n", "/**/", "\r\n"])).join(words)


@settings(max_examples=800, deadline=None)
@given(mixed((*CASES, *HELD_OUT_CASES)))
def test_a_statement_made_of_others_is_read_as_postgresql_reads_it(text: str) -> None:
    assert disagreements(text) == []


@settings(max_examples=800, deadline=None)
@given(mixed(tuple(DIAGNOSIS)))
def test_a_query_made_of_others_never_writes_where_we_think_it_reads(text: str) -> None:
    assert leaks(text) == []
    assert disagreements(text) == []


@pytest.mark.parametrize("text", ["DO $$ BEGIN END $$", "CALL p()", "EXECUTE p", "SELECT 1; DROP TABLE t"])
def test_the_judge_of_this_test_is_awake(text: str) -> None:
    trees = theirs(text)
    assert trees is not None
    assert type(trees[-1]).__name__ in ("DoStmt", "CallStmt", "ExecuteStmt", "DropStmt")
