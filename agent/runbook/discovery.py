"""Which skills an alert may be for, when no matcher knows it: TF-IDF over character n-grams of what both say.

Characters and not words, since `PgIdleTxn` and "idle in transaction" share no word. What an alert says is counted and
never read: no text of it can do more than look like a skill.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from agent.runbook.match import GENERIC, fits, score

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agent.runbook.skill import Skill

CANDIDATES = 8
"""As many as anybody reads; facts/learning.md puts the same bound on what is shown of a library."""
ALIKE = 0.25
"""Cosine from which on a likeness is more than chance. Judgement, over the seeds' triggers and near misses with their
matchers taken away: below it lie the names that share only a stretch of letters (checkout, checkpoint)."""
CLEAR = 1.25
"""The best must be so many times as alike as the next; two equally alike are none."""
LENGTHS = (3, 4, 5)
MOST_CHARS = 2_000
"""Of an alert; more only repeats itself."""
_QUIET = frozenset({"instance", "pod", "job", "namespace", "container", "node", "endpoint", "runbook_url", "replica"})
"""Labels that say where, not what."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """how "match": its matchers reach their bar, and score is their weight; "alike": cosine between 0 and 1."""

    skill: str
    score: float
    how: str


def candidates(
    skills: Iterable[Skill], labels: Mapping[str, str], annotations: Mapping[str, str], *, has_target: bool
) -> tuple[Candidate, ...]:
    """At most CANDIDATES, those that match before those that are alike, each best first."""
    known = sorted((one for one in skills if one.name != GENERIC), key=lambda one: one.name)
    usable = [one for one in known if has_target or not one.needs_target]
    matching = [Candidate(one.name, score(one, labels), "match") for one in usable if fits(one, labels)]
    said = {one.skill for one in matching}
    alike = [
        Candidate(one.name, round(value, 3), "alike")
        for one, value in zip(known, likeness(known, labels, annotations), strict=True)
        if value > 0 and one in usable and one.name not in said and not _excluded(one, labels)
    ]
    ordered = [sorted(found, key=lambda one: (-one.score, one.skill)) for found in (matching, alike)]
    return tuple((*ordered[0], *ordered[1])[:CANDIDATES])


def discovered(found: tuple[Candidate, ...]) -> str | None:
    """The skill to take, by name: the best match, else one that is clearly alike. None is legal: no skill fits."""
    if not found:
        return None
    best = found[0]
    if best.how == "match":
        return best.skill
    second = found[1].score if len(found) > 1 else 0.0
    return best.skill if best.score >= ALIKE and best.score >= CLEAR * second else None


def likeness(skills: list[Skill], labels: Mapping[str, str], annotations: Mapping[str, str]) -> list[float]:
    """Cosine between the alert and each skill, in the skills' order."""
    documents = [_counted(_says(one)) for one in skills]
    holders = Counter(gram for document in documents for gram in document)
    rarity = {gram: math.log((1 + len(documents)) / (1 + count)) + 1 for gram, count in holders.items()}
    asked = {
        gram: (1 + math.log(n)) * rarity[gram]
        for gram, n in _grams(_alert(labels, annotations)).items()
        if gram in rarity
    }
    return [_cosine(asked, {gram: (1 + math.log(n)) * rarity[gram] for gram, n in one.items()}) for one in documents]


def _cosine(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    product = sum(value * other[gram] for gram, value in one.items() if gram in other)
    size = math.sqrt(sum(value * value for value in one.values()) * sum(value * value for value in other.values()))
    return product / size if size else 0.0


def _says(skill: Skill) -> str:
    titles = " ".join(cause.title for cause in skill.causes.values())
    return f"{skill.name} {skill.name} {skill.description} {titles}"


def _alert(labels: Mapping[str, str], annotations: Mapping[str, str]) -> str:
    told = [labels.get("alertname", ""), labels.get("alertname", "")]
    told += [value for name, value in sorted(labels.items()) if name not in _QUIET and name != "alertname"]
    told += [value for name, value in sorted(annotations.items()) if name not in _QUIET]
    return " ".join(told)[:MOST_CHARS]


def _excluded(skill: Skill, labels: Mapping[str, str]) -> bool:
    return any(one.pattern.fullmatch(labels.get(one.label, "")) for one in skill.excluded)


@lru_cache(maxsize=256)
def _counted(text: str) -> Counter[str]:
    """A skill's text does not change while it is in use."""
    return _grams(text)


def _grams(text: str) -> Counter[str]:
    """Character n-grams of each word, its ends marked. CamelCase counts as words."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text).lower()
    words = (f" {word} " for word in re.findall(r"[a-z0-9]+", parted))
    return Counter(word[at : at + n] for word in words for n in LENGTHS for at in range(len(word) - n + 1))
