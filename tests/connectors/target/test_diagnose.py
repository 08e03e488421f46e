from __future__ import annotations

import json
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from agent.database.checks import CHECKS, Observation
from agent.database.snapshot import NotVisible, Plan, TableFacts, WhatIf
from connectors.target.diagnose import Diagnosis
from connectors.unreachable import Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.connectors.target.conftest import Shop

pytestmark = pytest.mark.integration

SLOW = "SELECT id FROM orders WHERE customer_id = %s AND created_at > %s"
NORMALISED = "SELECT id FROM orders WHERE customer_id = $1 AND created_at > $2"
FORGOTTEN = "orders_customer_id_created_at_idx"


@pytest.fixture
def diagnosis(shop: Shop) -> Iterator[Diagnosis]:
    with Diagnosis(shop.diagnose, "shop") as connection:
        yield connection


@pytest.fixture
def hypopg(admin: psycopg.Connection) -> Iterator[None]:
    if not admin.execute("SELECT FROM pg_available_extensions WHERE name = 'hypopg'").fetchall():
        pytest.skip("this server has no HypoPG")
    admin.execute("CREATE EXTENSION hypopg")
    yield
    admin.execute("DROP EXTENSION hypopg")


@pytest.fixture
def index(admin: psycopg.Connection) -> Iterator[None]:
    admin.execute(f"CREATE INDEX {FORGOTTEN} ON public.orders (customer_id, created_at)")
    yield
    admin.execute(f"DROP INDEX IF EXISTS public.{FORGOTTEN}")


def ask(dsn: str, times: int) -> None:
    with psycopg.connect(dsn, autocommit=True) as app:
        for number in range(times):
            app.execute(SLOW, (number % 20000, "2026-01-01"))


def checked(diagnosis: Diagnosis, *names: str) -> dict[str, Observation]:
    """The named checks in order, each knowing what came before, as a skill runs them."""
    known: dict[str, Any] = {}
    found: dict[str, Observation] = {}
    for name in names:
        found[name] = CHECKS[name].run(diagnosis, known)
        known[name] = json.loads(json.dumps(found[name].as_data()))["data"]
    return found


def under_load(shop: Shop, diagnosis: Diagnosis, *names: str) -> dict[str, Observation]:
    stop = threading.Event()

    def load() -> None:
        while not stop.is_set():
            ask(shop.app, 20)

    app = threading.Thread(target=load, daemon=True)
    app.start()
    try:
        return checked(diagnosis, *names)
    finally:
        stop.set()
        app.join()


_MISSING_INDEX = (
    "workload_sample",
    "sequential_scans_dominate",
    "slow_statement",
    "plan_scans_a_big_table",
    "index_would_help",
)


@pytest.mark.usefixtures("index")
def test_a_lost_index_is_found_named_by_its_columns_and_marked_as_not_validated(
    shop: Shop, diagnosis: Diagnosis, admin: psycopg.Connection
) -> None:
    admin.execute("SELECT pg_stat_statements_reset()")
    ask(shop.app, 3000)
    admin.execute(f"DROP INDEX public.{FORGOTTEN}")
    found = under_load(shop, diagnosis, *_MISSING_INDEX)
    assert {name: seen.status for name, seen in found.items()} == dict.fromkeys(_MISSING_INDEX, "yes")
    assert found["sequential_scans_dominate"].data["table"]["table"] == "orders"
    assert found["slow_statement"].data["statement"]["query"] == NORMALISED
    assert found["slow_statement"].data["times_baseline"] > 3
    assert found["plan_scans_a_big_table"].data["table"]["rows"] == 200_000
    advice = found["index_would_help"].data
    assert (advice["schema"], advice["table"], advice["columns"]) == ("public", "orders", ["customer_id", "created_at"])
    assert advice["cost_before"] > 5 * advice["cost_after"]
    assert not advice["validated"]


@pytest.mark.usefixtures("hypopg")
def test_with_hypopg_the_advice_is_validated(shop: Shop, diagnosis: Diagnosis) -> None:
    found = under_load(shop, diagnosis, *_MISSING_INDEX)
    advice = found["index_would_help"].data
    assert (advice["columns"], advice["validated"]) == (["customer_id", "created_at"], True)
    assert 1_000_000 < advice["estimated_bytes"] < 20_000_000
    before = diagnosis.what_if(NORMALISED, "public", "orders", ["status"], "shop_app")
    assert isinstance(before, WhatIf)
    assert not before.used


