"""Plays candidates on incidents of a split and says what came of it: differences, counts a stratum, nothing more.

Train incidents are told in full, since that is what failures are analysed on. Validation gives scores alone. Test and
unseen answer only to the examination that comes after all learning.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

from agent.learning.failures import figure_name
from agent.learning.gate import ALL, Arm, Tally
from agent.learning.tree import Reader, identity
from agent.replay.case import question
from agent.replay.play import Played, play, triaged
from agent.replay.utility import CAP_S, HAND_OVER_S
from agent.runbook.parameters import MissingEvidence, walk
from agent.runbook.skill import UnusableSkill, first_service
from lab.evaluator.retrieval import answered, remembered

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agent.replay.case import Case
    from agent.runbook.skill import Skill

MAX_COUNT = 2000
"""Incidents in one answer."""
SEED_BITS = 52
"""Seeds are whole numbers that JSON keeps exactly."""
CANARIES = 5
CANARY = "canary"
"""A mechanism that exists nowhere: whoever names it has seen the truth."""


class Source(Protocol):
    """Where a split's incidents come from; lab.recordings.generate.Generator is one."""

    @property
    def families(self) -> Sequence[str]: ...

    def case(self, seed: int) -> Case: ...

    def told(self, case: Case, seed: int) -> tuple[str, str]: ...


class Crew(Protocol):
    """Who plays besides this process; lab.evaluator.crew has the real one."""

    def each(self, what: What, arguments: tuple[str, str], wanted: Sequence[int]) -> list[Any]: ...

    def tell(self, what: Literal["load", "forget"], argument: Any) -> None: ...


What = Literal["trajectory", "train_difference", "pair", "row"]
"""What is asked of one incident; everything that is answered is put together from these."""


class Refused(ValueError):
    """The question is not answered, and why."""


@dataclass(frozen=True, slots=True)
class Candidate:
    tree: Mapping[str, str]
    skills: Mapping[str, Skill]


def seeds(split: str, stream: str, first: int, count: int) -> list[int]:
    """Of a stream's incidents first to first + count - 1. Streams are disjoint by their names, splits by theirs."""
    return [
        int.from_bytes(hashlib.sha256(f"{split}|{stream}|{place}".encode()).digest()[:8]) >> (64 - SEED_BITS)
        for place in range(first, first + count)
    ]


