"""Which kind of edit to try for which kind of mistake: Thompson sampling over how such edits fared before."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy as np

EXPLORED = 0.1
"""Share of choices made without looking at the past."""
TABU_ROUNDS = 20
"""An edit that failed is not tried again for so long on the same parent."""


@dataclass(frozen=True, slots=True)
class Record:
    """kept and failed by "operator|kind"; tabu: fingerprint of a failed edit and the round it failed in."""

    kept: Mapping[str, float] = field(default_factory=dict)
    failed: Mapping[str, float] = field(default_factory=dict)
    tabu: Mapping[str, int] = field(default_factory=dict)

    def after(self, operator: str, kind: str, fingerprint: str, round_number: int, *, kept: bool) -> Record:
        """An edit that did nothing counts as failed: it cost a round. fingerprint "": it may be tried again at once."""
        arm = f"{operator}|{kind}"
        if kept:
            return Record({**self.kept, arm: self.kept.get(arm, 0.0) + 1}, self.failed, {})  # a new parent: try again
        failed = {**self.failed, arm: self.failed.get(arm, 0.0) + 1}
        return Record(self.kept, failed, {**self.tabu, fingerprint: round_number} if fingerprint else self.tabu)

    def dropping(self, fingerprints: Iterable[str], round_number: int) -> Record:
        """Suggestions that never came to a test: not tried again soon, and no mark against their operator."""
        return Record(self.kept, self.failed, {**self.tabu, **dict.fromkeys(filter(None, fingerprints), round_number)})

    def barred(self, round_number: int) -> frozenset[str]:
        return frozenset(name for name, failed in self.tabu.items() if round_number - failed <= TABU_ROUNDS)

    def order(self, operators: Sequence[str], kind: str, rng: np.random.Generator) -> list[str]:
        """The operators to try, the most promising first, as drawn."""
        if rng.random() < EXPLORED:
            return [operators[place] for place in rng.permutation(len(operators))]
        drawn = {
            name: rng.beta(1 + self.kept.get(f"{name}|{kind}", 0.0), 1 + self.failed.get(f"{name}|{kind}", 0.0))
            for name in operators
        }
        return sorted(operators, key=lambda name: (-drawn[name], name))
