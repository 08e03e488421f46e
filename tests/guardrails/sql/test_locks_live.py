from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from connectors.target.related import Catalog
from guardrails.sql.check import check
from guardrails.sql.lex import Unreadable
from guardrails.sql.lock import UNKNOWN_RELATIONS, Mode
from guardrails.sql.locks import read
from guardrails.sql.parse import one_statement
from guardrails.sql.statement import folded
from service.commands.sql import with_catalog
from tests.guardrails.sql.lock_cases import CASES, SCHEMA, SINCE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from connectors.embedded.postgres import EmbeddedPostgres

MODES = {mode.spelling: mode for mode in Mode}
DATABASE = "locks"
HELD_OUT = "held_out"
HELD_OUT_SCHEMA, _, _HELD_OUT_CASES = (
    (Path(__file__).with_name("held_out.sql")).read_text(encoding="utf-8").partition("-- statements\n")
)
HELD_OUT_CASES = [line.removesuffix(";") for line in _HELD_OUT_CASES.splitlines()]

_HELD = """
SELECT n.nspname, c.relname, l.mode FROM pg_locks l JOIN old_class c ON c.oid = l.relation
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.granted
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND c.relname NOT LIKE 'old_class%'
"""
_FILES = """
SELECT c.oid, CASE n.nspname WHEN 'public' THEN '' ELSE n.nspname || '.' END || o.relname, pg_relation_filenode(c.oid)
FROM pg_class c JOIN old_class o USING (oid) JOIN pg_namespace n ON n.oid = o.relnamespace
"""


@dataclass(frozen=True)
class Truth:
    """What the server did: the strongest mode by relation name, and which relations got a new file."""

    locks: dict[str, Mode]
    rewrites: set[str]


@pytest.fixture(scope="session")
def world(server: EmbeddedPostgres) -> Iterator[EmbeddedPostgres]:
    for database, schema in ((DATABASE, SCHEMA), (HELD_OUT, HELD_OUT_SCHEMA)):
        with psycopg.connect(server.dsn(), autocommit=True) as admin:
            admin.execute(f"CREATE DATABASE {database}")
        with psycopg.connect(server.dsn(database=database), autocommit=True) as admin:
            admin.execute(schema.encode())
            # What existed before: a new relation has no one waiting for it.
            admin.execute("CREATE TABLE old_class AS SELECT oid, relname, relnamespace FROM pg_class")
    yield server
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        for database in (DATABASE, HELD_OUT):
            admin.execute(f"DROP DATABASE {database} WITH (FORCE)")
        admin.execute("DROP ROLE somebody")
        admin.execute("DROP ROLE held_out_reader")


def observed(connection: psycopg.Connection, statement: str) -> Truth:
    """Runs the statement in a transaction, looks at it, and rolls it back."""
    before = {row[0]: row[2] for row in connection.execute(_FILES).fetchall()}
    connection.rollback()
    if statement.startswith("COPY"):
        with connection.cursor() as cursor, cursor.copy(statement.encode()) as copy:
            list(copy)
    else:
        connection.execute(statement.encode())
    held: dict[str, Mode] = {}
    for schema, name, mode in connection.execute(_HELD).fetchall():
        key = name if schema == "public" else f"{schema}.{name}"
        held[key] = max(MODES[mode], held.get(key, MODES[mode]))
    after = connection.execute(_FILES).fetchall()
    connection.rollback()
    return Truth(held, {name for oid, name, node in after if node != before[oid]})


def predicted(statement: str) -> tuple[dict[str, Mode], set[str]]:
    result = read(one_statement(statement))
    return {folded(lock.relation): MODES[lock.mode] for lock in result.taken()}, {folded(r) for r in result.rewrites}


def named_by(catalog: Catalog, statement: str) -> tuple[dict[str, Mode], set[str]]:
    """What `stanch sql check --dsn` says, which replaces `*` by names."""
    report = with_catalog(check(statement), statement, catalog)
    return {folded(lock.relation): MODES[lock.mode] for lock in report.locks}, {folded(r) for r in report.rewrites}


def underestimates(statement: str, truth: Truth, locks: dict[str, Mode], rewrites: set[str]) -> list[str]:
    bound = locks.get(UNKNOWN_RELATIONS)
    found = []
    for relation, mode in truth.locks.items():
        ours = locks.get(relation, bound)
        if ours is None or ours < mode:
            found.append(f"{statement}: {relation} took {mode.spelling}, said {ours}")
    found += [
        f"{statement}: {relation} was rewritten"
        for relation in truth.rewrites
        if relation not in rewrites and not relation.startswith("pg_toast.") and UNKNOWN_RELATIONS not in rewrites
    ]
    return found


def inexact(statement: str, truth: Truth) -> list[str]:
    locks, _rewrites = predicted(statement)
    named = {relation: mode for relation, mode in locks.items() if relation != UNKNOWN_RELATIONS}
    return [
        f"{statement}: {relation} took {truth.locks.get(relation)}, said {mode.spelling}"
        for relation, mode in named.items()
        if truth.locks.get(relation) != mode
    ]


@pytest.mark.integration
@pytest.mark.parametrize("database", [DATABASE, HELD_OUT])
def test_no_lock_and_no_rewrite_is_underestimated(world: EmbeddedPostgres, database: str) -> None:
    major = int(world.version.split(".")[0])
    known_here = [*CASES, *(statement for statement, since in SINCE.items() if major >= since)]
    missed: list[str] = []
    wrong: list[str] = []
    named = 0
    dsn = world.dsn(database=database)
    with Catalog(dsn) as catalog, psycopg.connect(dsn, prepare_threshold=None) as connection:
        for statement in known_here if database == DATABASE else HELD_OUT_CASES:
            truth = observed(connection, statement)
            missed += underestimates(statement, truth, *predicted(statement))
            missed += underestimates(f"with --dsn: {statement}", truth, *named_by(catalog, statement))
            wrong += inexact(statement, truth)
            named += sum(relation != UNKNOWN_RELATIONS for relation in predicted(statement)[0])
    assert not missed, "\n".join(missed)
    assert len(wrong) <= 0.05 * named, "\n".join(wrong)


def test_the_held_out_statements_are_many_and_none_of_those_the_table_was_written_with() -> None:
    assert len(set(HELD_OUT_CASES) - set(CASES)) >= 250


@pytest.mark.parametrize("statement", ["DO $$ BEGIN END $$", "CALL p()", "EXECUTE p", "SECURITY LABEL x", "REPACK t"])
def test_what_is_not_understood_raises_instead_of_guessing(statement: str) -> None:
    with pytest.raises(Unreadable):
        read(one_statement(statement))
