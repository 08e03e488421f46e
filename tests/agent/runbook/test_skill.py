from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest

from agent.brain.parameters import DEFAULTS
from agent.runbook.skill import NONE_OF_THESE, UnusableSkill, read
from tests.agent.examples import DIAGNOSIS, FRONT, REMEDIATION, SKILL, files

if TYPE_CHECKING:
    from collections.abc import Callable

Breakage = tuple[str, "Callable[[dict[str, Any]], object]", str]


def checks(diagnosis: dict[str, Any], number: int) -> dict[str, Any]:
    row: dict[str, Any] = diagnosis["checks"][number]
    return row


def test_a_skill_is_read_with_its_defaults() -> None:
    assert (SKILL.name, SKILL.version, SKILL.description) == ("slow-shop", "3", "A shop that is slow.")
    assert SKILL.body == "# The shop is slow"
    assert SKILL.first == ("sample", "ranking")
    assert SKILL.checks["scans"].query == "scans"
    assert SKILL.checks["scans"].needs == ("sample",)
    assert SKILL.checks["scans"].yes_given == {
        "missing_index": DEFAULTS.strong,
        "traffic_surge": DEFAULTS.against,
        NONE_OF_THESE: DEFAULTS.unrelated,
    }
    assert SKILL.causes["traffic_surge"].component == "service"
    assert not SKILL.needs_target
    assert SKILL.match_at_least == 1


def test_priors_are_shares_of_one() -> None:
    assert sum(SKILL.priors().values()) == pytest.approx(1)


def test_a_cause_without_a_remedy_has_none() -> None:
    assert SKILL.remedy("traffic_surge") is None
    remedy = SKILL.remedy("missing_index")
    assert remedy is not None
    assert remedy.roll_back_on_regression


def test_a_skill_without_remediations_is_a_skill() -> None:
    texts = files()
    del texts["references/remediation.yaml"]
    assert read("slow-shop", texts).remediations == ()


@pytest.mark.parametrize(
    ("name", "spoil", "says"),
    [
        ("no causes", lambda d: d.pop("causes"), "causes is missing"),
        ("no checks", lambda d: d.pop("checks"), "checks is missing"),
        ("no stop", lambda d: d.pop("stop"), "stop is missing"),
        ("no first", lambda d: d.pop("first"), "first must name"),
        ("closed world", lambda d: d["causes"].pop(NONE_OF_THESE), NONE_OF_THESE),
        ("cause without prior", lambda d: d["causes"]["missing_index"].pop("prior"), "prior is missing"),
        ("prior of 0", lambda d: d["causes"]["missing_index"].update(prior=0), "prior of missing_index"),
        ("prior of -1", lambda d: d["causes"]["missing_index"].update(prior=-1), "prior of missing_index"),
        ("prior of NaN", lambda d: d["causes"]["missing_index"].update(prior=float("nan")), "prior of missing_index"),
        ("prior a word", lambda d: d["causes"]["missing_index"].update(prior="often"), "often"),
        ("unknown tool", lambda d: checks(d, 0).update(tool="shell"), "tool 'shell'"),
        ("free check", lambda d: checks(d, 0).update(cost_s=0), "cost_s of sample"),
        ("unknown need", lambda d: checks(d, 2).update(needs=["weather"]), "check 'weather'"),
        ("unknown cause", lambda d: checks(d, 2).update(supports={"moon": "strong"}), "cause 'moon'"),
        ("unknown strength", lambda d: checks(d, 2).update(supports={"missing_index": "sure"}), "strength 'sure'"),
        ("no id", lambda d: checks(d, 0).pop("id"), "id is missing"),
        ("twice the same id", lambda d: checks(d, 1).update(id="sample"), "'sample' is declared twice"),
        ("a circle", lambda d: checks(d, 3).update(needs=["surge"]), "checks surge need each other"),
        ("first with a need", lambda d: d.update(first=["scans"]), "'scans' is in first"),
        ("first unknown", lambda d: d.update(first=["weather"]), "check 'weather'"),
        ("first too long", lambda d: d["stop"].update(max_checks=1, min_checks=1), "more than max_checks"),
        ("posterior of 1", lambda d: d["stop"].update(posterior=1), "posterior"),
        ("posterior below half", lambda d: d["stop"].update(posterior=0.4), "posterior"),
        ("never enough checks", lambda d: d["stop"].update(min_checks=6), "min_checks"),
        ("no minimum", lambda d: d["stop"].update(min_checks=0), "min_checks"),
        ("stop a word", lambda d: d["stop"].update(max_checks="many"), "many"),
        ("bad pattern", lambda d: d["match"]["any"][0].update(matches="("), "unterminated|missing"),
        ("no label", lambda d: d["match"]["any"][0].pop("label"), "label is missing"),
        ("checks a word", lambda d: d.update(checks="all"), "skill slow-shop"),
        ("causes a list", lambda d: d.update(causes=["a"]), "skill slow-shop"),
    ],
)
def test_a_broken_diagnosis_is_refused_with_its_place(
    name: str, spoil: Callable[[dict[str, Any]], object], says: str
) -> None:
    broken = deepcopy(dict(DIAGNOSIS))
    spoil(broken)
    with pytest.raises(UnusableSkill, match=says) as refused:
        read("slow-shop", files(diagnosis=broken))
    assert "skill slow-shop: " in str(refused.value), name


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda r: r.update(cause="moon"), "cause 'moon'"),
        (lambda r: r.update(params_from="weather"), "check 'weather'"),
        (lambda r: r.update(params=3), "params is a path"),
        (lambda r: r.update(params={"a": {"check": "weather", "path": "x"}}), "check .weather."),
        (lambda r: r.pop("action"), "action is missing"),
        (lambda r: r.pop("rollback"), "rollback is missing"),
    ],
)
def test_a_broken_remediation_is_refused_with_its_place(spoil: Callable[[dict[str, Any]], object], says: str) -> None:
    broken = deepcopy(dict(REMEDIATION))
    spoil(broken["remediations"][0])
    with pytest.raises(UnusableSkill, match=says):
        read("slow-shop", files(remediation=broken))


