from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agent.learning.preregistration import Unregistered, constants, registered, sealed, wording

FOLDER = Path(__file__).resolve().parents[3] / "docs/preregistration"
FILE = FOLDER / "learning.json"


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.json")), ids=lambda file: file.stem)
def test_a_committed_registration_is_what_the_code_measures(file: Path) -> None:
    plan = registered(json.loads(file.read_bytes()))
    assert plan["constants"] == constants()
    assert (plan["rounds"], plan["seeds"], plan["exclusions"]) == (120, [1, 2, 3, 4, 5], "none")


@pytest.mark.parametrize("changes", [{"rounds": 10}, {"exclusions": "the slow ones"}, {"sha256": "0" * 64}])
def test_a_registration_that_was_changed_afterwards_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(Unregistered, match="changed after"):
        registered({**json.loads(FILE.read_bytes()), **changes})


def test_code_that_measures_by_another_weight_is_refused() -> None:
    content = {"constants": {**constants(), "cap_s": 600.0}}
    with pytest.raises(Unregistered, match="another cap_s"):
        registered(sealed(content))


@pytest.mark.parametrize(
    ("low", "gates_hold", "complete", "says"),
    [
        (0.31, True, True, "at least 30 %"),
        (0.29, True, True, "30 % not shown"),
        (0.31, False, True, "30 % not shown"),
        (0.31, True, False, "nothing is claimed"),
    ],
)
def test_thirty_per_cent_is_only_said_when_the_lower_bound_reaches_it(
    low: float, gates_hold: bool, complete: bool, says: str
) -> None:
    assert says in wording(0.4, low, gates_hold=gates_hold, complete=complete)
