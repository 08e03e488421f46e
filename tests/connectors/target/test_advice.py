"""The index advisor on real servers: with HypoPG where the server has it, without where it has not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from agent.database.advisor.advise import Advice, advise
from agent.database.advisor.workload import advise_workload
from agent.database.snapshot import NotVisible
from connectors.target import planned
from connectors.target.advice import AdvisorSession
from connectors.unreachable import Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from connectors.embedded.postgres import EmbeddedPostgres

pytestmark = pytest.mark.integration

_SEED = """
CREATE EXTENSION pg_stat_statements;
CREATE EXTENSION pg_trgm;
CREATE TABLE sale (id int PRIMARY KEY, buyer int NOT NULL, state text NOT NULL, at timestamptz NOT NULL,
                   email text COLLATE "POSIX" NOT NULL, data jsonb NOT NULL, "Größe" int NOT NULL);
INSERT INTO sale SELECT g, g * 7919::bigint % 20000, CASE WHEN g % 500 = 0 THEN 'open' ELSE 'done' END,
                        timestamptz '2026-01-01 00:00Z' + g * interval '1 minute', 'U' || g || '@x',
                        jsonb_build_object('k', g % 9000), g % 30000
FROM generate_series(1, 150000) g;
CREATE TABLE part (id int NOT NULL, owner int NOT NULL, at date NOT NULL) PARTITION BY RANGE (id);
CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (60001);
CREATE TABLE part_2 PARTITION OF part FOR VALUES FROM (60001) TO (200000);
INSERT INTO part SELECT g, g % 9000, date '2026-01-01' + g % 300 FROM generate_series(1, 120000) g;
CREATE VIEW seen AS SELECT * FROM sale;
CREATE ROLE looker LOGIN PASSWORD 'looker';
GRANT SELECT ON part TO looker;
"""
_LATEST_SEED = b"""
CREATE TABLE ledger (id bigserial PRIMARY KEY, payer int, total numeric, kind text);
INSERT INTO ledger (payer, total, kind)
SELECT g * 7919::bigint % 20000, g % 997, CASE WHEN g % 500 = 0 THEN 'odd' ELSE 'usual' END
FROM generate_series(1, 200000) g;
"""


@pytest.fixture(scope="module")
def dsn(server: EmbeddedPostgres) -> str:
    server.ensure_database("advise")
    found = server.dsn(database="advise")
    with psycopg.connect(found, autocommit=True) as connection:
        connection.execute(_SEED.encode())
        connection.execute("VACUUM ANALYZE")
        if connection.execute("SELECT FROM pg_available_extensions WHERE name = 'hypopg'").fetchall():
            connection.execute("CREATE EXTENSION hypopg")
    return found


@pytest.fixture
def session(dsn: str) -> Iterator[AdvisorSession]:
    with AdvisorSession(dsn, "shop") as found:
        yield found


@pytest.fixture
def admin(dsn: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield connection


def advised(session: AdvisorSession, sql: str) -> Advice:
    return advise(sql, session, extensions=session.extensions)


def build(admin: psycopg.Connection, advice: Advice) -> None:
    for one in advice.indexes:
        for step in one.definition.statements(advice.profiles[one.definition.schema, one.definition.table].leaves):
            admin.execute(step.encode())


def plan(admin: psycopg.Connection, sql: str) -> str:
    return "\n".join(row[0] for row in admin.execute(f"EXPLAIN {sql}".encode()).fetchall())


def drop_advised(admin: psycopg.Connection) -> None:
    names = admin.execute(
        "SELECT c.oid::regclass::text FROM pg_class c WHERE relkind IN ('i', 'I') AND relname LIKE 'st@_%' ESCAPE '@'"
        " AND NOT relispartition"
    ).fetchall()
    for (name,) in names:
        admin.execute(f"DROP INDEX {name}".encode())


@pytest.mark.parametrize(
    ("sql", "columns"),
    [
        ("SELECT id FROM sale WHERE buyer = 77", ["buyer"]),
        ("SELECT id FROM public.sale WHERE lower(email) = 'u5@x'", ["lower(email)"]),
        ("SELECT id FROM sale WHERE email LIKE 'U123%'", ["email"]),
        ("SELECT id FROM sale WHERE state = 'open' ORDER BY at LIMIT 5", ["at"]),
        ("SELECT id FROM sale WHERE data ->> 'k' = '5'", ["(data ->> 'k')"]),
        ('SELECT id FROM sale WHERE "Größe" = 5', ["Größe"]),
        ("SELECT id FROM part WHERE owner = 7", ["owner"]),
        ("DELETE FROM sale WHERE buyer = 77", ["buyer"]),
    ],
)
def test_what_is_advised_can_be_built_as_written_and_is_then_used(
    session: AdvisorSession, admin: psycopg.Connection, sql: str, columns: list[str]
) -> None:
    if not session.validates:
        pytest.skip("without HypoPG expressions and orders are not advised")
    advice = advised(session, sql)
    assert [list(one.definition.columns) for one in advice.indexes] == [columns]
    assert advice.indexes[0].validated
    try:
        build(admin, advice)
        assert "st_" in plan(admin, sql)
        (invalid,) = admin.execute("SELECT count(*) FROM pg_index WHERE NOT indisvalid").fetchone() or (None,)
        assert invalid == 0
    finally:
        drop_advised(admin)


def test_containment_is_served_by_gin_and_not_validated(
    session: AdvisorSession, admin: psycopg.Connection, dsn: str
) -> None:
    sql = "SELECT id FROM sale WHERE data @> '{\"k\": 5}'"
    advice = advised(session, sql)
    assert [one.definition.body() for one in advice.indexes] == [" USING gin (data jsonb_path_ops)"]
    assert not advice.indexes[0].validated
    try:
        build(admin, advice)
        assert "st_" in plan(admin, sql)
        with AdvisorSession(dsn, "shop") as again:
            assert advised(again, sql).indexes == ()
    finally:
        drop_advised(admin)


def test_without_hypopg_it_is_estimated(session: AdvisorSession) -> None:
    if session.validates:
        pytest.skip("this server has HypoPG")
    (one,) = advised(session, "SELECT id FROM sale WHERE buyer = 77").indexes
    assert (one.definition.columns, one.validated) == (("buyer",), False)
    assert one.cost_after is not None
    assert one.cost_after < one.cost_before / 3


@pytest.fixture(scope="module")
def bare(server: EmbeddedPostgres) -> str:
    """A database of a server that may well have HypoPG, without it."""
    server.ensure_database("advise_bare")
    found = server.dsn(database="advise_bare")
    with psycopg.connect(found, autocommit=True) as connection:
        connection.execute(_LATEST_SEED)
        connection.execute("VACUUM ANALYZE")
    return found


def test_without_hypopg_a_walk_along_the_primary_key_with_a_filter_gets_its_index(bare: str) -> None:
    sql = "SELECT * FROM ledger WHERE payer = $1 ORDER BY id DESC LIMIT 5"
    with AdvisorSession(bare, "shop") as session, psycopg.connect(bare, autocommit=True) as admin:
        walk = session.trial(sql.replace("ledger", "public.ledger"), ())
        assert not isinstance(walk, NotVisible)
        kinds = [(node["Node Type"], node.get("Index Name")) for node in walk.plan.nodes()]
        assert kinds == [("Limit", None), ("Index Scan", "ledger_pkey")]
        advice = advised(session, sql)
        assert [one.definition.columns for one in advice.indexes] == [("payer",)]
        assert not advice.indexes[0].validated
        there = admin.execute("SELECT FROM pg_available_extensions WHERE name = 'hypopg'").fetchall()
        assert session.could_validate is bool(there)
        assert ("CREATE EXTENSION hypopg" in advice.reason) is bool(there)
        admin.execute("CREATE INDEX ON ledger (payer)")
        after = session.trial(sql.replace("ledger", "public.ledger"), ())
        assert not isinstance(after, NotVisible)
        said = advice.indexes[0].cost_after
        assert said is not None
        assert after.cost / 3 < said < after.cost * 3


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM ledger WHERE kind = 'usual' ORDER BY id DESC LIMIT 20000",
        "SELECT * FROM ledger WHERE kind = 'usual' LIMIT 100000",
        "SELECT * FROM ledger WHERE id > 1000 AND kind = 'usual' ORDER BY id",
        "SELECT id FROM ledger WHERE id BETWEEN 1000 AND 90000 AND total > 1",
        "SELECT kind, count(*) FROM ledger WHERE total > 1 GROUP BY kind ORDER BY kind LIMIT 5",
    ],
)
def test_without_hypopg_what_reads_much_gets_no_advice(bare: str, sql: str) -> None:
    with AdvisorSession(bare, "shop") as session:
        assert advised(session, sql).indexes == ()


def test_parameters_are_planned_as_they_are(session: AdvisorSession) -> None:
    sql = "SELECT id FROM sale WHERE buyer = $1 AND at > now() - interval $2 LIMIT $3"
    (one,) = advised(session, sql).indexes
    assert one.definition.columns[0] == "buyer"


def test_advice_for_a_write_changes_nothing(session: AdvisorSession, admin: psycopg.Connection) -> None:
    assert advised(session, "DELETE FROM sale WHERE buyer = 77").indexes
    assert admin.execute("SELECT count(*) FROM sale").fetchone() == (150_000,)


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("SELECT * FROM sale WHERE id = 5", "cheap"),
        ("SELECT count(*) FROM seen WHERE buyer = 5", "table seen: no such table, a view"),
        ("SELECT * FROM nowhere WHERE a = 5", "no such table"),
        ("SELECT relname FROM pg_class WHERE relname = 'x'", "system"),
        ("SELECT id FROM sale WHERE state = 'done'", "none of the possible"),
        ("SELECT pg_sleep(60) FROM sale WHERE buyer = 5", "more than read"),
        ("SELECT id FROM sale WHERE no_such_column = 5", "no_such_column"),
    ],
)
def test_where_nothing_helps_the_reason_comes(session: AdvisorSession, sql: str, reason: str) -> None:
    if not session.validates and "done" in sql:
        reason = "no"
    advice = advised(session, sql)
    assert advice.indexes == ()
    assert reason in advice.reason


def test_an_index_that_is_there_is_seen_with_its_expression(session: AdvisorSession, admin: psycopg.Connection) -> None:
    admin.execute("CREATE INDEX by_lower ON sale (lower(email) DESC)")
    try:
        profile = session.tables([(None, "sale")], None)[None, "sale"]
        assert not isinstance(profile, NotVisible)
        found = next(index for index in profile.indexes if index.name == "by_lower")
        assert [(key.text, key.column, key.descending, key.nulls_first) for key in found.keys] == [
            ("lower(email)", None, True, True)
        ]
        assert profile.column("state") is not None
        state = profile.column("state")
        assert state is not None
        assert set(state.common_values) == {"done", "open"}
        assert profile.rows == 150_000
        assert advised(session, "SELECT id FROM sale WHERE lower(email) = 'u5@x'").indexes == ()
    finally:
        admin.execute("DROP INDEX by_lower")


def test_a_partitioned_table_is_known_by_its_leaves(session: AdvisorSession) -> None:
    profile = session.tables([("public", "part")], None)["public", "part"]
    assert not isinstance(profile, NotVisible)
    assert (profile.rows, profile.leaves) == (120_000, (("public", "part_1"), ("public", "part_2")))
    assert profile.bytes > 1_000_000


def test_without_the_right_to_read_the_plan_is_not_visible(server: EmbeddedPostgres, dsn: str) -> None:
    assert dsn
    with AdvisorSession(server.dsn("looker", "looker", "advise"), "shop") as session:
        refused = advised(session, "SELECT id FROM sale WHERE buyer = 77")
        assert (refused.indexes, "permission denied" in refused.reason) == ((), True)
        assert advised(session, "SELECT id FROM part WHERE owner = 7").indexes


def test_the_workload_is_read_and_advised_for(session: AdvisorSession, admin: psycopg.Connection) -> None:
    admin.execute("SELECT pg_stat_statements_reset()")
    for _ in range(3):
        admin.execute("SELECT count(*) FROM sale WHERE buyer = 5")
    workload = session.workload()
    assert not isinstance(workload, NotVisible)
    assert any("buyer" in one.sql and one.calls == 3 for one in workload)
    assert not any("stanch" in one.sql for one in workload)
    advice = advise_workload(workload, session, extensions=session.extensions)
    assert any(one.definition.columns == ("buyer",) for one in advice.indexes)


def test_the_session_may_change_nothing_and_leaves_nothing_open(session: AdvisorSession, admin: Any) -> None:
    advised(session, "SELECT id FROM sale WHERE buyer = 77")
    state = "SELECT state, xact_start FROM pg_stat_activity WHERE application_name = 'stanch-advise'"
    assert admin.execute(state).fetchall() == [("idle", None)]
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        session._connection.execute("CREATE TABLE public.x (a int)")


@pytest.mark.parametrize("text", ["SELECT " + "(" * 5000 + "1" + ")" * 5000, "SELECT 1; SELECT 2", "SELECT 'open"])
def test_a_hostile_text_is_refused_before_it_is_parsed(dsn: str, text: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        found = planned.guarded(connection, text, None)  # type: ignore[arg-type]  # no row is read
    assert isinstance(found, NotVisible)
    assert "could not be parsed" in found.why


def test_a_table_whose_name_cannot_be_shown_gets_no_advice_and_breaks_nothing(
    session: AdvisorSession, admin: psycopg.Connection
) -> None:
    admin.execute('CREATE SCHEMA "odd\u202e"')
    admin.execute('CREATE TABLE "odd\u202e".hidden AS SELECT g AS a FROM generate_series(1, 5000) g')
    try:
        advice = advised(session, "SELECT * FROM hidden WHERE a = 5")
        assert (advice.indexes, "invisible" in advice.reason) == ((), True)
    finally:
        admin.execute('DROP SCHEMA "odd\u202e" CASCADE')


def test_a_server_that_is_not_there_is_unreachable() -> None:
    with pytest.raises(Unreachable):
        AdvisorSession("host=127.0.0.1 port=1 user=x password=secret", "shop")
