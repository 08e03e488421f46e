"""Which skills a run would change in a store, and with which texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.learning.tree import COUNTS, folders_of

if TYPE_CHECKING:
    from lab.learn.journal import Journal


def changed_skills(journal: Journal) -> dict[str, dict[str, str]]:
    """Files by skill, of the last confirmed candidate, where they differ from what the run began with.

    Counts are not among them: a store has its own, from its own incidents. Empty: nothing is confirmed.
    """
    rows = journal.rows()
    if not rows:
        return {}
    before, after = (_texts(journal.tree(name)) for name in (rows[0]["tree"], journal.state().confirmed))
    return {name: files for name, files in after.items() if files != before.get(name)}


def _texts(tree: dict[str, str]) -> dict[str, dict[str, str]]:
    return folders_of({path: text for path, text in tree.items() if not path.endswith(COUNTS)})
