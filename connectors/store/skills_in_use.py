"""The skills in use, out of the store, moved by what verified incidents counted: `ports.skills`.

Fails closed: a champion that cannot be read, or is not the text that was stored, is in use nowhere, and neither is a
skill that is composed with it. problems says why, for whoever tells a human. Only the generic skill, which proposes
nothing, is replaced by the one that came with the tree.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, ItemsView, Iterator, Mapping, ValuesView
from dataclasses import dataclass, field, replace

import structlog

from agent.learning.counts import Counts, with_counts
from agent.runbook.compose import composed, load, part
from agent.runbook.match import GENERIC
from agent.runbook.skill import Skill, UnusableSkill
from connectors.store.skills import SkillVersions, UnknownVersion, Version
from connectors.unreachable import Unreachable

log = structlog.get_logger()
REFRESH_S = 2.0
"""How long after a promotion another process may still triage with the text before."""
REREAD_S = 30.0
"""How long a text that somebody changed by hand, without a promotion, stays in use as it was."""


@dataclass(frozen=True, slots=True)
class _Loaded:
    at: float
    read_at: float
    promotion: int
    stored: Mapping[str, Version]
    written: Mapping[str, Skill]
    skills: Mapping[str, Skill]
    evidence: Mapping[str, Counts]
    problems: Mapping[str, str]


@dataclass
class SkillsInUse(Mapping[str, Skill]):
    """Every skill in use by name. Raises Unreachable at use while nothing could be loaded yet; later the last answer
    holds. tree: what came with the tree. seeds: whether this process may store it; where it may not and nothing is
    stored, the tree is in use as it is.
    """

    versions: SkillVersions
    tree: Mapping[str, Mapping[str, str]]
    seeds: bool = True
    clock: Callable[[], float] = time.monotonic
    _loaded: _Loaded | None = None
    _pinned: dict[tuple[str, tuple[tuple[str, str], ...]], Skill | None] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __getitem__(self, name: str) -> Skill:
        return self._now().skills[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._now().skills)

    def __len__(self) -> int:
        return len(self._now().skills)

    def values(self) -> ValuesView[Skill]:
        """All of one moment: a promotion in between changes nothing for who is looking through them."""
        return self._now().skills.values()

    def items(self) -> ItemsView[str, Skill]:
        """As values()."""
        return self._now().skills.items()

    @property
    def problems(self) -> Mapping[str, str]:
        """Why a skill is not in use, by its name."""
        return self._now().problems

    def pinned(self, name: str, pins: Mapping[str, str]) -> Skill | None:
        """As agent.runbook.pinned.Versioned. Raises Unreachable."""
        current = self._now().skills.get(name)
        if current is not None and current.pins == pins:
            return current
        key = (name, tuple(sorted(pins.items())))
        if key not in self._pinned:
            self._pinned[key] = self._older(name, pins)
        older = self._pinned[key]
        return None if older is None else _counted(older, self._now().evidence)

    def _older(self, name: str, pins: Mapping[str, str]) -> Skill | None:
        try:
            found = [self.versions.version(one, sha256) for one, sha256 in pins.items()]
            parts = {one.name: part(one.name, _whole(one).files) for one in found}
            return composed(parts[name], parts)
        except (UnusableSkill, UnknownVersion, KeyError) as error:
            log.warning("a version of a skill that is under way cannot be read", skill=name, error=str(error))
            return None

    def _now(self) -> _Loaded:
        loaded = self._loaded
        if loaded is not None and (self.clock() - loaded.at < REFRESH_S or not self._lock.acquire(blocking=False)):
            return loaded
        if loaded is None:
            self._lock.acquire()
        try:
            self._loaded = self._fresh(self._loaded)
        except Unreachable:
            if self._loaded is None:
                raise
            self._loaded = replace(self._loaded, at=self.clock())
        finally:
            self._lock.release()
        return self._loaded

    def _fresh(self, before: _Loaded | None) -> _Loaded:
        """What is stored now; nothing is read again while nobody promoted anything."""
        if before is None and self.seeds:
            self.versions.seed(self.tree)
        promotion = self.versions.newest_promotion()
        now = self.clock()
        if before is not None and before.promotion == promotion and now - before.read_at < REREAD_S:
            return replace(before, at=now)
        stored = self.versions.champions()
        evidence = self.versions.evidence()
        if before is not None and stored == before.stored:
            skills = {name: _counted(skill, evidence) for name, skill in before.written.items()}
            return replace(before, at=now, read_at=now, promotion=promotion, skills=skills, evidence=evidence)
        broken = {name: why for name, one in stored.items() if (why := _broken(one))}
        texts = {name: one.files for name, one in stored.items() if name not in broken}
        skills, problems = load(texts if stored else self.tree)
        problems = {**problems, **broken}
        for name, why in problems.items():
            log.error("a skill is not in use", skill=name, why=why)
        if GENERIC not in skills and GENERIC in self.tree:
            skills[GENERIC] = replace(part(GENERIC, self.tree[GENERIC]), pins={})
        moved = {name: _counted(skill, evidence) for name, skill in skills.items()}
        return _Loaded(now, now, promotion, stored, skills, moved, evidence, problems)


def _counted(skill: Skill, evidence: Mapping[str, Counts]) -> Skill:
    """The text stays what it is, and so does its pin: only probabilities move."""
    counts = evidence.get(skill.name)
    return skill if counts is None else with_counts(skill, counts)


def _whole(version: Version) -> Version:
    """Raises UnusableSkill."""
    if why := _broken(version):
        raise UnusableSkill(why)
    return version


def _broken(version: Version) -> str:
    return (
        ""
        if version.whole
        else f"skill {version.name}: its text is not the one that was stored as {version.sha256[:12]}"
    )
