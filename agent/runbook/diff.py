"""What differs between two texts of a skill, as a unified diff."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def unified(before: Mapping[str, str], after: Mapping[str, str], names: tuple[str, str]) -> tuple[str, ...]:
    """Lines without their ends, files in the order of their paths; empty where nothing differs.

    names: what to call the two. A file that only one has is compared with nothing.
    """
    lines: list[str] = []
    for path in sorted({*before, *after}):
        old, new = before.get(path, ""), after.get(path, "")
        if old == new:
            continue
        ends = (
            f"{names[0]}/{path}" if path in before else "/dev/null",
            f"{names[1]}/{path}" if path in after else "/dev/null",
        )
        lines += difflib.unified_diff(old.splitlines(), new.splitlines(), *ends, lineterm="")
        if old.splitlines() == new.splitlines():
            lines.append(f"{path}: only line ends differ")
    return tuple(lines)
