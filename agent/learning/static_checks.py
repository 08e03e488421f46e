"""What a candidate must be before anybody spends time on measuring it. Cheap, and complete: every problem is named."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.learning.apply import GENERIC
from agent.learning.edits import Edit, Tier
from agent.learning.text_scan import problems
from agent.learning.tree import COUNTS, PROSE, REMEDIATION, Reader, document, folders_of
from agent.replay.case import question
from agent.runbook.skill import NONE_OF_THESE, UnusableSkill

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from agent.runbook.skill import Skill

FILE = re.compile(
    r"[a-z0-9]+(?:-[a-z0-9]+)*/(?:SKILL\.md|(?:references|evals)/[a-z0-9-]+\.(?:yaml|md)|evidence/counts\.json)"
)
"""The only paths a candidate has: nothing of the evaluator, the gate or the policy can be named by one."""

MAX_SKILLS = 64
MAX_CHECKS = 64
MAX_CAUSES = 24
"""Of a whole skill, the parts it is composed of included."""
MAX_PROSE_CHARS = 8000
"""About 2,000 tokens."""
MAX_DESCRIPTION = 1024


@dataclass(frozen=True, slots=True)
class Checked:
    """tier: what the change amounts to, which may be more than its operator says."""

    problems: tuple[str, ...]
    tier: Tier


def check(
    edit: Edit, before: Mapping[str, str], after: Mapping[str, str], *, reader: Reader, catalogue: Collection[str]
) -> Checked:
    """catalogue: questions that can be asked, `database:slow_statement` and so on."""
    if strange := sorted(path for path in after if not FILE.fullmatch(path)):
        return Checked((f"{strange[0]!r:.80} is no file of a skill",), edit.tier)
    try:
        skills = reader.skills(after)
    except UnusableSkill as wrong:
        return Checked((str(wrong),), edit.tier)
    found = [*_library(skills), *_new_problems(before, after, reader.skills(before), skills, catalogue)]
    found += [f"{what} in the edit's text" for what in _scan(edit, before, after)]
    try:
        tier = Tier.T2 if _sensitive(before, after) else edit.tier
    except UnusableSkill as wrong:
        return Checked((*found, str(wrong)), edit.tier)
    return Checked(tuple(found), tier)


def _library(skills: Mapping[str, Skill]) -> Iterator[str]:
    if GENERIC not in skills:
        yield f"{GENERIC} is gone: nothing takes what no other skill fits"
    if len(skills) > MAX_SKILLS:
        yield f"{len(skills)} skills, more than {MAX_SKILLS}"
    seen: dict[Any, str] = {}
    for name, skill in skills.items():
        key = (tuple((m.label, m.pattern.pattern) for m in skill.matchers), frozenset(skill.causes))
        if skill.matchers and key in seen:
            yield f"{name} matches and finds the same as {seen[key]}"
        seen[key] = name


def _new_problems(
    before: Mapping[str, str],
    after: Mapping[str, str],
    old: Mapping[str, Skill],
    new: Mapping[str, Skill],
    catalogue: Collection[str],
) -> Iterator[str]:
    """Of every skill that is another now, also through one it is composed with; what was wrong before is nobody's
    doing here.
    """
    files, former = folders_of(after), folders_of(before)
    for name, skill in new.items():
        if name in old and old[name] == skill and former.get(name) == files[name]:
            continue
        known = set(_one(old[name], former[name], catalogue)) if name in old else set()
        yield from (one for one in _one(skill, files[name], catalogue) if one not in known)


def _one(skill: Skill, files: Mapping[str, str], catalogue: Collection[str]) -> Iterator[str]:
    if len(skill.checks) > MAX_CHECKS or len(skill.causes) > MAX_CAUSES:
        yield f"{skill.name}: {len(skill.checks)} checks and {len(skill.causes)} causes are more than may be"
    if len(files[PROSE]) > MAX_PROSE_CHARS or len(skill.description) > MAX_DESCRIPTION:
        yield f"{skill.name}: its text is longer than may be"
    asked: dict[str, str] = {}
    for one in skill.checks.values():
        if question(one) not in catalogue:
            yield f"{skill.name}: nothing can answer {question(one)!r:.80}"
        if question(one) in asked:
            yield f"{skill.name}: {one.id} asks the same as {asked[question(one)]}"
        asked[question(one)] = one.id
    unrelated = skill.parameters.unrelated
    for cause in skill.causes:
        seen = any(one.yes_given[cause] > unrelated for one in skill.checks.values() if not one.gathers)
        if cause != NONE_OF_THESE and not seen:
            yield f"{skill.name}: no check can find {cause}"


def _scan(edit: Edit, before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """What the edit brings in; what stood there before was there before anybody learnt."""
    texts = [edit.hypothesis, *_texts(edit.args)]
    for path, text in after.items():
        if before.get(path) != text and not path.endswith(COUNTS):
            known = set(before.get(path, "").splitlines())
            texts += [line for line in text.splitlines() if line not in known]
    return sorted({what for text in texts for what in problems(text)})


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for key, item in value.items():
                yield str(key)
                yield from _texts(item)
        case list() | tuple():
            for item in value:
                yield from _texts(item)


def _sensitive(before: Mapping[str, str], after: Mapping[str, str]) -> bool:
    """Whether the change touches what may be done or where it applies, whatever its operator calls itself: another set
    of remediations, or other prose.
    """
    changed = [path for path in sorted({*before, *after}) if before.get(path) != after.get(path)]
    for path in changed:
        if path.endswith(PROSE):
            return True
        if path.endswith(REMEDIATION) and _remediations(before.get(path)) != _remediations(after.get(path)):
            return True
    return False


def _remediations(text: str | None) -> list[str]:
    rows = (document(text) or {}).get("remediations", []) if text else []
    return sorted(repr(sorted(row.items(), key=str)) for row in rows)
