"""Picks a statement's indexes: greedily, by how much cheaper the plan gets for the room an index takes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from agent.database.advisor import estimate
from agent.database.advisor.candidates import Move, parts
from agent.database.advisor.existing import serving
from agent.database.snapshot import NotVisible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from agent.database.advisor.catalog import TableProfile
    from agent.database.advisor.definition import Definition
    from agent.database.advisor.demand import Demands
    from agent.database.advisor.trial import Trial

MAX_INDEXES = 3
KEPT_BELOW = 0.8
"""An index stays when it takes at least a fifth off the cost."""
FIRST_BELOW = 0.7
"""The whole advice has to take three tenths off; less is within the planner's error."""
WHOLE_BELOW = 0.1
"""An index that is only read from end to end spares reading the wider table: worth it when that is tenfold."""
SIZE_EXPONENT = 0.5
"""An index of twice the size has to make the plan sqrt(2) times as cheap."""
LATENCY_FLOOR = 100.0
"""Added to every cost before they are compared: below it the round trip counts, not the plan."""
MIN_SAVED = 250.0
"""A further index saves at least this much cost (about a millisecond), and MIN_SAVED_SHARE of what there was."""
MIN_SAVED_SHARE = 0.02
ALWAYS_WORTH = 1000.0
SUPERFLUOUS = 1.05
UNVALIDATED_BELOW = 0.33
_COVERING_PENALTY = 0.5
"""As a logarithm: included columns serve this one statement only, and only as long as vacuum keeps up."""
_UPDATED_COLUMN_PENALTY = 0.7
"""As a logarithm, about a factor of two: each update of such a column stops being a HOT update."""
MAX_ALTERNATIVES = 6
JOINS_FROM = 3
"""From more mentions of tables than this indexes help each other: those of a whole plan are thinned out instead."""
PART_SAVES = 5
"""A partial index serves one constant only, so it has to be this many times smaller."""
_ASKS_BY_TABLES = ((2, 50), (3, 30), (5, 16), (99, 6))


@dataclass(frozen=True, slots=True)
class Chosen:
    """validated: the planner itself said so. cost_before is without this index and with the others of the advice,
    cost_after with all of them.
    """

    definition: Definition
    bytes: int | None
    validated: bool
    cost_before: float
    cost_after: float | None


