from __future__ import annotations

import re
from pathlib import Path

import pytest

from guardrails.action import MEMBERS
from guardrails.judge import RISK_IN_PRODUCTION
from guardrails.policy import Policy
from guardrails.rules.registry import RULES
from guardrails.sql.lock import MODES, UNKNOWN_RELATIONS
from guardrails.sql.locks import read
from guardrails.sql.parse import one_statement

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "guardrails.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `([^`]+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \| 1\d[^|]*\|", PAGE, re.MULTILINE)
SHORT = {spelling: "".join(re.findall("[A-Z]", spelling))[:-1] for spelling in MODES}
SHORT["AccessExclusiveLock"] = "AEL"


@pytest.mark.parametrize(("statement", "named", "others", "rewrites"), ROWS)
def test_the_lock_table_says_what_the_judge_answers(statement: str, named: str, others: str, rewrites: str) -> None:
    answer = read(one_statement(statement))
    locks = {lock.relation: SHORT[lock.mode] for lock in answer.taken()}
    bound = locks.pop(UNKNOWN_RELATIONS, "none")
    assert named.strip() == (", ".join(f"{relation} {mode}" for relation, mode in locks.items()) or "none")
    assert others.strip() == bound
    own = [relation for relation in answer.rewrites if relation != UNKNOWN_RELATIONS]
    assert rewrites.strip() == (", ".join(own) or ("others" if answer.rewrites else "none"))


def test_the_lock_table_is_there() -> None:
    assert len(ROWS) > 80


def test_every_action_is_listed_with_its_lock_and_risk() -> None:
    for member in MEMBERS:
        found = re.search(rf"\| `{member.kind}` \| (\w+) \| (\w+) \| [^|]+ \| (\w+) \|", PAGE)
        assert found is not None, member.kind
        assert found.groups() == (member.connection, member.strongest.spelling, RISK_IN_PRODUCTION[member.kind])


def test_every_rule_is_linked() -> None:
    assert all(f"(rules/{rule.name}.md) ({rule.level})" in PAGE for rule in RULES)


def test_the_policy_example_is_one_stanch_would_start_with() -> None:
    import yaml  # noqa: PLC0415 the page is YAML, the room is not

    example = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert example is not None
    policy = Policy.from_mapping(yaml.safe_load(example[1]))
    assert policy.may_approve("bob", "shop")
    assert policy.freezes
