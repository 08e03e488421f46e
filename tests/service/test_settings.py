"""Settings read the environment, so each case reads it in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from service.settings import SECRETS, Settings, UnusableSettings, load, refuse_signing_key

ROOT = Path(__file__).resolve().parents[2]
SHOW = "from service.settings import load\nprint(load().require({name!r}))"


def read(name: str, place: Path, **environment: str) -> tuple[int, str, str]:
    """What a process started in place with exactly this environment makes of one setting."""
    done = subprocess.run(
        [sys.executable, "-c", SHOW.format(name=name)],
        check=False,
        capture_output=True,
        text=True,
        cwd=place,
        env={"PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8", **environment},
    )
    return done.returncode, done.stdout.strip(), done.stderr


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "dsn").write_text("postgresql://file\n", encoding="utf-8")
    code, said, _ = read("store_dsn", tmp_path, STANCH_STORE_DSN_FILE=str(tmp_path / "dsn"))
    assert (code, said) == (0, "postgresql://file")


def test_the_environment_comes_before_the_file_and_the_file_before_dotenv(tmp_path: Path) -> None:
    (tmp_path / "dsn").write_text("file", encoding="utf-8")
    (tmp_path / ".env").write_text("STANCH_STORE_DSN=dotenv\n", encoding="utf-8")
    path = str(tmp_path / "dsn")
    assert read("store_dsn", tmp_path)[1] == "dotenv"
    assert read("store_dsn", tmp_path, STANCH_STORE_DSN_FILE=path)[1] == "file"
    assert read("store_dsn", tmp_path, STANCH_STORE_DSN_FILE=path, STANCH_STORE_DSN="environment")[1] == "environment"


def test_only_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("http://elsewhere", encoding="utf-8")
    _, said, _ = read("public_url", tmp_path, STANCH_PUBLIC_URL_FILE=str(tmp_path / "url"))
    assert said == "http://127.0.0.1:8741"


@pytest.mark.parametrize("content", [None, b"hunter2\xff\xfe"])
def test_a_file_that_cannot_be_read_is_named_and_never_repeated(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "dsn"
    if content is not None:
        path.write_bytes(content)
    code, _, error = read("store_dsn", tmp_path, STANCH_STORE_DSN_FILE=str(path))
    assert code == 1
    last = error.strip().splitlines()[-1]
    assert last.startswith("service.settings.UnusableSettings: STANCH_STORE_DSN_FILE: ")
    assert "hunter2" not in error


@pytest.mark.parametrize("name", ["store_dsn", "broker_url", "signing_key", "verify_keys"])
def test_what_is_missing_is_named_as_it_is_set(name: str) -> None:
    with pytest.raises(UnusableSettings, match=f"STANCH_{name.upper()} is not set"):
        load({name: ""}).require(name)


def test_a_wrong_value_is_named_without_being_repeated() -> None:
    with pytest.raises(UnusableSettings, match="STANCH_BIND_PORT: ") as caught:
        load({"bind_port": "hunter2"})
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_no_secret_shows_when_settings_are_printed() -> None:
    held = load({name: f"hunter2-{name}" for name in SECRETS if name in Settings.model_fields})
    shown = repr(held) + str(held)
    assert "hunter2" not in shown.replace(held.verify_keys, "")  # verify keys are public


@pytest.mark.parametrize(
    ("text", "tokens"), [("", ()), ("a", ("a",)), (" a , b ", ("a", "b")), (",,", ()), ("a,", ("a",))]
)
def test_two_tokens_may_be_given_for_a_rotation(text: str, tokens: tuple[str, ...]) -> None:
    assert Settings(alertmanager_tokens=SecretStr(text)).alertmanager_token_list == tokens


@pytest.mark.parametrize("process", ["worker", "executor"])
def test_a_process_that_could_sign_refuses_to_start(process: str) -> None:
    with pytest.raises(UnusableSettings, match=f"the {process} can read STANCH_SIGNING_KEY") as caught:
        refuse_signing_key(Settings(signing_key=SecretStr("hunter2")), process)
    assert "hunter2" not in str(caught.value)


def test_a_process_that_cannot_sign_starts(tmp_path: Path) -> None:
    refuse_signing_key(Settings(signing_key=None, data_dir=tmp_path), "worker")
    (tmp_path / "key").write_text("a key", encoding="utf-8")
    assert read("signing_key", tmp_path, STANCH_SIGNING_KEY_FILE=str(tmp_path / "key"))[1] == "a key"
