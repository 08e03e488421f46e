"""Only the API may hold the key that signs approvals: a worker or executor that could read it does not start."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from connectors.embedded.process import plain_environment
from guardrails.permit import SigningKey
from lab.stack import ROOT

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.acceptance


def start(command: str, place: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """From another folder, so that its .env is read and this machine's is not."""
    env = plain_environment(PYTHONPATH=os.fspath(ROOT), **settings)
    argv = [sys.executable, "-m", "service.cli", command]
    return subprocess.run(argv, check=False, capture_output=True, text=True, cwd=place, env=env, timeout=120)


@pytest.mark.parametrize(
    ("command", "where"),
    [("worker", "environment"), ("worker", ".env"), ("executor", "environment"), ("executor", "file")],
)
def test_it_refuses_to_start_where_the_signing_key_can_be_read(command: str, where: str, tmp_path: Path) -> None:
    key = SigningKey.generate().text()
    settings = {}
    match where:
        case "environment":
            settings["STANCH_SIGNING_KEY"] = key
        case "file":
            (tmp_path / "signing.key").write_text(key, encoding="utf-8")
            settings["STANCH_SIGNING_KEY_FILE"] = os.fspath(tmp_path / "signing.key")
        case _:
            (tmp_path / ".env").write_text(f"STANCH_SIGNING_KEY={key}\n", encoding="utf-8")

    done = start(command, tmp_path, **settings)

    assert done.returncode == 2
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert command in line
    assert "STANCH_SIGNING_KEY" in line
    assert key not in line
