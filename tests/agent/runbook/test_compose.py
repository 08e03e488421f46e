from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest

from agent.runbook.compose import composed, load, part
from agent.runbook.files import digest
from agent.runbook.skill import NONE_OF_THESE, UnusableSkill
from tests.agent.examples import DIAGNOSIS, FRONT, REMEDIATION, files

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.runbook.skill import Skill

LOCKS: Mapping[str, Any] = {
    "causes": {
        "row_lock_pile_up": {"title": "Row-lock pile-up", "prior": 0.5, "component": "target"},
        "traffic_surge": {"title": "Somebody else's words", "prior": 0.9},
        NONE_OF_THESE: {"title": "None", "prior": 0.5},
    },
    "first": ["lock_waits"],
    "checks": [
        {"id": "lock_waits", "tool": "database", "cost_s": 0.1, "supports": {"row_lock_pile_up": "strong"},
         "otherwise": "against"},
        {"id": "scans", "tool": "database", "cost_s": 9.0, "supports": {"row_lock_pile_up": "weak"}},
    ],
    "stop": {"posterior": 0.9, "margin": 0.1, "min_checks": 1, "max_checks": 2, "min_disconfirming": 0},
}  # fmt: skip
CANCEL = {"remediations": [{"id": "cancel", "cause": "row_lock_pile_up", "action": "cancel_backend",
                            "params_from": "lock_waits", "rollback": "never"},
                           {"id": "theirs", "cause": "traffic_surge", "action": "cancel_backend",
                            "params_from": "lock_waits", "rollback": "never"}]}  # fmt: skip


def texts(own: Mapping[str, Any], theirs: Mapping[str, Any] = LOCKS) -> dict[str, dict[str, str]]:
    return {
        "slow-shop": files(diagnosis=own),
        "locks": files(FRONT.replace("slow-shop", "locks"), theirs, CANCEL),
    }


def specific(**changes: Any) -> dict[str, Any]:
    return {**deepcopy(dict(DIAGNOSIS)), "with": {"locks": 0.5}, **changes}


def whole(**changes: Any) -> Skill:
    skills, problems = load(texts(specific(**changes)))
    assert problems == {}
    return skills["slow-shop"]


def test_the_specific_ones_causes_and_checks_come_first_and_the_others_are_added() -> None:
    skill = whole()
    assert list(skill.causes) == ["missing_index", NONE_OF_THESE, "traffic_surge", "row_lock_pile_up"]
    assert skill.causes["traffic_surge"].title == "Traffic surge"
    assert skill.causes["row_lock_pile_up"].prior == pytest.approx(0.25)
    assert list(skill.checks)[-1] == "lock_waits"
    assert skill.checks["scans"].cost_s == 0.1
    assert (skill.name, skill.first, skill.stop.max_checks) == ("slow-shop", ("sample", "ranking"), 5)
    assert sum(skill.priors().values()) == pytest.approx(1)


def test_about_each_cause_a_check_says_what_the_first_wrote_who_knows_it() -> None:
    skill = whole()
    words = skill.parameters
    assert skill.checks["scans"].yes_given == {
        "missing_index": words.strong,
        "traffic_surge": words.against,
        NONE_OF_THESE: words.unrelated,
        "row_lock_pile_up": words.weak,
    }
    assert skill.checks["lock_waits"].yes_given["missing_index"] == words.against
    assert skill.checks["surge"].yes_given["row_lock_pile_up"] == words.unrelated


def test_a_remediation_is_added_for_causes_that_have_none_of_their_own() -> None:
    assert [fix.id for fix in whole().remediations] == ["build-the-index", "cancel", "theirs"]
    own = {"remediations": [{**REMEDIATION["remediations"][0], "id": "mine", "cause": "traffic_surge"}]}
    given = texts(specific())
    given["slow-shop"] = files(diagnosis=specific(), remediation=own)
    assert [fix.id for fix in load(given)[0]["slow-shop"].remediations] == ["mine", "cancel"]


def test_a_skill_is_pinned_to_every_text_it_was_made_from() -> None:
    given = texts(specific())
    assert load(given)[0]["slow-shop"].pins == {name: digest(text) for name, text in given.items()}
    assert load(given)[0]["locks"].pins == {"locks": digest(given["locks"])}


def test_a_check_may_name_a_mechanism_that_only_a_part_declares_and_no_other() -> None:
    rows = deepcopy(list(DIAGNOSIS["checks"]))
    rows[3]["supports"] = {"row_lock_pile_up": "against"}
    skill = whole(checks=rows)
    assert skill.checks["surge"].yes_given["row_lock_pile_up"] == skill.parameters.against
    rows[3]["supports"] = {"the_moon": "against"}
    _, problems = load(texts(specific(checks=rows)))
    assert "'the_moon' is named by check surge" in problems["slow-shop"]


@pytest.mark.parametrize(
    ("own", "theirs", "says"),
    [
        (specific(**{"with": {"nobody": 1}}), LOCKS, "there is no skill 'nobody'"),
        (specific(**{"with": {"slow-shop": 1}}), LOCKS, "cannot be composed with itself"),
        (specific(**{"with": {"locks": 0}}), LOCKS, "weight of locks must be a number above 0"),
        (specific(), {**LOCKS, "checks": "all"}, "there is no skill 'locks'"),
        (
            specific(),
            {**LOCKS, "checks": [LOCKS["checks"][0], {**LOCKS["checks"][1], "query": "another"}]},
            "asks database:scans, and in locks database:another",
        ),
        (specific(first=["nothing"]), LOCKS, "check 'nothing' is named"),
    ],
)
def test_what_does_not_fit_together_is_in_use_nowhere_and_says_why(
    own: dict[str, Any], theirs: dict[str, Any], says: str
) -> None:
    skills, problems = load(texts(own, theirs))
    assert "slow-shop" not in skills
    assert says in problems["slow-shop"]


def test_a_part_alone_is_no_whole_skill() -> None:
    alone = part("slow-shop", files(diagnosis=specific()))
    with pytest.raises(UnusableSkill, match="there is no skill 'locks'"):
        composed(alone, {"slow-shop": alone})