@dataclass(slots=True)
class Scores:
    """sources: by split. exam: whether the sealed splits answer. crew: who plays along; None: this process alone.

    A skill does on one incident what it does, so what was played is remembered by skill and seed and not by candidate:
    of two candidates most skills are the same. Fresh incidents come once and are not remembered.
    """

    sources: Mapping[str, Source]
    exam: bool = False
    player: Callable[[Case, Mapping[str, Skill]], Played] = play
    reader: Reader = field(default_factory=Reader)
    candidates: dict[str, Candidate] = field(default_factory=dict)
    crew: Crew | None = None
    _window: str = ""
    _cases: dict[int, Case] = field(default_factory=dict)
    _train: dict[tuple[int, int], tuple[Skill, Played]] = field(default_factory=dict)
    _told: dict[int, dict[str, Any]] = field(default_factory=dict)
    _rows: dict[tuple[int, str, int], tuple[Skill, dict[str, Any]]] = field(default_factory=dict)

    def load(self, tree: Mapping[str, str]) -> str:
        """Identity of the candidate. Raises UnusableSkill."""
        name = identity(tree)
        if name not in self.candidates:
            self.candidates[name] = Candidate(dict(tree), self.reader.skills(tree))
            if self.crew is not None:
                self.crew.tell("load", dict(tree))
        return name

    def forget(self, keep: str) -> None:
        """Drops the candidates but this one: a long run would fill the memory."""
        self.candidates = {name: one for name, one in self.candidates.items() if name == keep}
        if self.crew is not None:
            self.crew.tell("forget", keep)

    def one(self, what: What, arguments: tuple[str, str], seed: int) -> Any:
        """What a single incident brings. Raises UnusableSkill, Refused."""
        match what:
            case "trajectory":
                return self._trajectory(*arguments, seed)
            case "train_difference":
                return self._train_difference(*arguments, seed)
            case "pair":
                return self._pair(*arguments, seed)
            case "row":
                return self._row(*arguments, seed)

    def _each(self, what: What, arguments: tuple[str, str], wanted: Sequence[int]) -> list[Any]:
        """In the order of the seeds, whoever plays them."""
        if self.crew is not None:
            return self.crew.each(what, arguments, wanted)
        return [self.one(what, arguments, seed) for seed in wanted]

    # --- Train: everything is told -------------------------------------------------------------------------------

    def trajectories(self, tree: str, stream: str, count: int) -> list[dict[str, Any]]:
        return self._each("trajectory", (tree, stream), seeds("train", stream, 0, _bounded(count)))

    def train_differences(self, parent: str, child: str, wanted: Sequence[int]) -> dict[str, Any]:
        """Utility gained on each train incident, and which ones it decides otherwise or mends or breaks."""
        rows = list(zip(wanted, self._each("train_difference", (parent, child), wanted), strict=True))
        return {
            "differences": [gain for _, (gain, _, _) in rows],
            "changed": [seed for seed, (_, changed, _) in rows if changed],
            "mended": [seed for seed, (_, _, turned) in rows if turned > 0],
            "broken": [seed for seed, (_, _, turned) in rows if turned < 0],
        }

    def _train_difference(self, parent: str, child: str, seed: int) -> tuple[float, bool, int]:
        """(utility gained, whether anything was decided otherwise, 1 mended or -1 broken)."""
        (_, before), (_, after) = self._on_train(parent, seed), self._on_train(child, seed)
        gain = _utility(after) - _utility(before)
        return gain, _decisions(before) != _decisions(after), int(_well(after)) - int(_well(before))

    def _on_train(self, tree: str, seed: int) -> tuple[Case, Played]:
        if seed not in self._cases:
            self._cases[seed] = self._source("train").case(seed)
        case = self._cases[seed]
        skill = triaged(case, self._candidate(tree).skills)
        if (id(skill), seed) not in self._train:
            self._train[id(skill), seed] = (skill, self._play(case, tree))  # with the skill, so that its id stays its
        return case, self._train[id(skill), seed][1]

    def _trajectory(self, tree: str, stream: str, seed: int) -> dict[str, Any]:
        if stream != self._window:
            self._window, self._cases, self._train, self._told = stream, {}, {}, {}
        case, played = self._on_train(tree, seed)
        return {
            **self._as_told(seed),
            "seed": seed,
            "family": case.family,
            "origin": case.service,
            "target": case.target,
            "labels": dict(case.labels),
            "skill": played.skill,
            "asked": played.asked,
            "figures": _figures(case, self._candidate(tree).skills),
            "cause": played.cause,
            "found_component": played.component,
            "right": played.mechanism_right and played.component_right,
            "acted": played.acted,
            "wrong_fix": played.wrong_fix,
            "harm": played.harm,
            "diagnose_s": played.diagnose_s,
            "mitigate_s": played.mitigate_s,
            "mitigated": played.mitigated,
            "utility": _utility(played),
        }

    def _as_told(self, seed: int) -> dict[str, Any]:
        """What every candidate finds alike: asked of a case of its own, since all its answers together are large."""
        if seed not in self._told:
            source = self._source("train")
            case = source.case(seed)
            component, mechanism = source.told(case, seed)
            self._told[seed] = {
                "answers": {
                    asked: (said[0].status, round(said[0].seconds, 4)) for asked, said in case.answers.items() if said
                },
                "component": component,
                "mechanism": mechanism,
                "ranked": _ranked(case),
            }
        return self._told[seed]

    # --- Validation: scores alone --------------------------------------------------------------------------------

    def compare(self, parent: str, child: str, stream: str, first: int, count: int) -> dict[str, Any]:
        """Differences of utility, child minus parent, on fresh incidents of validation, and counts a stratum."""
        wanted = seeds("validation", stream, first, _bounded(count))
        gained: list[float] = []
        tallies: dict[str, Tally] = {}
        for gain, strata, tally in self._each("pair", (parent, child), wanted):
            gained.append(gain)
            for name in (ALL, *strata):
                tallies[name] = tallies.get(name, Tally()).plus(tally)
        return {"differences": gained, "tallies": {name: tally.to_data() for name, tally in sorted(tallies.items())}}

    def _pair(self, parent: str, child: str, seed: int) -> tuple[float, tuple[str, ...], Tally]:
        """An incident that both sides would take with the very same skill is not played: they cannot differ there."""
        case = self._source("validation").case(seed)
        strata = tuple(sorted(case.strata))
        if _same_skill(case, self._candidate(parent).skills, self._candidate(child).skills):
            return 0.0, strata, Tally(n=1)
        old, new = self._play(case, parent), self._play(case, child)
        return round(_utility(new) - _utility(old), 9), strata, Tally(1, 1, _arm(old), _arm(new))

    def canaries(self, tree: str, stream: str) -> dict[str, int]:
        """Incidents whose truth is in none of their answers: how many the candidate names all the same."""
        source = self._source("validation")
        named = 0
        for seed in seeds("validation", f"canary|{stream}", 0, CANARIES):
            case = source.case(seed)
            truth = replace(case.truth, mechanism=f"{CANARY}_{seed}", action=None, restore_s=None, also=())
            named += self._play(replace(case, truth=truth), tree).mechanism_right
        return {"asked": CANARIES, "named": named}

    # --- Test and unseen: the examination -------------------------------------------------------------------------

    def examine(self, tree: str, split: str, stream: str, count: int) -> list[dict[str, Any]]:
        """A row an incident of any split, without what was asked and answered. Only where the seal is off."""
        self._unsealed(split)
        return self._each("row", (tree, split), seeds(split, stream, 0, _bounded(count)))

    def bounds(self, split: str, stream: str, count: int, constant: str) -> list[dict[str, Any]]:
        """What knowing everything and knowing nothing would have made of the same incidents.

        oracle: the cause named and the repair started at once. constant: always the same mechanism in the alerting
        service, at once, and nothing done about it.
        """
        self._unsealed(split)
        source = self._source(split)
        rows = []
        for seed in seeds(split, stream, 0, _bounded(count)):
            case = source.case(seed)
            truth = case.truth
            named = truth.mechanism == constant and truth.component == case.service
            best = HAND_OVER_S if truth.action is None or truth.restore_s is None else min(truth.restore_s, CAP_S)
            rows.append(
                {
                    "family": case.family,
                    "oracle_s": best,
                    "constant_s": HAND_OVER_S if named and truth.action is None else CAP_S,
                    "constant_right": truth.mechanism == constant,
                }
            )
        return rows

    def retrieved(self, split: str, stream: str, count: int, library: int) -> list[dict[str, Any]]:
        """What remembering alone would have made of the same incidents. library: how many of train are remembered."""
        self._unsealed(split)
        source = self._source("train")
        told = []
        for number, seed in enumerate(seeds("train", "library", 0, _bounded(library))):
            case = source.case(seed)
            told.append(remembered(number, case, *source.told(case, seed)))
        asked = self._source(split)
        return [answered(asked.case(seed), told) for seed in seeds(split, stream, 0, _bounded(count))]

    def _row(self, tree: str, split: str, seed: int) -> dict[str, Any]:
        case = self._source(split).case(seed)
        skill = triaged(case, self._candidate(tree).skills)
        if (id(skill), split, seed) not in self._rows:
            self._rows[id(skill), split, seed] = (skill, _row(case, self._play(case, tree)))
        return self._rows[id(skill), split, seed][1]

    # --- Shared ---------------------------------------------------------------------------------------------------

    def _play(self, case: Case, tree: str) -> Played:
        """Raises UnusableSkill when the candidate breaks the player: whatever it is, it cannot be deployed."""
        skills = self._candidate(tree).skills
        try:
            return self.player(case, skills)
        except Exception as wrong:  # a task's edge: whatever a candidate makes the brain raise is the candidate's fault
            raise UnusableSkill(f"playing it failed: {type(wrong).__name__}: {wrong}") from wrong

    def _unsealed(self, split: str) -> None:
        if not self.exam:
            raise Refused(f"{split} is sealed: it is opened by the examination after all learning, not by a loop")

    def _candidate(self, name: str) -> Candidate:
        if name not in self.candidates:
            raise Refused(f"candidate {name[:12]} was not loaded")
        return self.candidates[name]

    def _source(self, split: str) -> Source:
        if split not in self.sources:
            raise Refused(f"there are no incidents of {split!r:.20}")
        return self.sources[split]


