"""The command line as a person meets it: help, refusals, exit codes."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest
import yaml
from click.testing import CliRunner

from guardrails.permit import SigningKey, VerifyKeys, sign, verify
from service import loops
from service.cli import COMMANDS, LazyGroup, group
from service.commands.failures import told
from service.identity import TokenEntry, token_hash
from tests.connectors.store.database import API
from tests.service.incident_world import STARTS, World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.connectors.store.database import Database

ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True, slots=True)
class Answer:
    code: int
    out: str
    err: str


def stanch(*arguments: str, place: Path, **environment: str) -> Answer:
    """As main() runs it, with no other STANCH_ setting than the given ones."""
    code = 0
    cleared = {name: None for name in os.environ if name.startswith("STANCH_")}
    given = {"STANCH_DATA_DIR": str(place), **environment}
    with CliRunner().isolation(env={**cleared, **given}) as (out, err, *_):
        try:
            with told():
                group.main(arguments, prog_name="stanch")
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        sys.stderr.flush()
        return Answer(code, out.getvalue().decode(), err.getvalue().decode())


def every_command() -> Iterator[tuple[str, ...]]:
    for name in sorted(COMMANDS):
        module, _, function = COMMANDS[name][0].partition(":")
        command = getattr(importlib.import_module(module), function)
        if isinstance(command, click.Group) and not isinstance(command, LazyGroup):
            yield from ((name, inner) for inner in command.commands)
        else:
            yield (name,)


def test_the_command_is_a_process_with_an_exit_code(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "service.cli", "migrate"],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"},
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "stanch: STANCH_STORE_DSN is not set (or STANCH_STORE_DSN_FILE)\n"


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_group_of_commands_has_its_help_too(name: str) -> None:
    answer = CliRunner().invoke(group, [name, "--help"])
    assert (answer.exit_code, "Usage:" in answer.output) == (0, True)


@pytest.mark.parametrize("words", [(), *every_command()], ids=" ".join)
def test_help_says_what_it_does_and_shows_an_example(words: tuple[str, ...]) -> None:
    answer = CliRunner().invoke(group, [*words, "--help"])
    assert answer.exit_code == 0
    assert "Usage:" in answer.output
    assert "Example" in answer.output
    assert " ".join(("stanch", *words)) in answer.output


def one_line(answer: Answer) -> str:
    assert (answer.code, answer.out) == (2, "")
    (line,) = answer.err.strip().splitlines()
    assert line.startswith("stanch: ")
    return line


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("migrate",), "STANCH_STORE_DSN is not set"),
        (("audit", "verify"), "STANCH_STORE_DSN is not set"),
        (("serve",), "STANCH_STORE_DSN is not set"),
        (("executor",), "STANCH_VERIFY_KEYS is not set"),
        (("incidents",), "no API token: set STANCH_API_TOKEN"),
        (("approve", "INC-1"), "no API token"),
        (("skills", "show", "nonsense"), "there is no skill 'nonsense'"),
        (("keys", "--id", "a key"), "a key id is 1 to 64 letters"),
        (("target", "sql", "--database", "shop", "--owner", ""), "an empty name"),
    ],
)
def test_a_refusal_is_one_line_that_says_what_to_do(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    assert says in one_line(stanch(*arguments, place=tmp_path))


@pytest.mark.parametrize(
    "environment",
    [
        {"STANCH_STORE_DSN": "postgresql://u:hunter2@127.0.0.1:1/x"},
        {"STANCH_STORE_DSN": "host=x password hunter2"},
        {"STANCH_STORE_DSN": "hunter2"},
    ],
)
def test_a_store_that_cannot_be_reached_is_one_line_without_its_password(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    line = one_line(stanch("migrate", place=tmp_path, **environment))
    assert "store: " in line
    assert "hunter2" not in line


@pytest.mark.parametrize("process", ["worker", "executor"])
def test_a_process_that_could_sign_says_so_and_stops(tmp_path: Path, process: str) -> None:
    line = one_line(stanch(process, place=tmp_path, STANCH_SIGNING_KEY="hunter2"))
    assert "can read STANCH_SIGNING_KEY and refuses to start" in line
    assert "hunter2" not in line


def test_an_api_that_does_not_answer_is_one_line(tmp_path: Path) -> None:
    answer = stanch("incidents", place=tmp_path, STANCH_API_TOKEN="t", STANCH_PUBLIC_URL="http://127.0.0.1:1")
    assert "http://127.0.0.1:1 does not answer" in one_line(answer)


@pytest.mark.parametrize("key", ["nonsense", "INC-0", "INC-1;DROP", "-1"])
def test_what_is_no_incident_is_refused(key: str) -> None:
    assert CliRunner().invoke(group, ["show", key]).exit_code == 2


def test_a_token_is_shown_once_and_kept_as_a_hash() -> None:
    answer = CliRunner().invoke(group, ["token", "--person", "ada@example.com", "--role", "approver"])
    (entry,) = yaml.safe_load(answer.stdout)
    made = answer.stderr.strip().rpartition(" ")[2]
    assert TokenEntry.model_validate(entry).sha256 == token_hash(made)
    assert made not in answer.stdout


def test_a_signing_key_and_its_verify_key_fit() -> None:
    answer = CliRunner().invoke(group, ["keys", "--id", "2026-11"])
    lines = dict(line.split("=", 1) for line in answer.stdout.strip().splitlines())
    key = SigningKey.from_text(lines["STANCH_SIGNING_KEY"])
    permit = sign(key, approval_id="a", digest="d", person="ada", decided_at=STARTS)
    assert key.key_id == "2026-11"
    assert verify(VerifyKeys.from_text(lines["STANCH_VERIFY_KEYS"]), permit)


def test_the_sql_for_a_target_names_its_roles_and_its_fence() -> None:
    answer = CliRunner().invoke(group, ["target", "sql", "--database", "shop", "--owner", "shop_owner"])
    assert answer.exit_code == 0
    for word in ("stanch_diagnose", "stanch_fix", "shop_owner", "CREATE EVENT TRIGGER"):
        assert word in answer.output
    weaker = CliRunner().invoke(
        group, ["target", "sql", "--database", "shop", "--owner", "shop_owner", "--no-event-triggers"]
    )
    assert "CREATE EVENT TRIGGER" not in weaker.output


@pytest.mark.integration
def test_migrate_brings_a_store_up_to_date_and_says_so(database: Database, tmp_path: Path) -> None:
    answer = stanch("migrate", place=tmp_path, STANCH_STORE_DSN=database.dsn())
    assert (answer.code, answer.out) == (0, "the store is up to date\n")


@pytest.mark.integration
def test_audit_verify_exits_with_1_when_the_chain_is_broken(fresh_world: World, tmp_path: Path) -> None:
    with fresh_world.api.store.transaction() as tx:
        for number in range(3):
            tx.audit(None, "test", "Counted", {"number": number})
    loops.seal_all(fresh_world.api.store)
    environment = {"STANCH_STORE_DSN": fresh_world.database.dsn(API)}
    intact = stanch("audit", "verify", "--json", place=tmp_path, **environment)
    assert (intact.code, json.loads(intact.out)) == (0, {"rows": 3, "intact": True, "problems": []})
    fresh_world.database.run("UPDATE stanch.audit SET actor = 'nobody' WHERE id = 2")
    broken = stanch("audit", "verify", place=tmp_path, **environment)
    assert broken.code == 1
    assert broken.out.splitlines() == [
        "3 rows, BROKEN",
        "  row 2 was edited: its content does not match its hash",
    ]
    away = stanch("audit", "verify", place=tmp_path, STANCH_STORE_DSN="postgresql://u@127.0.0.1:1/x")
    assert "store: " in one_line(away)


@pytest.mark.integration
def test_doctor_tells_each_connection_and_exits_with_1(database: Database, tmp_path: Path) -> None:
    environment = {"STANCH_STORE_DSN": database.dsn(API), "STANCH_BROKER_URL": "redis://:hunter2@127.0.0.1:1/0"}
    answer = stanch("doctor", "--json", place=tmp_path, **environment)
    rows = {row["what"]: row for row in map(json.loads, answer.out.splitlines())}
    assert answer.code == 1
    assert (rows["settings"]["ok"], rows["store"]["ok"], rows["broker"]["ok"]) == (True, True, False)
    assert rows["settings"]["says"] == "0 targets, 0 approvers: nobody may approve"
    assert "hunter2" not in answer.out + answer.err
