"""Indexes for a whole workload: what many statements share is built once, and every write's share is paid.

Greedy by saved time per megabyte, widening an index that is already chosen where that is cheaper than another one
(the idea of Extend: Schlosser, Kossmann, Boissier, "Efficient Scalable Multi-attribute Index Selection", ICDE 2019).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from agent.database.advisor import estimate
from agent.database.advisor.advise import Advice, Prepared, advised, prepare, why_not

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from agent.database.advisor.candidates import Extensions
    from agent.database.advisor.catalog import TableProfile
    from agent.database.advisor.choice import Search
    from agent.database.advisor.definition import Definition
    from agent.database.advisor.trial import Planner

INDEX_WRITE_MS = 0.02
"""What one more index costs a written row: a descent and a dirtied page, on a server whose index fits in memory."""
MIN_SAVED_SHARE = 0.005
"""Of the workload's time; an index that saves less is not worth having to look after."""
MEGABYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Weighed:
    """A statement of a workload. total_ms is the time it took while it was counted."""

    id: str
    sql: str
    user: str | None
    calls: int
    total_ms: float


@dataclass(frozen=True, slots=True)
class Built:
    """saved_ms is of the workload's time, by plan costs; write_ms what writes will pay. helps are statement ids."""

    definition: Definition
    bytes: int | None
    validated: bool
    saved_ms: float
    write_ms: float
    helps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WorkloadAdvice:
    """total_ms before, and after_ms as the plan costs promise. without: why a statement gets nothing, by its id."""

    indexes: tuple[Built, ...]
    total_ms: float
    after_ms: float
    without: tuple[tuple[str, str], ...]
    profiles: Mapping[tuple[str, str], TableProfile]


@dataclass(slots=True)
class _Member:
    """One statement with what is worth trying for it."""

    weighed: Weighed
    prepared: Prepared
    options: frozenset[Definition]
    estimated: Mapping[Definition, float]
    search: Search
    costs: dict[frozenset[Definition], float] = field(default_factory=dict)

    @property
    def ms_per_cost(self) -> float:
        return self.weighed.total_ms / max(self.prepared.base.cost, 0.01)

    def cost(self, config: Iterable[Definition]) -> float:
        wanted = frozenset(config) & self.options
        if wanted not in self.costs:
            self.costs[wanted] = self._planned(wanted)
        return self.costs[wanted]

    def _planned(self, wanted: frozenset[Definition]) -> float:
        base = self.prepared.base.cost
        real = [one for one in wanted if one not in self.estimated]
        trial = self.search.trial(real)
        cost = trial.cost if trial is not None else base
        return min([cost, *(self.estimated[one] for one in wanted if one in self.estimated)])


def advise_workload(
    workload: Sequence[Weighed],
    planner: Planner,
    *,
    extensions: Extensions,
    budget_bytes: int | None = None,
    progress: Callable[[int], None] = lambda _done: None,
) -> WorkloadAdvice:
    """What to build for all of it. progress is called with how many statements were looked at."""
    members: list[_Member] = []
    without: list[tuple[str, str]] = []
    profiles: dict[tuple[str, str], TableProfile] = {}
    for done, weighed in enumerate(workload, 1):
        found = _member(weighed, planner, extensions)
        if isinstance(found, _Member):
            members.append(found)
            profiles |= found.prepared.profiles
        else:
            without.append((weighed.id, found))
        progress(done)
    _share_options(members)
    plan = _Plan(members, profiles, sum(weighed.total_ms for weighed in workload))
    config = plan.greedy(budget_bytes)
    return WorkloadAdvice(
        plan.built(config),
        plan.total_ms,
        plan.total_ms - plan.saved_ms(config),
        tuple(without),
        profiles,
    )


def _member(weighed: Weighed, planner: Planner, extensions: Extensions) -> _Member | str:
    """The statement with its own best indexes, or why there are none."""
    prepared = prepare(weighed.sql, planner, extensions=extensions, user=weighed.user)
    if isinstance(prepared, Advice):
        return prepared.reason
    search, chosen = advised(prepared, planner)
    if not chosen:
        return why_not(prepared, search, None)
    estimated = {one.definition: one.cost_after or 0.0 for one in chosen if not one.validated}
    wider = [one.definition for one in chosen]
    options = [*wider, *(short for one in wider if one not in estimated for short in _narrower(one))]
    return _Member(weighed, prepared, frozenset(options), estimated, search)


