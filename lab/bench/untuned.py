"""Skills as somebody writes them down on the first day, for a loop to begin with that has everything to learn.

Of the shipped skills stay the causes, the checks, the fixes, the routing and the stop rules. Gone is what tuning and
experience put there: which cause is likelier than another, what speaks against a cause or weakly for it, and what an
answer says of the causes it does not name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from agent.learning.tree import DIAGNOSIS, Tree

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PRIOR = 0.1
SPEAKS_FOR = "strong"
"""The one word that stays: what the check is there to find."""


def untuned(tree: Mapping[str, str]) -> Tree:
    """Every cause as likely as the others; a check speaks for what it is there to find, and rules nothing out."""
    return {path: _untuned(text) if path.endswith(f"/{DIAGNOSIS}") else text for path, text in tree.items()}


def _untuned(text: str) -> str:
    diagnosis: dict[str, Any] = yaml.safe_load(text)
    for cause in diagnosis["causes"].values():
        cause["prior"] = PRIOR
    for check in diagnosis["checks"]:
        supports = {cause: word for cause, word in check.pop("supports", {}).items() if word == SPEAKS_FOR}
        check.pop("otherwise", None)
        if supports:
            check["supports"] = supports
    return str(yaml.safe_dump(diagnosis, sort_keys=False, allow_unicode=True, width=120))


def write_skills(folder: Path, tree: Mapping[str, str]) -> Path:
    """A folder of skills as `stanch learn --skills` takes one."""
    for path, text in tree.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
    return folder
