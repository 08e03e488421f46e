"""Which skills a run would change in a store, with which texts, and the change itself: all of it or nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.learning.tree import COUNTS, folders_of
from agent.runbook.compose import load
from agent.runbook.files import digest
from connectors.store.skills import SkillVersions, add_version, promote
from lab.learn.journal import UnusableInput

if TYPE_CHECKING:
    from collections.abc import Mapping

    from connectors.store.skills import Version
    from connectors.store.store import Store
    from lab.learn.journal import Journal

Files = dict[str, str]


@dataclass(frozen=True, slots=True)
class Change:
    """before: digest of the text the run began with, None where it had none. files None: the skill is retired."""

    name: str
    before: str | None
    files: Files | None

    @property
    def after(self) -> str | None:
        return None if self.files is None else digest(self.files)


def changes(journal: Journal) -> tuple[Change, ...]:
    """Of the last confirmed candidate, where it differs from what the run began with.

    Counts are not among them: a store has its own, from its own incidents. Empty: nothing is confirmed.
    """
    rows = journal.rows()
    if not rows:
        return ()
    before, after = (_texts(journal.tree(name)) for name in (rows[0]["tree"], journal.state().confirmed))
    return tuple(
        Change(name, digest(before[name]) if name in before else None, after.get(name))
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    )


def deploy(journal: Journal, store: Store, *, person: str, replace: bool = False) -> tuple[str, ...]:
    """Brings the changes into use, in one transaction; the names that changed, empty where all were in use already.

    replace: also where the store's text is neither the one the run began with nor one that it brought into use.
    Raises UnusableInput when there is nothing to deploy or the store would not be usable afterwards; Unreachable.
    """
    wanted = changes(journal)
    if not wanted:
        raise UnusableInput("nothing to deploy: no kept edit is confirmed by a strict test (stanch learn status)")
    in_use = SkillVersions(store).champions()
    if not in_use:
        raise UnusableInput("the store holds no skills yet; start Stanch on it once, then deploy")
    left = [one for one in wanted if _used(in_use, one.name) != one.after]
    if not replace:
        _refuse_foreign(journal, left, in_use)
    _refuse_unusable(left, in_use)
    state = journal.state()
    note = f"learned in {state.rounds} rounds, ledger {state.head[:12]}"
    with store.transaction() as tx:
        for one in left:
            if one.files is not None:
                add_version(tx, one.name, one.files, _used(in_use, one.name), "learn", note)
            promote(tx, one.name, one.after, person=person, note=note)
    if state.confirmed not in {row["tree"] for row in journal.rows() if row["kind"] == "deploy"}:
        journal.append({"kind": "deploy", "tree": state.confirmed, "skills": [one.name for one in wanted]})
    return tuple(one.name for one in left)


def _used(in_use: Mapping[str, Version], name: str) -> str | None:
    return in_use[name].sha256 if name in in_use else None


def _refuse_foreign(journal: Journal, left: list[Change], in_use: Mapping[str, Version]) -> None:
    """What was measured is the change of one text; on another text nobody knows what it does."""
    deployed = [row["tree"] for row in journal.rows() if row["kind"] == "deploy"]
    earlier = [_texts(journal.tree(tree)) for tree in deployed]
    for one in left:
        ours = {one.before, *(digest(texts[one.name]) for texts in earlier if one.name in texts)}
        used = _used(in_use, one.name)
        if used not in ours:
            found = "none is in use" if used is None else f"version {in_use[one.name].version} is in use"
            raise UnusableInput(
                f"skill {one.name} is not what this run began with: {found}; nothing was changed. "
                "`stanch skills diff` shows it, --replace brings the learned text into use all the same"
            )


def _refuse_unusable(left: list[Change], in_use: Mapping[str, Version]) -> None:
    """A skill that is composed with a changed one may break as well."""
    texts = {name: dict(one.files) for name, one in in_use.items() if one.whole}
    _, before = load(texts)
    for one in left:
        if one.files is None:
            texts.pop(one.name, None)
        else:
            texts[one.name] = one.files
    _, after = load(texts)
    for name, why in after.items():
        if name not in before:
            raise UnusableInput(f"skill {name} would not be usable: {why}; nothing was changed")


def _texts(tree: dict[str, str]) -> dict[str, Files]:
    return folders_of({path: text for path, text in tree.items() if not path.endswith(COUNTS)})
