"""What looks like an incident of tables, indexes or queries on a real server and is none."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg
import pytest

from agent.database.classes import CLASSES
from agent.database.doctor import Report, examine
from agent.database.snapshot import NotVisible
from connectors.target.diagnose import Diagnosis
from lab.provoke.scenario import LIMITS, running
from lab.provoke.tables import at_work, table

if TYPE_CHECKING:
    from agent.database.finding import Finding
    from agent.database.limits import Limits
    from lab.provoke.server import TroubledServer

pytestmark = pytest.mark.integration

SURE = replace(LIMITS, index_unused_s=0.0, bloat_bytes=1_000_000)
_KEPT = "CREATE TABLE public.kept AS SELECT g AS id, g AS a, g AS b, g::text AS c FROM generate_series(1, 60000) g"


def seen(server: TroubledServer, *names: str, limits: Limits = SURE, window_s: float = 0.0) -> list[Finding]:
    with Diagnosis(server.dsn("diagnose"), "shop") as target:
        return list(examine(target, window_s, limits, [CLASSES[name] for name in names]).findings)


def test_an_index_that_is_being_built_is_not_invalid(troubled: TroubledServer) -> None:
    def build() -> None:
        with psycopg.connect(troubled.deploy, autocommit=True) as owner:
            owner.execute("CREATE INDEX CONCURRENTLY kept_a ON public.kept (a)")

    with table(troubled, "kept", _KEPT), contextlib.ExitStack() as stack:
        writer = stack.enter_context(troubled.session("slow writer"))
        writer.execute("UPDATE kept SET a = 1 WHERE id = 1")
        stack.enter_context(running(build))
        stack.callback(writer.close)
        troubled.until("SELECT count(*) = 1 FROM pg_stat_progress_create_index WHERE lockers_total > 0")
        assert not seen(troubled, "invalid_index")


def test_indexes_that_keep_something_true_or_serve_a_foreign_key_are_not_unused(troubled: TroubledServer) -> None:
    made = (
        "ALTER TABLE public.kept ADD PRIMARY KEY (id)",
        "ALTER TABLE public.kept ALTER a SET NOT NULL",
        "CREATE UNIQUE INDEX kept_a ON public.kept (a)",
        "ALTER TABLE public.kept REPLICA IDENTITY USING INDEX kept_a",
        "ALTER TABLE public.kept ADD FOREIGN KEY (b) REFERENCES public.kept (id)",
        "CREATE INDEX kept_b_c ON public.kept (b, c)",
        "ANALYZE public.kept",
    )
    with table(troubled, "kept", _KEPT, *made):
        assert not seen(troubled, "unused_index", "duplicate_index", "foreign_key_without_index")
        with troubled.superuser() as admin:
            admin.execute("CREATE INDEX kept_c ON public.kept (c)")
        (found,) = seen(troubled, "unused_index")
        assert "kept_c" in found.title


def test_indexes_that_differ_in_kind_repeat_nothing(troubled: TroubledServer) -> None:
    made = (
        "CREATE INDEX ON public.kept (c)",
        "CREATE INDEX ON public.kept (c text_pattern_ops)",
        "CREATE INDEX ON public.kept (c DESC)",
        'CREATE INDEX ON public.kept (c COLLATE "POSIX")',
        "CREATE INDEX ON public.kept (c) WHERE a > 7",
        "CREATE INDEX ON public.kept (c) INCLUDE (a)",
        "CREATE INDEX ON public.kept (lower(c))",
        "CREATE INDEX ON public.kept USING hash (c)",
        "CREATE UNIQUE INDEX ON public.kept (c, a)",
    )
    with table(troubled, "kept", _KEPT, *made):
        found = seen(troubled, "duplicate_index")
        # Only the plain one is the beginning of another: of (c, a), and of nothing else here.
        assert [finding.data["name"] for finding in found] == ["kept_c_idx"]
        with troubled.superuser() as admin:
            admin.execute("CREATE INDEX kept_again ON public.kept (lower(c))")
        again = [finding for finding in seen(troubled, "duplicate_index") if finding.data["name"] == "kept_again"]
        assert again[0].action is None
        assert "CREATE INDEX kept_again" in again[0].advice


def test_dead_rows_that_an_old_snapshot_holds_are_not_the_tables_fault(troubled: TroubledServer) -> None:
    with table(troubled, "kept", _KEPT), troubled.session("report") as report:
        report.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        report.execute("SELECT 1 FROM stock LIMIT 1").fetchall()
        with troubled.session(autocommit=True) as writer:
            writer.execute("DELETE FROM kept WHERE id % 2 = 0")
            writer.execute("UPDATE stock SET amount = amount WHERE id = 1")
        troubled.until("SELECT n_dead_tup >= 30000 FROM pg_stat_user_tables WHERE relname = 'kept'")
        held = [finding.incident_class for finding in seen(
            troubled, "table_bloat", "old_xmin", limits=replace(SURE, old_xmin_xids=1)
        )]  # fmt: skip
        assert held == ["old_xmin"]
        assert [finding.incident_class for finding in seen(troubled, "table_bloat")] == ["table_bloat"]


def test_a_foreign_key_whose_index_has_its_columns_in_another_order_has_one(troubled: TroubledServer) -> None:
    parents = "CREATE TABLE public.pairs AS SELECT g AS id, g AS part FROM generate_series(1, 100) g"
    children = (
        "CREATE TABLE public.kept AS SELECT g % 100 + 1 AS x, g % 100 + 1 AS y FROM generate_series(1, 20000) g",
        "ALTER TABLE public.kept ADD FOREIGN KEY (x, y) REFERENCES public.pairs (id, part)",
        "ANALYZE public.kept",
    )
    with (
        table(troubled, "pairs", parents, "ALTER TABLE public.pairs ADD UNIQUE (id, part)"),
        table(troubled, "kept", *children),
        Diagnosis(troubled.dsn("diagnose"), "shop") as target,
    ):
        found = target.asked("foreign_keys_without_index", {})
        assert not isinstance(found, NotVisible)
        assert [row["columns"] for row in found] == [["x", "y"]]
        with troubled.superuser() as admin:
            admin.execute("CREATE INDEX ON public.kept (y, x)")
        assert target.asked("foreign_keys_without_index", {}) == ()


def test_strange_names_are_found_shown_and_dropped(troubled: TroubledServer) -> None:
    name = '"Bestellung Ü%s""; --"'
    with psycopg.connect(troubled.deploy, autocommit=True) as owner:
        owner.execute("SET ROLE shop_owner")
        owner.execute(f'CREATE TABLE public.{name} AS SELECT 1 AS "a b"'.encode())
        owner.execute(f'CREATE INDEX "eins % %%" ON public.{name} ("a b")'.encode())
        owner.execute(f'CREATE INDEX "zwei ""x""" ON public.{name} ("a b")'.encode())
    try:
        (found,) = seen(troubled, "duplicate_index")
        assert found.action is not None
        with psycopg.connect(troubled.dsn("fix"), autocommit=True) as fix:
            fix.execute(found.action.command.encode())
            assert not seen(troubled, "duplicate_index")
            fix.execute(found.action.rollback.encode())
        assert len(seen(troubled, "duplicate_index")) == 1
    finally:
        with troubled.superuser() as admin:
            admin.execute(f"DROP TABLE public.{name}".encode())


