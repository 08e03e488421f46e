"""`stanch lab` as a person uses it: two labs in the background of one machine, one of them killed, both cleaned up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from lab.stack import ROOT
from tests.acceptance.scene import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.acceptance

ROWS = "20000"


def _lab(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "STANCH_DATA_DIR": os.fspath(data)}
    command = [sys.executable, "-m", "service.cli", "lab", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)


def _up(data: Path) -> dict[str, Any]:
    started = _lab(data, "up", "--detach", "--rows", ROWS, "--json")
    assert started.returncode == 0, started.stderr
    row: dict[str, Any] = json.loads(started.stdout)
    return row


def _states(data: Path) -> dict[str, str]:
    found = _lab(data, "status", "--json")
    return {Path(row["place"]).name: row["state"] for row in map(json.loads, found.stdout.splitlines())}


def _processes_of(data: Path) -> list[str]:
    """Command lines that name the folder, those of zombies left out: they have none."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if os.fspath(data) in command:
            found.append(command)
    return found


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    _lab(tmp_path, "down")


def test_two_labs_run_side_by_side_and_what_a_killed_one_leaves_is_cleaned_up(data: Path) -> None:
    first, second = _up(data), _up(data)

    assert _states(data) == {"lab": "up", "lab-2": "up"}
    for one in (first, second):
        assert httpx.get(f"{one['prometheus']}/-/ready", trust_env=False).status_code == 200
    assert first["prometheus"] != second["prometheus"]

    os.kill(first["pid"], signal.SIGKILL)
    eventually("the killed lab is told from the other", lambda: _states(data)["lab"] == "dead")
    assert httpx.get(f"{second['prometheus']}/-/ready", trust_env=False).status_code == 200

    down = _lab(data, "down")
    assert (down.returncode, sorted(down.stdout.splitlines())) == (0, ["lab-2: ended", "lab: cleaned up"])
    assert _processes_of(data) == []
    assert _lab(data, "down").stdout == "no lab is there\n"
