"""The rooms have generic names: whatever else is installed or lies around, ours must be found."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import bootstrap

if TYPE_CHECKING:
    from pathlib import Path

ROOMS = ("service", "lab", "connectors", "agent", "causal", "guardrails")

# Stands in for .venv/bin/python and says where the rooms would come from, under the launcher's environment.
PROBE = """\
import importlib.util, json, sys
found = {name: importlib.util.find_spec(name) for name in sys.argv[1].split(",")}
print(json.dumps({name: spec and spec.origin for name, spec in found.items()}))
"""


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_resolves_inside_the_tree_under_pytest(room: str) -> None:
    spec = importlib.util.find_spec(room)
    assert spec is not None
    assert spec.origin == str(bootstrap.ROOT / room / "__init__.py")


def test_every_room_resolves_inside_the_tree_when_started_by_the_launcher(tmp_path: Path) -> None:
    tree = tmp_path / "tree with a space"
    (tree / ".venv" / "bin").mkdir(parents=True)
    for room in ROOMS:
        (tree / room).symlink_to(bootstrap.ROOT / room)
    bootstrap.write_launcher(tree / ".venv" / "bin" / "stanch")
    (tree / "probe.py").write_text(PROBE, encoding="utf-8")
    python = tree / ".venv" / "bin" / "python"
    # As `python -m service.cli` would, this puts the current directory first unless told not to.
    python.write_text(
        f'#!/bin/sh\nexec "{sys.executable}" -c "$(cat "{tree}/probe.py")" "{",".join(ROOMS)}"\n', encoding="utf-8"
    )
    python.chmod(0o755)
    elsewhere = tmp_path / "elsewhere"
    for room in ROOMS:
        (elsewhere / room).mkdir(parents=True)
        (elsewhere / room / "__init__.py").touch()
    link = tmp_path / "stanch"
    link.symlink_to(tree / ".venv" / "bin" / "stanch")

    environment = {**os.environ, "PYTHONPATH": str(elsewhere)}
    answer = subprocess.run([link], check=True, capture_output=True, text=True, cwd=elsewhere, env=environment)

    assert json.loads(answer.stdout) == {room: str(tree / room / "__init__.py") for room in ROOMS}
