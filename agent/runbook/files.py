"""A skill as the files of its folder: path within it → text. What may be there, and the digest that names the whole."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from agent.runbook.skill import UnusableSkill

if TYPE_CHECKING:
    from collections.abc import Mapping

SKILL, DIAGNOSIS, REMEDIATION, LESSONS, CASES = (
    "SKILL.md",
    "references/diagnosis.yaml",
    "references/remediation.yaml",
    "references/lessons.yaml",
    "evals/cases.yaml",
)
MAX_BYTES = 256 * 1024
"""Of all files together; the largest seed has a tenth of it."""

_PATH = re.compile(r"SKILL\.md|(references|evals)/[a-z0-9][a-z0-9-]{0,62}\.(yaml|md)")
"""One level deep, as the Agent Skills specification advises; nothing that leaves the folder when it is written out."""
_NO_TEXT = re.compile("[\x00\ud800-\udfff]")
"""NUL, which no store of ours keeps, and half characters, which are no UTF-8."""


def digest(files: Mapping[str, str]) -> str:
    """SHA-256 over paths and texts in the order of paths, each with its length before it: no two sets are alike."""
    hashed = hashlib.sha256()
    for path in sorted(files):
        for text in (path, files[path]):
            encoded = text.encode("utf-8", "surrogatepass")
            hashed.update(f"{len(encoded)}:".encode() + encoded)
    return hashed.hexdigest()


def checked(name: str, files: Mapping[str, str]) -> Mapping[str, str]:
    """The files as they are. Raises UnusableSkill for a path, a size or characters that no skill has."""
    for path, text in files.items():
        if not _PATH.fullmatch(path):
            raise UnusableSkill(f"skill {name}: {path[:80]!r} is no file of a skill")
        if _NO_TEXT.search(text):
            raise UnusableSkill(f"skill {name}: {path} is no text")
    if sum(len(text.encode()) for text in files.values()) > MAX_BYTES:
        raise UnusableSkill(f"skill {name}: more than {MAX_BYTES // 1024} KiB of text")
    return files
