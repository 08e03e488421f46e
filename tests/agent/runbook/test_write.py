from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.runbook.files import CASES, DIAGNOSIS, LESSONS, REMEDIATION
from agent.runbook.write import canonical, parse, serialise
from connectors.runbooks import texts
from tests.agent.examples import files

TEXTS = texts()
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
KEYS = st.sampled_from(
    ["match", "any", "causes", "first", "checks", "stop", "with", "lessons", "remediations", "other"]
)


@given(st.dictionaries(KEYS, PLAIN, max_size=5), st.sampled_from([DIAGNOSIS, REMEDIATION, LESSONS, CASES]))
def test_what_is_written_is_read_again_as_it_was(content: dict[str, Any], path: str) -> None:
    text = serialise(path, content)
    assert parse(text) == content
    assert serialise(path, parse(text)) == text


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_a_seed_is_written_as_it_stands(name: str) -> None:
    assert canonical(TEXTS[name]) == TEXTS[name]


def test_an_edit_changes_its_own_line_and_no_other() -> None:
    before = TEXTS["postgres-locks"][DIAGNOSIS]
    content = parse(before)
    content["causes"]["ddl_lock_queue"]["prior"] = 0.2
    changed = [
        (old, new)
        for old, new in zip(before.splitlines(), serialise(DIAGNOSIS, content).splitlines(), strict=True)
        if old != new
    ]
    assert len(changed) == 1
    assert "prior: 0.2," in changed[0][1]


def test_text_that_was_written_otherwise_becomes_canonical_once() -> None:
    loose = files()
    once = canonical(loose)
    assert once != loose
    assert canonical(once) == once
    assert {path: parse(text) for path, text in once.items() if path != "SKILL.md"} == {
        path: parse(text) for path, text in loose.items() if path != "SKILL.md"
    }


@pytest.mark.parametrize("text", ["[1]", "", "a: [", "&a [*a]", "!!python/name:os.system x"])
def test_what_is_no_mapping_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(text)


def test_only_reference_files_are_written_and_nothing_endless() -> None:
    with pytest.raises(ValueError, match="is none of"):
        serialise("SKILL.md", {})
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ValueError, match="no plain value"):
        serialise(LESSONS, {"lessons": endless})
