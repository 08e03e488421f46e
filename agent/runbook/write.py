"""A skill's reference files as text, always the same text for the same content: only what an edit changed differs.

parse and serialise are inverse on what a skill may hold; a comment is no content, but each file opens with one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import yaml

from agent.runbook.files import CASES, DIAGNOSIS, LESSONS, REMEDIATION

if TYPE_CHECKING:
    from collections.abc import Mapping

Shape = Literal["flow", "rows", "named", "blocks", "block"]
"""flow: on one line. rows: a list, an item a line. named: a mapping, an entry a line. blocks: a list of mappings, each
entry a line. block: a mapping whose entries have shapes of their own.
"""

_SHAPES: Mapping[str, Shape] = {
    "match": "block",
    "any": "rows",
    "none": "rows",
    "causes": "named",
    "checks": "blocks",
    "remediations": "blocks",
    "lessons": "blocks",
    "triggers": "rows",
    "near_misses": "rows",
}
_ORDER: Mapping[str, tuple[str, ...]] = {
    DIAGNOSIS: ("match", "with", "causes", "first", "checks", "stop", "brain"),
    REMEDIATION: ("remediations",),
    LESSONS: ("lessons",),
    CASES: ("triggers", "near_misses"),
}
_CHECK = ("id", "tool", "query", "needs", "cost_s", "gathers", "predicate", "supports", "otherwise")
_OPENS: Mapping[str, str] = {
    DIAGNOSIS: "# Read by the engine: agent/runbook/skill.py says what each key means. No SQL stands here.",
    REMEDIATION: "# What may be proposed for a cause: one of the guardrails' actions, its parameters out of evidence.",
    LESSONS: "# Typed lessons from closed, verified incidents.",
    CASES: "# Labels of alerts that this skill is for, and of some that only look like it.",
}


def parse(text: str) -> dict[str, Any]:
    """A reference file's content. Raises ValueError when it is no mapping or no YAML."""
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as wrong:
        raise ValueError(str(wrong)) from wrong
    if not isinstance(content, dict):
        raise ValueError("the file holds no mapping")  # noqa: TRY004 what a file holds is a value to its reader
    return content


def serialise(path: str, content: Mapping[str, Any]) -> str:
    """The canonical text of one of the reference files. Raises ValueError for another path, KeyError for none."""
    if path not in _ORDER:
        raise ValueError(f"{path} is none of {', '.join(_ORDER)}")
    order = _ORDER[path]
    names = [*(name for name in order if name in content), *sorted(set(content) - set(order))]
    # A blank line between parts, where they are long.
    parts = ["\n".join(_lines(name, content[name], 0)) for name in names]
    between = "\n\n" if path == DIAGNOSIS else "\n"
    return f"{_OPENS[path]}\n{between.join(parts) or '{}'}\n"


def canonical(files: Mapping[str, str]) -> dict[str, str]:
    """The same skill, every reference file in canonical text; SKILL.md and others as they are. Raises ValueError."""
    return {path: serialise(path, parse(text)) if path in _ORDER else text for path, text in files.items()}


def _lines(name: str, value: Any, indent: int) -> list[str]:
    shape, head, pad = _SHAPES.get(name, "flow"), f"{' ' * indent}{_flow(name)}:", " " * (indent + 2)
    if shape == "flow" or not value or not isinstance(value, list | dict):
        return [f"{head} {_flow(value)}"]
    match value:
        case dict() if shape == "block":
            return [head, *(line for key, one in value.items() for line in _lines(key, one, indent + 2))]
        case dict() if shape == "named":
            return [head, *(f"{pad}{_flow(key)}: {_flow(one)}" for key, one in value.items())]
        case list() if shape == "rows":
            return [head, *(f"{pad}- {_flow(one)}" for one in value)]
        case list() if shape == "blocks" and all(isinstance(one, dict) and one for one in value):
            return [head, *(line for one in value for line in _item(one, pad))]
    return [f"{head} {_flow(value)}"]


def _item(row: Mapping[str, Any], pad: str) -> list[str]:
    names = [*(name for name in _CHECK if name in row), *(name for name in row if name not in _CHECK)]
    return [f"{pad}{'  ' if number else '- '}{_flow(name)}: {_flow(row[name])}" for number, name in enumerate(names)]


def _flow(value: Any) -> str:
    """On one line, as YAML itself would quote it."""
    try:
        text = _dumped(value, plain=True)
        if yaml.safe_load(text) != [value]:  # a line separator, which YAML would read as a space
            text = _dumped(value, plain=False)
    except (yaml.YAMLError, RecursionError) as wrong:
        raise ValueError(f"no plain value: {wrong}") from wrong
    return text[1:-2]


def _dumped(value: Any, *, plain: bool) -> str:
    text: str = yaml.dump(
        [value], Dumper=_Plain, default_flow_style=True, sort_keys=False, allow_unicode=plain, width=1_000_000
    )
    return text


class _Plain(yaml.SafeDumper):
    """Writes out again what stands there twice."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 PyYAML's interface
        return True
