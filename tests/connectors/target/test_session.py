from __future__ import annotations

import os
import signal
import socket
from typing import TYPE_CHECKING

import psycopg
import pytest

from connectors.target.session import QUERIES, application_name, connect, rows, translated, unreachable
from connectors.unreachable import Unreachable

if TYPE_CHECKING:
    from tests.connectors.target.conftest import Shop


def test_an_application_name_is_cut_between_characters() -> None:
    assert application_name("stanch-exec:", "7") == "stanch-exec:7"
    cut = application_name("stanch-exec:", "ü" * 40)
    assert len(cut.encode()) == 62
    assert cut == "stanch-exec:" + "ü" * 25


def test_every_query_says_what_it_is_for() -> None:
    assert len(QUERIES) > 30
    assert all(text.startswith("-- ") for text in QUERIES.values())


def test_what_a_caller_does_next_follows_from_the_error() -> None:
    assert unreachable("shop", psycopg.errors.InsufficientPrivilege("no")).permanent
    assert unreachable("shop", psycopg.OperationalError('FATAL:  database "x" does not exist')).permanent
    assert not unreachable("shop", psycopg.OperationalError("connection refused")).permanent
    assert not unreachable("shop", psycopg.errors.AdminShutdown("bye")).permanent


def test_every_error_of_psycopg_becomes_unreachable() -> None:
    for kind in psycopg.Error.__subclasses__() + psycopg.DatabaseError.__subclasses__():
        with pytest.raises(Unreachable), translated("shop"):
            raise kind("x")


def test_a_dsn_that_is_none_is_permanent_and_not_shown() -> None:
    with pytest.raises(Unreachable) as refused:
        connect("passwort=canary", "shop", "test", {})
    assert refused.value.permanent
    assert "canary" not in str(refused.value)


@pytest.mark.integration
def test_a_server_that_hangs_is_given_up(shop: Shop) -> None:
    connection = connect(shop.diagnose, "shop", "test", {"search_path": "pg_catalog"})
    pid = connection.info.backend_pid
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(Unreachable) as hung, translated("shop"):
            rows(connection, "identity", timeout_s=0.3)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert not hung.value.permanent
    assert connection.closed


@pytest.mark.integration
def test_a_port_where_nobody_speaks_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        dsn = f"postgresql://nobody:canary@127.0.0.1:{silent.getsockname()[1]}/shop"
        with pytest.raises(Unreachable) as hung:
            connect(dsn, "shop", "test", {})
    assert not hung.value.permanent
