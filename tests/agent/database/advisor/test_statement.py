from __future__ import annotations

import pytest

from agent.database.advisor.statement import MAX_STATEMENT_BYTES, NotUnderstood, read, tables, written


@pytest.mark.parametrize(
    ("sql", "reading"),
    [
        ("DELETE FROM t WHERE a = 1", "SELECT 1 FROM t WHERE a = 1"),
        ("DELETE FROM t USING u WHERE t.a = u.a", "SELECT 1 FROM t, u WHERE t.a = u.a"),
        ("UPDATE t AS x SET b = 1 WHERE x.a = $1", "SELECT 1 FROM t AS x WHERE x.a = $1"),
        ("UPDATE t SET b = u.b FROM u WHERE t.a = u.a", "SELECT 1 FROM t, u WHERE t.a = u.a"),
        ("INSERT INTO t SELECT * FROM u WHERE a = 1", "SELECT * FROM u WHERE a = 1"),
        ("SELECT * FROM t WHERE a = 1 FOR UPDATE SKIP LOCKED", "SELECT * FROM t WHERE a = 1"),
    ],
)
def test_of_a_write_only_the_reading_is_left(sql: str, reading: str) -> None:
    assert read(sql).text == reading


def test_a_query_stays_byte_for_byte() -> None:
    sql = "SELECT  a -- why\nFROM t WHERE a = E'\\x41'"
    assert read(sql).text == sql


def test_what_pg_stat_statements_made_unreadable_is_a_cast_again() -> None:
    assert "$1 :: interval" in read("SELECT a FROM t WHERE at > now() - interval $1").text


@pytest.mark.parametrize(
    "sql",
    [
        "",
        "SELECT 1; SELECT 2",
        "SELECT " + "(" * 500 + "1" + ")" * 500,
        "INSERT INTO t VALUES (1)",
        "DROP TABLE t",
        "DO $$ BEGIN END $$",
        "SELECT 'left open",
        "x" * (MAX_STATEMENT_BYTES + 1),
        "CREATE INDEX ON t (a)",
    ],
)
def test_what_is_not_one_reading_statement_is_refused_with_a_reason(sql: str) -> None:
    with pytest.raises(NotUnderstood) as refused:
        read(sql)
    assert str(refused.value)


def test_tables_are_named_once_and_ctes_are_none() -> None:
    sql = 'WITH c AS (SELECT 1 FROM s.T) SELECT 1 FROM c, t, "T", (SELECT 1 FROM t) x'
    assert tables(read(sql).tree) == ((None, "t"), (None, "T"), ("s", "t"))


@pytest.mark.parametrize(
    ("sql", "kind", "columns"),
    [
        ("UPDATE s.t SET a = 1, (b, c) = (SELECT 1, 2) WHERE d = 3", "update", frozenset({"a", "b", "c"})),
        ("INSERT INTO s.t (a) VALUES ($1) ON CONFLICT (a) DO NOTHING", "insert", frozenset()),
        ("DELETE FROM s.t WHERE a = 1", "delete", frozenset()),
    ],
)
def test_writes_are_known_by_table_and_columns(sql: str, kind: str, columns: frozenset[str]) -> None:
    write = written(sql)
    assert write is not None
    assert (write.kind, write.schema, write.table, write.columns) == (kind, "s", "t", columns)


def test_what_writes_nothing_is_no_write() -> None:
    assert written("SELECT 1 FROM t") is None
    assert written("not SQL (") is None