def _narrower(definition: Definition) -> list[Definition]:
    """Without the included columns, without the last keys."""
    found: list[Definition] = []
    if definition.include:
        definition = replace(definition, include=())
        found.append(definition)
    while len(definition.keys) > 1:
        definition = replace(definition, keys=definition.keys[:-1])
        found.append(definition)
    return found


def _share_options(members: Sequence[_Member]) -> None:
    """An index wanted by one statement may serve another that begins with one of the same keys."""
    everything = {option for member in members for option in member.options if option not in member.estimated}
    for member in members:
        leading = {(one.schema, one.table, one.keys[0].sql) for one in member.options}
        member.options |= {one for one in everything if (one.schema, one.table, one.keys[0].sql) in leading}


@dataclass(slots=True)
class _Plan:
    members: Sequence[_Member]
    profiles: Mapping[tuple[str, str], TableProfile]
    total_ms: float

    def saved_ms(self, config: Sequence[Definition]) -> float:
        return sum(
            (member.prepared.base.cost - min(member.prepared.base.cost, member.cost(config))) * member.ms_per_cost
            for member in self.members
        )

    def write_ms(self, definition: Definition) -> float:
        """Rows that touch the index, at INDEX_WRITE_MS. A HOT update touches none until a column of it is indexed."""
        table = self.profiles[definition.schema, definition.table]
        touched = table.inserts + table.updates * (1.0 - table.hot_share)
        if definition.named_columns() & (table.updated_columns or frozenset()):
            touched = table.inserts + table.updates
        return touched * INDEX_WRITE_MS

    def size(self, definition: Definition) -> int | None:
        for member in self.members:
            if definition in member.options:
                return member.search.size(definition)
        return estimate.size_bytes(definition, self.profiles[definition.schema, definition.table])

    def greedy(self, budget_bytes: int | None) -> tuple[Definition, ...]:
        config: tuple[Definition, ...] = ()
        options = {option for member in self.members for option in member.options}
        while True:
            best: tuple[float, tuple[Definition, ...]] | None = None
            saved = self.saved_ms(config)
            for option in sorted(options - set(config), key=lambda one: (one.schema, one.table, one.body())):
                widened = tuple(one for one in config if _widens(option, one))
                rest = tuple(one for one in config if one not in widened)
                grown = (*rest, option)
                gain = self._gain(grown, config, saved)
                room = (self.size(option) or 0) - sum(self.size(one) or 0 for one in widened)
                if gain < MIN_SAVED_SHARE * self.total_ms or not self._fits(grown, budget_bytes):
                    continue
                score = gain / max(MEGABYTE, room)
                if best is None or score > best[0]:
                    best = (score, grown)
            if best is None:
                return self._pruned(config)
            config = best[1]

    def _gain(self, grown: Sequence[Definition], config: Sequence[Definition], saved: float) -> float:
        written = sum(self.write_ms(one) for one in grown) - sum(self.write_ms(one) for one in config)
        return self.saved_ms(grown) - saved - written

    def _fits(self, config: Sequence[Definition], budget_bytes: int | None) -> bool:
        return budget_bytes is None or sum(self.size(one) or 0 for one in config) <= budget_bytes

    def _pruned(self, config: tuple[Definition, ...]) -> tuple[Definition, ...]:
        for definition in config:
            rest = tuple(one for one in config if one != definition)
            lost = self.saved_ms(config) - self.saved_ms(rest) - self.write_ms(definition)
            if lost < MIN_SAVED_SHARE * self.total_ms:
                return self._pruned(rest)
        return config

    def built(self, config: Sequence[Definition]) -> tuple[Built, ...]:
        found: list[Built] = []
        for definition in config:
            rest = tuple(one for one in config if one != definition)
            helped = tuple(m.weighed.id for m in self.members if m.cost(config) < 0.95 * m.cost(rest))
            validated = not any(definition in member.estimated for member in self.members)
            saved = self.saved_ms(config) - self.saved_ms(rest)
            found.append(Built(definition, self.size(definition), validated, saved, self.write_ms(definition), helped))
        return tuple(sorted(found, key=lambda one: -one.saved_ms))


def _widens(wide: Definition, narrow: Definition) -> bool:
    """Whether the wide one does all the narrow one does."""
    return (
        (wide.schema, wide.table, wide.method, wide.where) == (narrow.schema, narrow.table, narrow.method, narrow.where)
        and wide.keys[: len(narrow.keys)] == narrow.keys
        and set(narrow.include) <= wide.named_columns()
    )
