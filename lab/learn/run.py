"""One run of the loop on the skills that come with the tree, with its two processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.learning.catalogue import CATALOGUE
from agent.learning.gate import CAP_PAIRS
from agent.learning.tree import Reader, Tree, tree_of
from agent.runbook.skill import UnusableSkill
from connectors import runbooks
from lab.learn.journal import Journal, UnusableInput
from lab.learn.loop import WINDOW, Loop, Settings
from lab.learn.processes import evaluator, proposer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agent.learning.alpha import Profile
    from agent.learning.ledger import Row


def seed_tree(folder: Path | None = None) -> Tree:
    """folder: skills to begin with; None: those that come with Stanch. Raises UnusableInput."""
    try:
        texts = runbooks.texts(folder or runbooks.SEED)
    except UnusableSkill as wrong:
        raise UnusableInput(str(wrong)) from wrong
    if not texts:
        raise UnusableInput(f"{folder} holds no skill: a skill is a folder with a SKILL.md")
    return tree_of(texts)


def rows_of(
    folder: Path,
    *,
    rounds: int,
    seed: int,
    recordings: Path | None,
    skills: Path | None = None,
    how: str = "rules",
    profile: Profile = "explore",
    window: int = WINDOW,
    cap: int = CAP_PAIRS,
    processes: int = 1,
) -> Iterator[Row]:
    """Each line of the ledger as it is written. skills: the folder a new run begins with, None: those that come with
    Stanch. window, cap: as in lab.learn.loop.Settings. processes: that play incidents side by side; the lines are the
    same.

    Raises lab.learn.journal.UnusableInput.
    """
    settings = Settings(seed=seed, profile=profile, how=how, window=window, cap=cap)
    with (
        Journal(folder).locked() as journal,
        evaluator(recordings, processes=processes) as judge,
        proposer() as suggest,
    ):
        yield from Loop(journal, judge, suggest, settings, seed_tree(skills), CATALOGUE, Reader()).run(rounds)
