"""Versions of skills in the store: all there ever were, which one is in use, and what verified incidents counted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime  # noqa: TC003 - part of a value that others build
from typing import TYPE_CHECKING, Any, Literal

from agent.learning.counts import HALF_LIFE_DAYS, Cell, Counts
from agent.runbook.compose import load
from agent.runbook.files import checked, digest
from agent.runbook.skill import UnusableSkill, read
from connectors.store.store import jsonb

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from connectors.store.store import Row, Store, Transaction

Source = Literal["seed", "learn", "human"]


class UnknownVersion(LookupError):
    """No such skill, or no such version of it; the message says which there are."""


@dataclass(frozen=True, slots=True)
class Version:
    """One text of a skill. sha256: of the file set (agent.runbook.files.digest), which is what everybody names it by.

    version counts from 1 within the name. parent: sha256 of the version it was made from, None for a first one.
    files: path within the folder → text, exactly as stored, which need not be readable.
    """

    name: str
    version: int
    sha256: str
    files: Mapping[str, str]
    parent: str | None
    source: Source
    note: str
    created_at: datetime

    @property
    def whole(self) -> bool:
        """False: the text is not the one that was stored under this digest."""
        return digest(self.files) == self.sha256


@dataclass(frozen=True, slots=True)
class Promotion:
    """When a version came into use, and by whom. sha256 and version None: the skill was retired."""

    name: str
    sha256: str | None
    version: int | None
    person: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Count:
    """What one closed, verified incident says of one check: under this cause it answered so.

    check "fix": status is the incident's outcome. incident: its number; one row an incident, however often it is added.
    origin: the service whose alert it was. sha256: the version that was in use, None where that is not known.
    """

    skill: str
    cause: str
    check: str
    status: str
    incident: int
    origin: str
    sha256: str | None


class SkillVersions:
    """Each method is one transaction and raises Unreachable; those that take one work inside it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    # --- What is in use -----------------------------------------------------------------------------------------

    def champions(self) -> Mapping[str, Version]:
        """The version in use of each skill, by name; retired skills are not there. Empty: nothing was seeded yet."""
        with self._store.transaction() as tx:
            return {row["name"]: _version(row) for row in tx.all("skill_champions")}

    def newest_promotion(self) -> int:
        """Changes whenever any skill is promoted or retired; 0 before the first time."""
        with self._store.transaction() as tx:
            row = tx.one("newest_promotion")
        return int(row["id"] or 0) if row else 0

    def promote(self, name: str, sha256: str | None, *, person: str = "stanch", note: str = "") -> None:
        """From now on this version is in use for new incidents; None retires the skill. Audited.

        Promoting what is in use already changes nothing. Raises UnknownVersion.
        """
        with self._store.transaction() as tx:
            promote(tx, name, sha256, person=person, note=note)

    # --- Versions -----------------------------------------------------------------------------------------------

    def add_version(
        self, name: str, files: Mapping[str, str], parent: str | None, source: Source, note: str
    ) -> Version:
        """Stores a text and returns it with its number; it is not in use before promote(). The same text under the same
        name is the version that is there already. Raises UnusableSkill: what cannot be read is not stored.
        """
        with self._store.transaction() as tx:
            return add_version(tx, name, files, parent, source, note)

    def version(self, name: str, sha256: str) -> Version:
        """Raises UnknownVersion."""
        with self._store.transaction() as tx:
            return _existing(tx, name, sha256)

    def find(self, name: str, ref: str) -> Version:
        """By number, or by the beginning of the sha256. Raises UnknownVersion: there is none, or more than one."""
        found = [one for one in self.history(name) if ref == str(one.version) or one.sha256.startswith(ref)]
        numbered = [one for one in found if ref == str(one.version)]
        if len(numbered or found) == 1:
            return (numbered or found)[0]
        with self._store.transaction() as tx:
            raise _unknown(tx, name, ref)

    def check(self, version: Version) -> None:
        """Whether the version could be in use beside the other champions. Raises UnusableSkill."""
        if not version.whole:
            raise UnusableSkill(f"skill {version.name}: its text is not the one that was stored")
        texts = {name: one.files for name, one in self.champions().items() if one.whole}
        _, before = load(texts)
        _, after = load({**texts, version.name: version.files})
        for name, why in after.items():  # one that is composed with this version may break as well
            if name == version.name or name not in before:
                raise UnusableSkill(why)

    def history(self, name: str) -> tuple[Version, ...]:
        """Every version, oldest first; empty for a name that never was."""
        with self._store.transaction() as tx:
            return tuple(_version(row) for row in tx.all("skill_history", name=name))

    def promotions(self, name: str, *, limit: int = 100) -> tuple[Promotion, ...]:
        """Newest first."""
        with self._store.transaction() as tx:
            return tuple(Promotion(**row) for row in tx.all("skill_promotions", name=name, limit=limit))

    def seed(self, tree: Mapping[str, Mapping[str, str]]) -> tuple[str, ...]:
        """Takes the skills that come with the tree over; the names that changed. tree: files by name.

        A skill of the tree is stored when its text is new. It comes into use when nothing is in use under its name, or
        when what is in use came with an earlier tree: what was learned or written by people stays. A retired skill
        stays retired.
        """
        with self._store.transaction() as tx:
            return tuple(name for name in sorted(tree) if _seeded(tx, name, tree[name]))

    # --- Counts -------------------------------------------------------------------------------------------------

    def add_counts(self, counts: Iterable[Count]) -> int:
        """How many were new: the same skill, cause, check and incident counts once."""
        with self._store.transaction() as tx:
            return sum(add_count(tx, count) for count in counts)

    def evidence(self) -> Mapping[str, Counts]:
        """What verified incidents counted, by skill, the older the less; as the brain takes it."""
        with self._store.transaction() as tx:
            rows = tx.all("skill_evidence", half_life_days=HALF_LIFE_DAYS)
        cells: dict[str, dict[str, dict[str, Cell]]] = {}
        for row in rows:
            check = "" if row["name"] == "fix" else row["name"]
            cell = cells.setdefault(row["skill"], {}).setdefault(row["cause"], {}).get(check, Cell())
            counted = {row["origin"]: row["weight"]}
            said_no = row["outcome"] == "no"
            cells[row["skill"]][row["cause"]][check] = Cell(
                cell.yes if said_no else {**cell.yes, **counted}, {**cell.no, **counted} if said_no else cell.no
            )
        return {skill: Counts(found) for skill, found in cells.items()}

    def counts(self, skill: str | None = None) -> tuple[Count, ...]:
        """Of one skill or of all, in the order in which they came."""
        with self._store.transaction() as tx:
            return tuple(_count(row) for row in tx.all("skill_counted", skill=skill))


