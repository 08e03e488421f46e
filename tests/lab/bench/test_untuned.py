from __future__ import annotations

import pytest
import yaml

from agent.learning.tree import Reader
from lab.bench.untuned import untuned
from lab.learn.run import seed_tree

SHIPPED = seed_tree()
UNTUNED = untuned(SHIPPED)
DIAGNOSES = sorted(path for path in SHIPPED if path.endswith("/diagnosis.yaml"))


@pytest.mark.parametrize("path", DIAGNOSES)
def test_what_tuning_put_into_a_skill_is_gone_and_the_rest_stays(path: str) -> None:
    before, after = yaml.safe_load(SHIPPED[path]), yaml.safe_load(UNTUNED[path])

    assert len({cause["prior"] for cause in after["causes"].values()}) == 1
    assert {word for check in after["checks"] for word in check.get("supports", {}).values()} <= {"strong"}
    assert not any("otherwise" in check for check in after["checks"])
    for kept in ("match", "with", "first", "stop"):
        assert after.get(kept) == before.get(kept)
    assert list(after["causes"]) == list(before["causes"])
    for one, other in zip(before["checks"], after["checks"], strict=True):
        tuned = {"supports", "otherwise"}
        assert {name: value for name, value in one.items() if name not in tuned} == {
            name: value for name, value in other.items() if name not in tuned
        }


def test_only_diagnoses_are_touched_and_the_skills_are_still_whole() -> None:
    assert {path for path in SHIPPED if SHIPPED[path] != UNTUNED[path]} == set(DIAGNOSES)
    assert set(Reader().skills(UNTUNED)) == set(Reader().skills(SHIPPED))