def _bounded(count: int) -> int:
    if not 1 <= count <= MAX_COUNT:
        raise Refused(f"between 1 and {MAX_COUNT} incidents are played at once")
    return count


def _utility(played: Played) -> float:
    """Raises Refused for what is no utility: the candidate that brings it is invalid."""
    value = played.utility
    if not (math.isfinite(value) and 0.0 <= value <= 1.0):
        raise UnusableSkill(f"a candidate scored {value!r}, which is no utility in [0, 1]")
    return value


def _same_skill(case: Case, before: Mapping[str, Skill], after: Mapping[str, Skill]) -> bool:
    one, other = triaged(case, before), triaged(case, after)
    return one is other or one == other


def _row(case: Case, played: Played) -> dict[str, Any]:
    return {
        "family": case.family,
        "strata": sorted(case.strata),
        "mechanism_right": played.mechanism_right,
        "component_right": played.component_right,
        "acted": played.acted,
        "wrong_fix": played.wrong_fix,
        "harm": played.harm,
        "abstained": played.abstained,
        "mitigated": played.mitigated,
        "mitigate_s": played.mitigate_s,
        "diagnose_s": played.diagnose_s,
        "asked": len(played.asked),
        "utility": _utility(played),
    }


def _decisions(played: Played) -> tuple[Any, ...]:
    return (played.skill, played.asked, played.cause, played.component, played.action)


def _well(played: Played) -> bool:
    return played.mechanism_right and played.component_right and not played.wrong_fix and not played.harm


def _arm(played: Played) -> Arm:
    return Arm(
        right=int(played.mechanism_right and played.component_right),
        wrong_fixes=int(played.wrong_fix),
        harms=int(played.harm),
        mitigate_s=played.mitigate_s,
        asked=len(played.asked),
    )


def _figures(case: Case, skills: Mapping[str, Skill]) -> dict[str, float]:
    """What the candidate's own thresholds look at."""
    found = {}
    for check in (check for skill in skills.values() for check in skill.checks.values() if check.predicate is not None):
        said = case.answers.get(question(check), ())
        try:
            figure = walk(said[0].data, check.predicate.field, "no figure") if said and check.predicate else None
        except MissingEvidence:
            figure = None
        if isinstance(figure, int | float) and math.isfinite(figure):
            found[figure_name(check)] = float(figure)
    return found


def _ranked(case: Case) -> str | None:
    """The service that the causal ranking put first, where it was asked and answered."""
    for asked, said in sorted(case.answers.items()):
        if asked.startswith("causal:") and said and (services := said[0].data.get("services")):
            return first_service(services, case.target)
    return None