@pytest.mark.parametrize(
    ("path", "text", "says"),
    [
        ("SKILL.md", None, "SKILL.md is missing"),
        ("references/diagnosis.yaml", None, "diagnosis.yaml is missing"),
        ("SKILL.md", "# no front matter", "front matter"),
        ("SKILL.md", "", "front matter"),
        ("SKILL.md", "hello\n" + FRONT, "front matter"),
        ("SKILL.md", "---\nname: slow-shop\n", "front matter"),
        ("SKILL.md", FRONT.replace("slow-shop", "other"), "must be the folder's name"),
        ("SKILL.md", FRONT.replace("description", "about"), "description is missing"),
        ("SKILL.md", "---\n- a\n---\n", "skill slow-shop"),
        ("SKILL.md", "---\n---\n", "skill slow-shop"),
        ("references/diagnosis.yaml", "", "skill slow-shop"),
        ("references/diagnosis.yaml", "- a", "skill slow-shop"),
        ("references/diagnosis.yaml", "a: [", "skill slow-shop"),
        ("references/diagnosis.yaml", "!!python/object/apply:os.system [id]", "could not determine a constructor"),
        ("references/diagnosis.yaml", "[" * 3_000, "skill slow-shop"),
        ("references/remediation.yaml", "", "skill slow-shop"),
        ("references/remediation.yaml", "fixes: []", "remediations is missing"),
    ],
)
def test_a_broken_file_is_refused(path: str, text: str | None, says: str) -> None:
    texts = files()
    if text is None:
        del texts[path]
    else:
        texts[path] = text
    with pytest.raises(UnusableSkill, match=says):
        read("slow-shop", texts)


@pytest.mark.parametrize("folder", ["Slow-Shop", "slow_shop", "-slow", "slow shop", "..", ""])
def test_a_folder_that_is_no_skill_name_is_refused(folder: str) -> None:
    texts = files(front=FRONT.replace("slow-shop", f'"{folder}"'))
    with pytest.raises(UnusableSkill, match="lower-case words joined by hyphens"):
        read(folder, texts)