def test_an_update_that_looks_for_its_rows_in_vain_wants_an_index_too(troubled: TroubledServer) -> None:
    update = "UPDATE orders SET status = %s WHERE customer_id = %s"
    with at_work(troubled, lambda session: session.execute(update, ("lost", -1))):
        (found,) = seen(troubled, "missing_index", window_s=0.3)
    assert found.action is not None
    assert found.action.params["columns"] == ["customer_id"]


def test_a_partition_is_told_and_indexed_by_itself(troubled: TroubledServer) -> None:
    made = (
        "CREATE TABLE public.kept (id int, guest int) PARTITION BY RANGE (id)",
        "CREATE TABLE public.kept_1 PARTITION OF public.kept FOR VALUES FROM (0) TO (100000)",
        "INSERT INTO public.kept SELECT g, g % 10 + 1 FROM generate_series(1, 20000) g",
        "ALTER TABLE public.kept ADD FOREIGN KEY (guest) REFERENCES public.stock (id)",
        "ANALYZE public.kept",
    )
    with table(troubled, "kept", *made), Diagnosis(troubled.dsn("diagnose"), "shop") as target:
        found = target.asked("foreign_keys_without_index", {})
        assert not isinstance(found, NotVisible)
        assert [(row["table"], row["parent"], row["columns"]) for row in found] == [("kept_1", "stock", ["guest"])]


def as_stranger(server: TroubledServer, window_s: float) -> Report:
    with server.superuser() as admin:
        admin.execute("CREATE ROLE stranger LOGIN PASSWORD 'stranger'")
    try:
        with Diagnosis(server.postgres.dsn("stranger", "stranger", "shop"), "shop") as target:
            return examine(target, window_s)
    finally:
        with server.superuser() as admin:
            admin.execute("DROP ROLE stranger")


def test_a_role_without_rights_is_told_what_it_could_not_see(troubled: TroubledServer) -> None:
    made = ("CREATE TABLE public.kept (id serial)", "SELECT nextval('public.kept_id_seq')")
    with (
        table(troubled, "kept", *made),
        at_work(troubled, lambda session: session.execute("SELECT id FROM orders WHERE customer_id = 3").fetchall()),
    ):
        time.sleep(0.1)
        report = as_stranger(troubled, 0.3)
    unseen = " ".join(one.what for one in report.not_visible)
    assert "statements of other roles" in unseen
    assert "sequences of small columns" in unseen
    assert not {finding.incident_class for finding in report.findings} & {"missing_index", "sequence_exhaustion"}
    assert any("pg_monitor" in one.grant for one in report.not_visible)


def test_a_rewrite_is_checked_on_the_rows_that_are_there(troubled: TroubledServer) -> None:
    query = "SELECT k.id FROM public.kept k WHERE k.a NOT IN (SELECT o.b FROM public.kept o WHERE o.id > 500)"
    text = (
        "SELECT k.id FROM public.kept k WHERE NOT EXISTS (SELECT 1 FROM public.kept o WHERE o.b = k.a AND o.id > 500)"
    )
    with table(troubled, "kept", _KEPT), Diagnosis(troubled.dsn("diagnose"), "shop") as target:
        same = target.compared(query, text)
        assert same.as_data() == {"rows": 500, "missing": 0, "added": 0}
        with troubled.superuser() as admin:
            admin.execute("TRUNCATE public.kept; INSERT INTO public.kept VALUES (1, 1, 1, NULL), (901, 1, NULL, NULL)")
        other = target.compared(query, text)
    assert other.as_data() != same.as_data()


def test_what_is_run_for_a_comparison_only_reads(troubled: TroubledServer) -> None:
    with Diagnosis(troubled.dsn("diagnose"), "shop") as target:
        for text in ("SELECT pg_sleep(9)", "SELECT 1 AS x; DROP TABLE stock", "UPDATE stock SET amount = 1", "("):
            assert isinstance(target.compared(text, text), NotVisible)
        assert target.identity().database == "shop"
