"""The proposer's process: what it may not do, tried from inside."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from agent.learning.catalogue import CATALOGUE
from lab.learn.journal import UnusableInput
from lab.learn.processes import Asked, proposer
from tests.lab.learn.world import scores, tree

ROOT = Path(__file__).resolve().parents[3]
RECORDINGS = "lab/recordings/data/manifest.json"

TRIES = {
    "read a recording": f"open({RECORDINGS!r})",
    "read it lower down": f"os.open({RECORDINGS!r}, os.O_RDONLY)",
    "list the folder": "os.listdir('lab/recordings')",
    "look for it": "list(pathlib.Path('lab').glob('**/*.gz'))",
    "load the generator": "importlib.import_module('lab.recordings.generate')",
    "start a process": "subprocess.run(['cat', '/etc/hostname'])",
    "start a shell": "os.system('true')",
    "fork": "os.fork()",
    "reach the network": "socket.create_connection(('127.0.0.1', 9))",
    "call the C library": "ctypes.CDLL(None)",
    "open the door again": "resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100)) or open('/dev/null')",
}


@pytest.mark.parametrize("attempt", TRIES.values(), ids=TRIES.keys())
def test_a_confined_process_cannot(attempt: str) -> None:
    program = (
        "import ctypes, importlib, os, pathlib, resource, socket, subprocess, sys\n"
        "from lab.learn.confinement import Confined, confine\n"
        "confine()\n"
        f"try:\n    {attempt}\nexcept (Confined, OSError, ValueError) as refused:\n    sys.exit(7)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=False, timeout=60)
    assert done.returncode == 7, done.stderr.decode()


def test_the_proposer_proposes_from_what_it_is_sent_and_survives_a_bad_line() -> None:
    judge = scores()
    told = judge.trajectories(judge.load(tree()), "s", 40)
    request = {
        "tree": tree(), "trajectories": told, "record": {}, "catalogue": list(CATALOGUE), "round": 1, "seed": 1,
        "how": "rules", "tiers": ["T1"],
    }  # fmt: skip
    with proposer() as ask:
        with pytest.raises(UnusableInput, match="KeyError"):
            ask({})
        first = ask(request)
        assert {kind for _, kind in first["edits"]} <= {name.split(":")[0] for name in first["failures"]}
        assert json.dumps(ask(request)) == json.dumps(first)
        assert ask({**request, "how": "random"})["edits"] != first["edits"]


def test_a_process_that_ends_is_said() -> None:
    with Asked("lab.learn.nobody") as ask, pytest.raises(UnusableInput, match="ended"):
        ask({"op": "frozen"})
