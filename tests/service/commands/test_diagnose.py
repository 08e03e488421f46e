"""The command as a person and a machine call it: what it prints, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import click
import psycopg
import pytest

from agent.database.doctor import Report, judged
from agent.database.snapshot import NotVisible, TargetIdentity
from service.diagnosis_text import as_text
from tests.agent.database.classes.snapshots import readings, session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.connectors.store.database import StoreServer

COMMAND = (sys.executable, "-m", "service.cli", "diagnose")
SHORT = ("--window", "0.5")


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], check=False, capture_output=True, text=True, env={**os.environ, **environment}
    )


@pytest.fixture(scope="module")
def target(store_server: StoreServer) -> Iterator[str]:
    """A role with pg_monitor on the server the store's tests use, too."""
    postgres = store_server.postgres
    with psycopg.connect(postgres.dsn(), autocommit=True) as admin:
        admin.execute("CREATE ROLE looker LOGIN PASSWORD 'canary-secret' IN ROLE pg_monitor")
        yield postgres.dsn("looker", "canary-secret")
        admin.execute("DROP ROLE looker")


@pytest.mark.integration
def test_machines_get_one_object_and_nothing_else(target: str) -> None:
    done = run("--dsn", target, "--json", *SHORT)
    assert (done.returncode, done.stderr) == (0, "")
    answer: dict[str, Any] = json.loads(done.stdout)
    assert set(answer) == {"target", "findings", "not_visible", "seconds"}
    assert answer["target"]["database"] == "postgres"
    assert answer["seconds"] >= 0.5
    assert "canary-secret" not in done.stdout


@pytest.mark.integration
def test_people_get_a_report_without_colours_where_there_is_no_terminal(target: str) -> None:
    done = run("--dsn", target, *SHORT)
    assert (done.returncode, done.stderr) == (0, "")
    assert "PostgreSQL" in done.stdout
    assert "\x1b" not in done.stdout
    assert "CREATE EXTENSION pg_stat_statements" in done.stdout


@pytest.mark.integration
def test_key_value_with_the_password_from_the_environment_does_as_well(target: str) -> None:
    place = psycopg.conninfo.conninfo_to_dict(target)
    parts = f"host={place['host']} port={place['port']} user=looker dbname=postgres"
    assert run("--dsn", parts, "--json", *SHORT, PGPASSWORD="canary-secret").returncode == 0


@pytest.mark.integration
def test_a_dsn_that_is_no_use_ends_with_one_line_that_holds_no_password(target: str) -> None:
    for dsn in (
        target.replace("canary-secret", "canary-guess"),
        target.replace("canary-secret", "canary%zz"),
        "host=127.0.0.1 port=1 password=canary-guess",
    ):
        done = run("--dsn", dsn, *SHORT)
        assert (done.returncode, done.stdout) == (2, ""), dsn
        assert len(done.stderr.strip().splitlines()) == 1
        assert done.stderr.startswith("stanch: ")
        assert "canary" not in done.stderr


@pytest.mark.integration
def test_a_server_that_takes_no_more_connections_is_a_finding(target: str, store_server: StoreServer) -> None:
    with psycopg.connect(store_server.postgres.dsn(), autocommit=True) as admin:
        admin.execute("ALTER ROLE looker CONNECTION LIMIT 0")
        done = run("--dsn", target, "--json", *SHORT)
        told = run("--dsn", target, *SHORT)
        admin.execute("ALTER ROLE looker CONNECTION LIMIT -1")
    assert done.returncode == told.returncode == 0
    (finding,) = json.loads(done.stdout)["findings"]
    assert finding["incident_class"] == "connection_exhaustion"
    assert "takes no more connections" in told.stdout


@pytest.mark.integration
def test_watching_goes_on_until_it_is_interrupted(target: str) -> None:
    with subprocess.Popen(
        [*COMMAND, "--dsn", target, "--watch", "--json", *SHORT],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as watching:
        assert watching.stdout is not None
        looks = [json.loads(watching.stdout.readline()) for _ in range(2)]
        watching.send_signal(signal.SIGINT)
        _, errors = watching.communicate(timeout=30)
    assert (watching.returncode, errors) == (0, "")
    assert all(set(look) == {"target", "findings", "not_visible", "seconds"} for look in looks)


@pytest.mark.parametrize("arguments", [("--window", "0"), ("--window", "soon"), ("--unknown",)])
def test_unusable_options_end_with_2(arguments: tuple[str, ...]) -> None:
    assert run("--dsn", "x", *arguments).returncode == 2


IDENTITY = TargetIdentity("shop", "1", "shop", 150_018, in_recovery=False)
QUEUE = tuple(session(pid, blocked_by=[1], application="\x1b[31mweb\u202e") for pid in range(2, 5))
STUCK = judged(readings(sessions=(session(1, state="idle in transaction", state_age_s=9.0, xact_age_s=9.0), *QUEUE)))


def test_a_report_shows_evidence_tree_exact_command_and_what_to_check() -> None:
    text = click.unstyle(as_text(IDENTITY, "db.internal:5432", "looker", STUCK, 30.2))
    assert "PostgreSQL 15.18, primary, looked at for 30 s" in text
    assert "1 warning" in text
    assert "SELECT pg_catalog.pg_terminate_backend(a.pid)" in text
    assert "└─ process 4" in text
    assert "Then check:" in text
    assert "\u202e" not in text


def test_a_report_says_which_grant_shows_what_is_hidden() -> None:
    report = Report((), (NotVisible("sessions", "no right", "GRANT pg_monitor TO <diagnose role>"),))
    text = as_text(IDENTITY, "db", 'odd"role', report, 1.0)
    assert 'GRANT pg_monitor TO "odd""role"' in text
    assert "Nothing found in what could be seen" in text
