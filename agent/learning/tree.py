"""All skills of one candidate as one value: text by path, `postgres-missing-index/references/diagnosis.yaml` and so on.

A candidate is nothing else, so its digest says everything about how it will decide.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import yaml

from agent.learning.counts import Counts, with_counts
from agent.runbook.skill import Skill, UnusableSkill, read
from guardrails.canonical import digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Tree = dict[str, str]

DIAGNOSIS = "references/diagnosis.yaml"
REMEDIATION = "references/remediation.yaml"
LESSONS = "references/lessons.yaml"
PROSE = "SKILL.md"
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
        self._read: dict[str, Skill] = {}

    def skills(self, tree: Mapping[str, str]) -> dict[str, Skill]:
        """Raises UnusableSkill for the first that cannot be read."""
        return {name: self._skill(name, files) for name, files in sorted(folders_of(tree).items())}

    def _skill(self, name: str, files: Mapping[str, str]) -> Skill:
        key = digest({"name": name, "files": dict(files)})
        if key not in self._read:
            skill = read(name, files)
            counted = files.get(COUNTS)
            self._read[key] = skill if counted is None else with_counts(skill, _counts(name, counted))
        return self._read[key]


def _counts(name: str, text: str) -> Counts:
    try:
        return Counts.from_data(json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError) as wrong:
        raise UnusableSkill(f"skill {name}: {COUNTS}: {wrong}") from wrong


def document(text: str) -> Any:
    """Raises UnusableSkill."""
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as wrong:
        raise UnusableSkill(f"not YAML: {wrong}") from wrong


def complexity(tree: Mapping[str, str]) -> int:
    """How much there is to understand: values in the engine's files. Counts are evidence, not structure."""
    return sum(
        _leaves(document(text)) for path, text in tree.items() if path.endswith((DIAGNOSIS, REMEDIATION, LESSONS))
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
    del path
    return str(yaml.safe_dump(body, sort_keys=False, allow_unicode=True, width=118, default_flow_style=None))
