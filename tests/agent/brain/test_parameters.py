from __future__ import annotations

import pytest

from agent.brain.parameters import DEFAULTS, changed_from_defaults, read_parameters


def test_what_a_skill_leaves_out_keeps_its_default() -> None:
    assert read_parameters(None) == DEFAULTS
    assert read_parameters({"floor": 0.05}).floor == 0.05
    assert changed_from_defaults(read_parameters({"floor": 0.05})) == {"floor": 0.05}


@pytest.mark.parametrize(
    "written",
    [
        {"floor": 0.0},
        {"floor": float("nan")},
        {"side_by_side": 2.5},
        {"temperature": 1.0},
        {"weak": 0.75, "strong": 0.7},
        {"strong": "very"},
    ],
)
def test_numbers_the_brain_cannot_think_with_are_refused(written: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"brain|could not convert"):
        read_parameters(written)