@dataclass(slots=True)
class Search:
    """One statement's search. ask plans it with some definitions; NotVisible when the server will not have one."""

    base: Trial
    demands: Demands
    profiles: Mapping[tuple[str, str], TableProfile]
    ask: Callable[[Sequence[Definition]], Trial | NotVisible]
    validates: bool
    best_seen: float = 1.0
    _begun: int = 0
    _asked: dict[frozenset[Definition], Trial | None] = field(default_factory=dict)
    _sizes: dict[Definition, int] = field(default_factory=dict)

    def run(self, moves: Sequence[Move], max_bytes: int | None = None) -> tuple[Chosen, ...]:
        if not self.validates:
            return self._estimated(moves, max_bytes)
        btree = [move for move in moves if all(definition.method == "btree" for definition in move.definitions)]
        if self._hopeless(btree):
            btree = []
        config: tuple[Definition, ...] = ()
        if len(self.demands.occurrences) > JOINS_FROM:
            config = self._thrifty(self._pruned(self._eliminated(btree, max_bytes)), btree)
        if not config:
            promising = self._promising(btree)
            config = self._thrifty(self._pruned(self._greedy(promising, max_bytes)), promising)
        chosen = [self._limited(one) for one in self._as_chosen(self._pruned(config))]
        if len(chosen) < MAX_INDEXES:
            chosen += self._gin(moves, chosen, max_bytes)
        return tuple(chosen)

    # -- by what-if

    def trial(self, definitions: Iterable[Definition]) -> Trial | None:
        """The plan with these, asked once; None when the server will not plan it."""
        wanted = frozenset(definition.complete() for definition in definitions)
        if wanted not in self._asked:
            found = self.ask(tuple(sorted(wanted, key=lambda d: (d.table, d.body()))))
            self._asked[wanted] = None if isinstance(found, NotVisible) else found
            if not isinstance(found, NotVisible):
                self._sizes.update(found.bytes)
        return self._asked[wanted]

    def _hopeless(self, moves: Sequence[Move]) -> bool:
        """Whether even all of them together are not worth it."""
        everything = self.trial(definition for move in moves for definition in move.definitions)
        if everything is None or not moves:
            return not moves
        self.best_seen = min(self.best_seen, everything.cost / max(self.base.cost, 0.01))
        return everything.cost > FIRST_BELOW * max(self.base.cost, self.base.cautious_cost)

    @property
    def _asks(self) -> int:
        tables = len(self.demands.occurrences)
        return next(asks for most, asks in _ASKS_BY_TABLES if tables <= most)

    def _promising(self, moves: Sequence[Move]) -> list[Move]:
        """Cut by asking for all at once: what the planner takes then, its kin, and the bundles."""
        everything = self.trial(definition for move in moves for definition in move.definitions)
        if everything is None or not moves:
            return list(moves)
        used = everything.used
        if not used:
            return []
        kin = {(one.schema, one.table, one.keys[0].sql) for one in used}
        tables = {(one.schema, one.table) for one in used}
        first = [move for move in moves if used.intersection(move.definitions) or len(move.definitions) > 1]
        near = [m for m in moves if any((d.schema, d.table, d.keys[0].sql) in kin for d in m.definitions)]
        far = [m for m in moves if any((d.schema, d.table) in tables for d in m.definitions)]
        bundle = [Move(tuple(sorted(used, key=lambda d: d.body())))] if 1 < len(used) <= MAX_INDEXES else []
        return list(dict.fromkeys([*bundle, *first, *near, *far]))

    def _greedy(self, moves: Sequence[Move], max_bytes: int | None) -> tuple[Definition, ...]:
        config: tuple[Definition, ...] = ()
        self._begun = len(self._asked)
        current, left = self.base, list(moves)
        everything = self.trial(definition for move in moves for definition in move.definitions)
        likely = [move for move in moves if everything is not None and everything.used.intersection(move.definitions)]
        while left and len(config) < MAX_INDEXES:
            scored: list[tuple[float, Move, Trial]] = []
            for move in left:
                added = tuple(d for d in move.definitions if d not in config)
                fits = 0 < len(added) <= MAX_INDEXES - len(config)
                if not fits or len(self._asked) - self._begun >= self._asks:
                    continue
                trial = self.trial((*config, *added))
                if trial is None:
                    continue
                self.best_seen = min(self.best_seen, trial.cost / max(self.base.cost, 0.01))
                if self._worth(current, trial, added) and self._fits((*config, *added), max_bytes):
                    scored.append((self._score(current, trial, added), move, trial))
            if not scored:
                break
            _, move, current = max(scored, key=lambda found: found[0])
            config = (*config, *(d for d in move.definitions if d not in config))
            helped = {id(found) for _, found, _ in scored}
            left = [m for m in left if m is not move and (id(m) in helped or m in likely)]
            if current.cautious_cost < MIN_SAVED:
                break
        return config

    def _eliminated(self, moves: Sequence[Move], max_bytes: int | None) -> tuple[Definition, ...]:
        """Those the planner takes when every plain index is there, less the ones that hardly matter."""
        plain = dict.fromkeys(d for move in moves for d in move.definitions if not d.include)
        everything = self.trial(plain)
        config = () if everything is None else tuple(one for one in plain if one in everything.used)
        while config:
            whole = self.trial(config)
            if whole is None:
                return ()
            self.best_seen = min(self.best_seen, whole.cost / max(self.base.cost, 0.01))
            matters = {one: self._matters(one, config, whole) for one in config}
            superfluous = [one for one in config if matters[one] <= SUPERFLUOUS]
            least = min(config, key=lambda one: math.log(matters[one]) - SIZE_EXPONENT * math.log(self._room(one)))
            weakest = min(config, key=lambda one: matters[one])
            if superfluous:
                config = self._without(superfluous, config, whole)
            elif matters[weakest] < 1 / KEPT_BELOW:
                config = tuple(one for one in config if one != weakest)
            elif len(config) > MAX_INDEXES or not self._fits(config, max_bytes):
                config = tuple(one for one in config if one != least)
            else:
                break
        return config

    def _without(
        self, superfluous: Sequence[Definition], config: Sequence[Definition], whole: Trial
    ) -> tuple[Definition, ...]:
        """All of them at once where together they matter as little as alone; else the first."""
        rest = tuple(one for one in config if one not in superfluous)
        together = self.trial(rest) if len(superfluous) > 1 else None
        if together is not None and _ratio(whole, together) <= SUPERFLUOUS:
            return rest
        return tuple(one for one in config if one != superfluous[0])

    def _matters(self, definition: Definition, config: Sequence[Definition], whole: Trial) -> float:
        """How many times dearer the plan is without it; 1 when it saves too little to be noticed."""
        without = self.trial(one for one in config if one != definition)
        if without is None:
            return math.inf
        saved = without.cautious_cost - whole.cautious_cost
        needed = min(ALWAYS_WORTH, max(MIN_SAVED, MIN_SAVED_SHARE * self.base.cost))
        return 1 / _ratio(without, whole) if saved >= needed else 1.0

    def _worth(self, current: Trial, trial: Trial, added: Sequence[Definition]) -> bool:
        if not trial.used.issuperset(added):
            return False
        ratio = _ratio(current, trial)
        needed = min(ALWAYS_WORTH, max(MIN_SAVED, MIN_SAVED_SHARE * self.base.cost))
        if current.cautious_cost - trial.cautious_cost < needed:
            return False
        searched = all(trial.searches(d, self.profiles[d.schema, d.table].rows) for d in added)
        # Every index of a bundle has to earn its place.
        return ratio <= (KEPT_BELOW ** len(added) if searched else WHOLE_BELOW)

    def _score(self, current: Trial, trial: Trial, added: Sequence[Definition]) -> float:
        size = sum(self._room(definition) for definition in added)
        penalty = sum(self._penalty(definition) for definition in added)
        return -math.log(_ratio(current, trial)) - SIZE_EXPONENT * math.log(max(size, estimate.PAGE_BYTES)) - penalty

    def _penalty(self, definition: Definition) -> float:
        updated = self.profiles[definition.schema, definition.table].updated_columns or frozenset()
        loses_hot = _UPDATED_COLUMN_PENALTY if definition.named_columns() & updated else 0.0
        return loses_hot + (_COVERING_PENALTY if definition.include else 0.0)

    def size(self, definition: Definition) -> int | None:
        """HypoPG's estimate or ours, whichever is less: HypoPG knows of no deduplication."""
        profile = self.profiles[definition.schema, definition.table]
        sizes = [estimate.size_bytes(definition, profile, self.demands)]
        if profile.kind != "p":
            sizes.append(self._sizes.get(definition))
        return min((size for size in sizes if size is not None), default=None)

    def _room(self, definition: Definition) -> int:
        """What it takes once it is limited to a rare state, where it will be."""
        whole = self.size(definition) or estimate.PAGE_BYTES
        sizes = [self.size(part) or whole for part in parts(definition, self.demands)]
        return max(estimate.PAGE_BYTES, min([whole, *(size for size in sizes if size * PART_SAVES <= whole)]))

    def _fits(self, config: Sequence[Definition], max_bytes: int | None) -> bool:
        return max_bytes is None or sum(self._room(d) for d in config) <= max_bytes

    def _pruned(self, config: tuple[Definition, ...]) -> tuple[Definition, ...]:
        """Without those that later ones made superfluous; nothing when all of it is not worth having."""
        whole = self.trial(config)
        if not config or whole is None or _ratio(self.base, whole) > FIRST_BELOW:
            return ()
        for definition in config if len(config) > 1 else ():
            rest = tuple(d for d in config if d != definition)
            without = self.trial(rest)
            if without is not None and _ratio(whole, without) <= SUPERFLUOUS:
                return self._pruned(rest)
        return config

    def _thrifty(self, config: tuple[Definition, ...], moves: Sequence[Move]) -> tuple[Definition, ...]:
        """Each one replaced by another of its table where that saves more room than it costs time."""
        for position, definition in enumerate(config):
            best, rest = definition, [one for one in config if one != definition]
            for other in self._instead_of(definition, moves):
                room = SIZE_EXPONENT * math.log(self._room(best) / self._room(other))
                room += self._penalty(best) - self._penalty(other)
                if other in rest or room <= 0:
                    continue
                before, after = self.trial((*rest, best)), self.trial((*rest, other))
                if before is None or after is None or other not in after.used:
                    continue
                if math.log(_ratio(before, after)) < room:
                    best = other
            config = (*config[:position], best, *config[position + 1 :])
        return config

    def _instead_of(self, definition: Definition, moves: Sequence[Move]) -> list[Definition]:
        narrower = [replace(definition, include=())] if definition.include else []
        if len(definition.keys) > 1:
            narrower.append(replace(definition, include=(), keys=definition.keys[:-1]))
        single = [move.definitions[0] for move in moves if len(move.definitions) == 1]
        same = [one for one in single if (one.schema, one.table) == (definition.schema, definition.table)]
        profile = self.profiles[definition.schema, definition.table]
        found = [one for one in dict.fromkeys([*narrower, *same]) if one != definition]
        return [one for one in found if serving(one, profile) is None][:MAX_ALTERNATIVES]

    def _limited(self, chosen: Chosen) -> Chosen:
        """Of a rare state's rows only, where that saves most of the room. The planner has judged the complete index."""
        best = chosen
        for part in parts(chosen.definition, self.demands):
            size = self.size(part)
            if size is not None and size * PART_SAVES <= (best.bytes or 0):
                best = replace(chosen, definition=part, bytes=size)
        return best

    def _as_chosen(self, config: Sequence[Definition]) -> list[Chosen]:
        whole = self.trial(config)
        chosen: list[Chosen] = []
        for definition in config:
            without = self.trial(one for one in config if one != definition)
            if whole is not None and without is not None:
                size = self.size(definition)
                chosen.append(Chosen(definition, size, True, without.cost, whole.cost))
        return chosen

    # -- by estimate

    def _gin(self, moves: Sequence[Move], chosen: Sequence[Chosen], max_bytes: int | None) -> list[Chosen]:
        """HypoPG knows btree only, so these are estimated, over the plan with what was already chosen."""
        plan = self.trial(one.definition for one in chosen) if chosen else self.base
        if plan is None:
            return []
        gin = [move for move in moves if any(definition.method == "gin" for definition in move.definitions)]
        return self._by_estimate(gin, plan, chosen, max_bytes)

    def _estimated(self, moves: Sequence[Move], max_bytes: int | None) -> tuple[Chosen, ...]:
        return tuple(self._by_estimate(moves, self.base, (), max_bytes))

    def _by_estimate(
        self, moves: Sequence[Move], plan: Trial, chosen: Sequence[Chosen], max_bytes: int | None
    ) -> list[Chosen]:
        taken = sum(one.bytes or 0 for one in chosen)
        scored: list[tuple[float, Chosen]] = []
        for move in moves:
            if len(move.definitions) != 1:
                continue
            (definition,) = move.definitions
            profile = self.profiles[definition.schema, definition.table]
            after = estimate.cost(plan.plan, definition, profile, self.demands)
            size = estimate.size_bytes(definition, profile, self.demands)
            if after is None or (max_bytes is not None and taken + (size or 0) > max_bytes):
                continue
            ratio = (after + LATENCY_FLOOR) / (plan.cost + LATENCY_FLOOR)
            self.best_seen = min(self.best_seen, ratio)
            if ratio <= UNVALIDATED_BELOW:
                score = -math.log(ratio) - SIZE_EXPONENT * math.log(max(size or 0, estimate.PAGE_BYTES))
                scored.append((score, Chosen(definition, size, False, plan.cost, after)))
        # Estimates do not add up, so only the best one is given.
        return [max(scored, key=lambda found: found[0])[1]] if scored else []


def _ratio(before: Trial, after: Trial) -> float:
    return (after.cautious_cost + LATENCY_FLOOR) / (before.cautious_cost + LATENCY_FLOOR)
