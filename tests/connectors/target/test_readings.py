"""The readings on real servers, among them hostile ones: rights missing, extensions missing, sessions lost, poolers."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psycopg
import pytest

from agent.database.doctor import examine
from agent.database.limits import Limits
from agent.database.readings import READINGS
from agent.database.snapshot import NotVisible
from connectors.target.diagnose import Diagnosis
from connectors.target.readings import local_disk
from connectors.target.session import unreachable
from connectors.unreachable import Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from connectors.embedded.postgres import EmbeddedPostgres
    from tests.connectors.target.conftest import Shop

NEEDS_PARAMETERS = {
    "statement_texts", "index_density", "table_indexes", "relation_shapes", "column_values", "extended_statistics",
}  # fmt: skip
PLAIN = tuple(name for name in READINGS if name not in NEEDS_PARAMETERS)
LIMITS = Limits(disk_free_share=0.0)


@pytest.mark.integration
def test_a_member_of_pg_monitor_is_shown_every_reading_on_every_version(shop: Shop) -> None:
    with Diagnosis(shop.diagnose, "shop") as diagnosis:
        taken = diagnosis.readings(PLAIN, 0.2, LIMITS)
    hidden = {name: rows for name, rows in taken.now.items() if isinstance(rows, NotVisible)}
    assert set(hidden) <= {"disk"}, hidden
    assert taken.window_s >= 0.2
    assert all(not isinstance(taken.deltas(name), NotVisible) for name in PLAIN if READINGS[name].twice)


@pytest.mark.integration
def test_what_a_plain_role_is_not_shown_is_told_with_the_grant_that_shows_it(
    shop: Shop, admin: psycopg.Connection
) -> None:
    with psycopg.connect(shop.app) as app:
        app.execute("SELECT 1")
        with Diagnosis(shop.stranger, "shop") as diagnosis:
            report = examine(diagnosis, 0.2, LIMITS)
    del admin
    grants = {one.grant for one in report.not_visible}
    assert "GRANT pg_monitor TO <diagnose role>" in grants
    assert not {finding.incident_class for finding in report.findings} & {"idle_in_transaction", "runaway_query"}


@pytest.mark.integration
def test_a_database_without_the_extension_is_diagnosed_with_less(server: EmbeddedPostgres) -> None:
    with Diagnosis(server.dsn(), "bare") as diagnosis:
        report = examine(diagnosis, 0.2, LIMITS)
    assert "CREATE EXTENSION pg_stat_statements" in {one.grant for one in report.not_visible}


@pytest.mark.integration
def test_our_session_waits_out_the_window_without_a_transaction(shop: Shop, admin: psycopg.Connection) -> None:
    states: list[tuple[str, object, object]] = []

    def look(_seconds: float) -> None:
        question = "SELECT state, xact_start, backend_xmin FROM pg_stat_activity WHERE application_name LIKE 'stanch-%'"
        states.extend(admin.execute(question).fetchall())

    with Diagnosis(shop.diagnose, "shop", sleep=look) as diagnosis:
        examine(diagnosis, 1.0, LIMITS)
    assert states
    assert set(states) == {("idle", None, None)}


@pytest.mark.integration
def test_our_own_sessions_are_not_among_those_read(shop: Shop) -> None:
    with (
        psycopg.connect(shop.app, application_name="stanch-fix of somebody"),
        psycopg.connect(shop.app, application_name="web"),
        Diagnosis(shop.diagnose, "shop") as diagnosis,
    ):
        rows = diagnosis.readings(("sessions",), 0.0, LIMITS).rows("sessions")
    assert not isinstance(rows, NotVisible)
    applications = {row["application"] for row in rows}
    assert "web" in applications
    assert not any(name.startswith("stanch-") for name in applications)


@pytest.mark.integration
def test_a_session_that_is_ended_in_the_middle_is_unreachable_and_opened_again(
    shop: Shop, admin: psycopg.Connection
) -> None:
    def end(_seconds: float) -> None:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'stanch-diagnose'"
        )

    with Diagnosis(shop.diagnose, "shop", sleep=end) as diagnosis:
        with pytest.raises(Unreachable) as broken:
            examine(diagnosis, 1.0, LIMITS)
        assert not broken.value.permanent
        assert diagnosis.identity().database == "shop"


@pytest.mark.integration
def test_wide_tables_long_names_and_temporary_tables_are_read(shop: Shop, admin: psycopg.Connection) -> None:
    longest = "ü" * 31 + "x"  # 63 bytes
    columns = ", ".join(f"c{number} int" for number in range(1600))
    admin.execute(f'CREATE TABLE public."{longest}" ({columns})')
    admin.execute("CREATE TEMPORARY TABLE public_temp AS SELECT 1 AS a")
    with psycopg.connect(shop.app, application_name="web", autocommit=True) as app, contextlib.ExitStack() as stack:
        holder = stack.enter_context(psycopg.connect(shop.admin))
        holder.execute(f'LOCK TABLE public."{longest}"')
        reading = f'TABLE public."{longest}"'
        waiting = threading.Thread(target=lambda: app.execute(reading), daemon=True)
        waiting.start()
        _until(admin, "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted")
        with Diagnosis(shop.diagnose, "shop") as diagnosis:
            rows = diagnosis.readings(PLAIN, 0.1, LIMITS).rows("sessions")
        holder.rollback()
        waiting.join()
    admin.execute(f'DROP TABLE public."{longest}"')
    assert not isinstance(rows, NotVisible)
    assert f"public.{longest}" in {row["wanted_relation"] for row in rows}


@pytest.mark.integration
def test_a_pooler_that_drops_our_settings_is_refused(shop: Shop) -> None:
    with _forgetful_proxy(shop.diagnose) as dsn, Diagnosis(dsn, "shop") as diagnosis:
        with pytest.raises(Unreachable) as refused:
            diagnosis.identity()
        assert refused.value.permanent
        assert "connect to the server itself" in str(refused.value)


def test_what_a_pooler_says_is_told_as_what_to_do() -> None:
    for error in (
        psycopg.OperationalError("FATAL: unsupported startup parameter: options"),
        psycopg.errors.InvalidSqlStatementName('prepared statement "_pg3_0" does not exist'),
        psycopg.errors.DuplicatePreparedStatement('prepared statement "_pg3_0" already exists'),
    ):
        told = unreachable("shop", error)
        assert told.permanent
        assert "PgBouncer" in str(told)


@pytest.mark.integration
def test_the_disk_is_looked_at_only_where_the_lock_file_proves_whose_it_is(server: EmbeddedPostgres) -> None:
    with Diagnosis(server.dsn(), "here") as diagnosis:
        (row,) = diagnosis.readings(("disk",), 0.0, LIMITS).rows("disk")  # type: ignore[misc]
    assert 0 < row["free_bytes"] < row["total_bytes"]


def test_another_servers_disk_is_not_taken_for_its_own(tmp_path: Path) -> None:
    said = {"path": str(tmp_path), "port": "5432", "started_at": 1_000_000, "here": True}
    assert isinstance(local_disk(said), NotVisible)
    lock = tmp_path / "postmaster.pid"
    for text in ("", "1\n2\nx\n5432\n", f"1\n{tmp_path}\n1000000\n5433\n", f"1\n{tmp_path}\n9\n5432\n"):
        lock.write_text(text, encoding="ascii")
        assert isinstance(local_disk(said), NotVisible)
    lock.write_text(f"1\n{tmp_path}\n1000001\n5432\n", encoding="ascii")
    assert isinstance(local_disk({**said, "here": False}), NotVisible)
    assert not isinstance(local_disk(said), NotVisible)


def _until(admin: psycopg.Connection, question: str) -> None:
    for _ in range(200):
        found = admin.execute(question).fetchone()
        if found and found[0]:
            return
        threading.Event().wait(0.05)
    raise TimeoutError(question)


@contextlib.contextmanager
def _forgetful_proxy(dsn: str) -> Iterator[str]:
    """As PgBouncer with ignore_startup_parameters = options: the settings asked for never arrive."""
    place = urlsplit(dsn)
    with socket.create_server(("127.0.0.1", 0)) as door:
        thread = threading.Thread(target=_serve, args=(door, place.port), daemon=True)
        thread.start()
        yield dsn.replace(f":{place.port}/", f":{door.getsockname()[1]}/")
    thread.join(timeout=10)


def _serve(door: socket.socket, port: int | None) -> None:
    with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
        client = stack.enter_context(door.accept()[0])
        start = _startup(client)
        while start[4:8] in (b"\x04\xd2\x16\x2f", b"\x04\xd2\x16\x30"):  # SSLRequest, GSSENCRequest
            client.sendall(b"N")
            start = _startup(client)
        server = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        server.sendall(_without_options(start))
        back = threading.Thread(target=_copy, args=(server, client), daemon=True)
        back.start()
        _copy(client, server)
        back.join(timeout=10)


def _startup(client: socket.socket) -> bytes:
    head = client.recv(4, socket.MSG_WAITALL)
    return head + client.recv(int.from_bytes(head, "big") - 4, socket.MSG_WAITALL)


def _without_options(start: bytes) -> bytes:
    parts = start[8:].split(b"\0")
    pairs = [
        (name, value) for name, value in zip(parts[::2], parts[1::2], strict=False) if name not in (b"", b"options")
    ]
    body = b"".join(name + b"\0" + value + b"\0" for name, value in pairs) + b"\0"
    return (len(body) + 8).to_bytes(4, "big") + start[4:8] + body


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
