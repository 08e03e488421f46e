"""All skills of one candidate as one value: text by path, `postgres-missing-index/references/diagnosis.yaml` and so on.

A candidate is nothing else, so its digest says everything about how it will decide.
"""

from __future__ import annotations

import copy
import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import yaml

from agent.learning.counts import Counts, with_counts
from agent.runbook.compose import composed
from agent.runbook.files import DIAGNOSIS, LESSONS, REMEDIATION
from agent.runbook.files import SKILL as PROSE
from agent.runbook.files import digest as files_digest
from agent.runbook.skill import Skill, UnusableSkill, read
from agent.runbook.write import serialise
from guardrails.canonical import digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Tree = dict[str, str]

__all__ = ["COUNTS", "DIAGNOSIS", "LESSONS", "PROSE", "REMEDIATION", "Reader", "Tree"]

COUNTS = "evidence/counts.json"


def tree_of(folders: Mapping[str, Mapping[str, str]]) -> Tree:
    """From the files of each skill's folder."""
    return {f"{name}/{path}": text for name, files in sorted(folders.items()) for path, text in sorted(files.items())}


def folders_of(tree: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Files by folder. A path without a folder is refused: UnusableSkill."""
    folders: dict[str, dict[str, str]] = {}
    for path, text in tree.items():
        name, slash, inside = path.partition("/")
        if not slash or not name or not inside:
            raise UnusableSkill(f"{path!r} is not the path of a skill's file")
        folders.setdefault(name, {})[inside] = text
    return folders


def identity(tree: Mapping[str, str]) -> str:
    return digest(dict(tree))


def hash_of(tree: Mapping[str, str], paths: Iterable[str]) -> str:
    """What an edit was made against: the exact texts of the files it changes."""
    return digest({path: tree.get(path) for path in sorted(paths)})


class Reader:
    """Reads skills and keeps what it has read: one edit changes one of many, and YAML is slow."""

    def __init__(self) -> None:
        self._parts: dict[str, Skill] = {}
        self._wholes: dict[tuple[str, ...], Skill] = {}

    def skills(self, tree: Mapping[str, str]) -> dict[str, Skill]:
        """Raises UnusableSkill for the first that cannot be read."""
        folders = folders_of(tree)
        parts = {name: self._part(name, files) for name, files in sorted(folders.items())}
        return {name: self._whole(name, folders, parts) for name in parts}

    def _part(self, name: str, files: Mapping[str, str]) -> Skill:
        key = _key(name, files)
        if key not in self._parts:
            self._parts[key] = read(name, files)
        return self._parts[key]

    def _whole(self, name: str, folders: Mapping[str, Mapping[str, str]], parts: Mapping[str, Skill]) -> Skill:
        """Composed with the others it names, and moved by its counts; the same value for the same texts."""
        among = [name, *(other for other in parts[name].composed_with if other in folders)]
        key = tuple(_key(one, folders[one]) for one in among)
        if key not in self._wholes:
            skill = composed(parts[name], parts)
            counted = folders[name].get(COUNTS)
            self._wholes[key] = skill if counted is None else with_counts(skill, _counts(name, counted))
        return self._wholes[key]


def _key(name: str, files: Mapping[str, str]) -> str:
    return f"{name}:{files_digest(files)}"


def _counts(name: str, text: str) -> Counts:
    try:
        return Counts.from_data(json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError) as wrong:
        raise UnusableSkill(f"skill {name}: {COUNTS}: {wrong}") from wrong


def document(text: str) -> Any:
    """A value of the caller's own. Raises UnusableSkill."""
    return copy.deepcopy(_parsed(text))


@lru_cache(maxsize=256)
def _parsed(text: str) -> Any:
    """One text is looked at many times a round, and YAML is slow."""
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as wrong:
        raise UnusableSkill(f"not YAML: {wrong}") from wrong


def complexity(tree: Mapping[str, str]) -> int:
    """How much there is to understand: values in the engine's files. Counts are evidence, not structure."""
    return sum(
        _leaves(_parsed(text)) for path, text in tree.items() if path.endswith((DIAGNOSIS, REMEDIATION, LESSONS))
    )


def _leaves(value: Any) -> int:
    match value:
        case dict():
            return sum(_leaves(item) for item in value.values())
        case list():
            return sum(_leaves(item) for item in value)
        case None:
            return 0
        case _:
            return 1


def written(path: str, body: Any) -> str:
    """A document as its file's text; the same document always gives the same bytes. Comments are not kept."""
    return serialise(path.partition("/")[2], body)