@pytest.mark.usefixtures("index")
def test_with_the_index_there_nothing_is_wrong(shop: Shop, diagnosis: Diagnosis) -> None:
    found = under_load(shop, diagnosis, *_MISSING_INDEX)
    assert found["sequential_scans_dominate"].status == "no"
    assert found["slow_statement"].status == "no"
    assert found["plan_scans_a_big_table"].status == "no"
    assert found["index_would_help"].status == "no"


def test_a_role_without_rights_says_not_visible_and_never_no(shop: Shop) -> None:
    with psycopg.connect(shop.app) as app, Diagnosis(shop.stranger, "shop") as stranger:
        app.execute("SELECT 1")
        found = under_load(shop, stranger, *_MISSING_INDEX, "lock_waits", "long_transaction")
    hidden = ("slow_statement", "plan_scans_a_big_table", "index_would_help", "lock_waits", "long_transaction")
    assert {found[name].status for name in hidden} == {"not_visible"}
    assert "pg_read_all_stats" in found["slow_statement"].summary


def test_a_plan_shows_whether_the_index_is_there(diagnosis: Diagnosis, admin: psycopg.Connection) -> None:
    before = diagnosis.explain(NORMALISED, "shop_app")
    admin.execute(f"CREATE INDEX {FORGOTTEN} ON public.orders (customer_id, created_at)")
    after = diagnosis.explain(NORMALISED, "shop_app")
    admin.execute(f"DROP INDEX public.{FORGOTTEN}")
    assert isinstance(before, Plan)
    assert isinstance(after, Plan)
    (scan,) = before.sequential_scans()
    assert (scan.schema, scan.table) == ("public", "orders")
    assert "$1" in (scan.filter or "")
    assert after.sequential_scans() == ()
    assert before.total_cost > 50 * after.total_cost


@pytest.mark.parametrize(
    "query",
    [
        "UPDATE orders SET status = $1 WHERE customer_id = $2",
        "SELECT id FROM orders; DROP TABLE orders",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity",
        "SELECT id FROM orders WHERE customer_id = $1 FOR UPDATE",
        "SELECT * FROM no_such_table WHERE id = $1",
        "SELECT id FROM orders WHERE no_such_column = $1",
        "SELECT id FROM orders WHERE customer_id = $1 AND (",
        "<insufficient privilege>",
        "",
    ],
)
def test_what_is_no_plain_reading_statement_is_not_planned(diagnosis: Diagnosis, query: str) -> None:
    assert isinstance(diagnosis.explain(query, "shop_app"), NotVisible)
    assert isinstance(diagnosis.explain(NORMALISED, "shop_app"), Plan)


def test_nobodys_function_takes_the_place_of_the_systems(diagnosis: Diagnosis, admin: psycopg.Connection) -> None:
    """Planning runs immutable functions: found through the application's search_path this one would run as us."""
    admin.execute(
        "CREATE FUNCTION public.upper(varchar) RETURNS text IMMUTABLE LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'ran as %', current_user; END $$"
    )
    plan = diagnosis.explain("SELECT id FROM orders WHERE status = upper('x'::varchar) AND id > $1", "shop_app")
    admin.execute("DROP FUNCTION public.upper(varchar)")
    assert isinstance(plan, Plan)


def test_a_tables_schema_is_looked_up_where_the_statements_role_would(
    diagnosis: Diagnosis, admin: psycopg.Connection
) -> None:
    admin.execute("CREATE SCHEMA archive CREATE TABLE orders (id int, customer_id int, created_at timestamptz)")
    admin.execute("GRANT USAGE ON SCHEMA archive TO stanch_diagnose; GRANT SELECT ON archive.orders TO stanch_diagnose")
    of_app = diagnosis.explain(NORMALISED, "shop_app")
    admin.execute('ALTER ROLE shop_app IN DATABASE shop SET search_path = "$user", archive, public')
    of_archive = diagnosis.explain(NORMALISED, "shop_app")
    admin.execute("ALTER ROLE shop_app IN DATABASE shop RESET search_path; DROP SCHEMA archive CASCADE")
    assert isinstance(of_app, Plan)
    assert isinstance(of_archive, Plan)
    assert [scan.schema for scan in of_app.sequential_scans()] == ["public"]
    assert [scan.schema for scan in of_archive.sequential_scans()] == ["archive"]