def add_version(
    tx: Transaction, name: str, files: Mapping[str, str], parent: str | None, source: Source, note: str
) -> Version:
    """As SkillVersions.add_version, inside a transaction."""
    read(name, checked(name, files))
    sha256 = digest(files)
    tx.one("lock_skill", name=name)
    tx.run(
        "add_skill_version",
        name=name, sha256=sha256, files=jsonb(dict(files)), parent=parent, source=source, note=note,
    )  # fmt: skip
    return _existing(tx, name, sha256)


def promote(tx: Transaction, name: str, sha256: str | None, *, person: str, note: str = "") -> None:
    """As SkillVersions.promote, inside a transaction."""
    tx.one("lock_skill", name=name)
    current = next(iter(tx.all("skill_promotions", name=name, limit=1)), None)
    if sha256 is not None:
        _existing(tx, name, sha256)
    elif current is None:
        raise UnknownVersion(f"there is no skill {name!r}")
    if current is not None and current["sha256"] == sha256:
        return
    tx.run("promote_skill", name=name, sha256=sha256, person=person)
    data = {"skill": name, "sha256": sha256, "before": current["sha256"] if current else None, "note": note}
    tx.audit(None, person, "SkillPromoted" if sha256 else "SkillRetired", data)


def add_count(tx: Transaction, count: Count) -> int:
    """1 when it is new, else 0."""
    return tx.run(
        "count_for_skill",
        skill=count.skill, cause=count.cause, name=count.check, incident=count.incident, outcome=count.status,
        origin=count.origin, sha256=count.sha256,
    )  # fmt: skip


def _seeded(tx: Transaction, name: str, files: Mapping[str, str]) -> bool:
    sha256 = digest(files)
    tx.one("lock_skill", name=name)
    newest = next(iter(tx.all("skill_promotions", name=name, limit=1)), None)
    if newest is not None and newest["sha256"] == sha256:
        return False
    used = None if newest is None or newest["sha256"] is None else _existing(tx, name, newest["sha256"])
    known = tx.one("skill_version", name=name, sha256=sha256) is not None
    replaces = newest is None or (used is not None and used.source == "seed" and not known)
    add_version(tx, name, files, used.sha256 if used else None, "seed", "came with the tree")
    if replaces:
        promote(tx, name, sha256, person="stanch", note="came with the tree")
    return replaces


def _existing(tx: Transaction, name: str, sha256: str) -> Version:
    row = tx.one("skill_version", name=name, sha256=sha256)
    if row is None:
        raise _unknown(tx, name, sha256)
    return _version(row)


def _unknown(tx: Transaction, name: str, ref: str) -> UnknownVersion:
    known = ", ".join(f"{one['version']} ({one['sha256'][:12]})" for one in tx.all("skill_history", name=name))
    return UnknownVersion(f"skill {name} has no version {ref[:12]}; there are: {known or 'none'}")


def _version(row: Row) -> Version:
    return Version(**row)


def _count(row: Row) -> Count:
    values: dict[str, Any] = {name: row[name] for name in ("skill", "cause", "origin", "sha256")}
    return Count(**values, check=row["name"], status=row["outcome"], incident=row["incident_id"])