def test_strange_names_are_read_planned_and_kept(diagnosis: Diagnosis) -> None:
    facts = diagnosis.table_facts("public", "Bestellung Ü%")
    assert isinstance(facts, TableFacts)
    assert [column.name for column in facts.columns] == ["Nr", 'Kunde "K" %s']
    plan = diagnosis.explain('SELECT "Nr" FROM "Bestellung Ü%" AS b WHERE b."Kunde ""K"" %s" = $1', "shop_app")
    assert isinstance(plan, Plan)
    assert plan.sequential_scans()[0].table == "Bestellung Ü%"


def test_our_own_sessions_hold_no_transaction_open(diagnosis: Diagnosis, admin: psycopg.Connection) -> None:
    diagnosis.identity()
    diagnosis.explain(NORMALISED, "shop_app")
    diagnosis.activity()
    found = admin.execute(
        "SELECT state, xact_start, backend_xmin FROM pg_stat_activity WHERE application_name = 'stanch-diagnose'"
    ).fetchall()
    assert found == [("idle", None, None)]


def test_our_own_role_cannot_write(diagnosis: Diagnosis) -> None:
    diagnosis.identity()
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        diagnosis._open().execute("CREATE TABLE public.t (a int)")


def test_a_blocked_session_is_traced_to_the_root_of_its_queue(shop: Shop, diagnosis: Diagnosis) -> None:
    change = "UPDATE public.orders SET status = status WHERE id = 7"
    with psycopg.connect(shop.app, application_name="root") as root, psycopg.connect(shop.app) as middle:
        root.execute(change)
        waiting = threading.Thread(target=middle.execute, args=(change,), daemon=True)
        waiting.start()
        for _ in range(100):
            seen = CHECKS["lock_waits"].run(diagnosis, {})
            if seen.status == "yes":
                break
            time.sleep(0.1)
        root_pid = root.info.backend_pid
        root.rollback()
        waiting.join()
        middle.rollback()
    assert seen.status == "yes"
    assert seen.data["root_pids"] == [root_pid]
    assert "idle in transaction" in seen.summary


def test_an_invalid_index_is_found(diagnosis: Diagnosis, admin: psycopg.Connection) -> None:
    assert CHECKS["invalid_index_left"].run(diagnosis, {}).status == "no"
    with pytest.raises(psycopg.errors.UniqueViolation):
        admin.execute("CREATE UNIQUE INDEX CONCURRENTLY twice ON public.orders (status)")
    seen = CHECKS["invalid_index_left"].run(diagnosis, {})
    admin.execute("DROP INDEX CONCURRENTLY public.twice")
    assert seen.status == "yes"
    assert "public.twice" in seen.summary


def test_the_connections_are_counted(diagnosis: Diagnosis) -> None:
    seen = CHECKS["connections_exhausted"].run(diagnosis, {})
    assert seen.status == "no"
    assert seen.data["usable_connections"] == 97


def test_changed_rows_make_the_statistics_stale(diagnosis: Diagnosis, admin: psycopg.Connection, shop: Shop) -> None:
    with psycopg.connect(shop.app, autocommit=True) as app:
        app.execute("""UPDATE public."Bestellung Ü%" SET "Nr" = "Nr" WHERE "Nr" <= 20000""")
    seen = checked(diagnosis, "workload_sample", "stale_statistics")["stale_statistics"]
    admin.execute('ANALYZE public."Bestellung Ü%"')
    assert seen.status == "yes"
    assert seen.data["tables"][0]["modified_since_analyze"] == 20_000


def test_a_broken_connection_is_opened_again(diagnosis: Diagnosis, admin: psycopg.Connection) -> None:
    diagnosis.identity()
    admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'stanch-diagnose'")
    with pytest.raises(Unreachable) as broken:
        diagnosis.identity()
    assert not broken.value.permanent
    assert diagnosis.identity().database == "shop"


def test_a_wrong_password_or_database_is_permanent_and_not_repeated_in_the_error(shop: Shop) -> None:
    for dsn in (shop.diagnose.replace("secret-", "guess-"), shop.diagnose.replace("/shop", "/nowhere")):
        with pytest.raises(Unreachable) as refused:
            Diagnosis(dsn, "shop").identity()
        assert refused.value.permanent
        assert "guess-" not in str(refused.value)


def test_a_server_that_is_not_there_may_come_back() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        dsn = f"postgresql://nobody:canary@127.0.0.1:{unused.getsockname()[1]}/shop"
        with pytest.raises(Unreachable) as refused:
            Diagnosis(dsn, "shop").identity()
    assert not refused.value.permanent
    assert "canary" not in str(refused.value)
