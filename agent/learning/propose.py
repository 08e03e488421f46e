"""Proposes edits from the train incidents: pick a kind of mistake, pick an operator for it, read its arguments off what
was answered. No model, no test data, nothing but the arguments; the same seed proposes the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.learning.apply import paths_of
from agent.learning.bandit import EXPLORED, Record
from agent.learning.edits import TIERS, Edit, Prediction, Tier
from agent.learning.failures import Cluster, Kind, Trajectory, clusters
from agent.learning.ideas import IDEAS, Idea, Seen
from agent.learning.tree import Reader, hash_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    import numpy as np


OPERATORS: Mapping[Kind, tuple[str, ...]] = {
    "wrong_route": ("add_cause", "narrow_match", "widen_match", "set_stop"),
    "gap": ("add_cause", "set_stop", "set_support_strength"),
    "missing_check": ("add_check", "add_cause_link", "set_prior"),
    "check_misread": ("set_support_strength", "set_threshold", "add_cause_link", "drop_check", "set_brain_param"),
    "early_stop": ("set_stop", "set_support_strength", "add_cause_link", "set_prior"),
    "gave_up": ("set_stop", "set_support_strength", "add_cause_link", "add_check"),
    "wrong_component": ("set_component", "add_check"),
    "wrong_fix": ("set_remediation_rank", "set_stop", "set_support_strength", "drop_cause"),
    "slow": ("reorder_first", "drop_check", "set_stop", "set_brain_param"),
}
"""What may mend each kind of mistake."""

AT_ONCE = 6
"""Edits a round proposes; the train incidents choose the one that is tested."""


def propose(
    tree: Mapping[str, str],
    trajectories: Sequence[Trajectory],
    record: Record,
    *,
    catalogue: Collection[str],
    round_number: int,
    seed: int,
    rng: np.random.Generator,
    reader: Reader,
    tiers: Collection[Tier] = (Tier.T1,),
) -> tuple[tuple[Edit, str], ...]:
    """At most AT_ONCE distinct edits with the kind of mistake each is for; empty: nothing left to try.

    tiers: without T2 while the queue for review is full.
    """
    seen = Seen(tree, reader.skills(tree), trajectories, catalogue)
    found = clusters(trajectories, seen.skills)
    barred = set(record.barred(round_number))
    edits: list[tuple[Edit, str]] = []
    for cluster in _drawn(found, rng, 4 * AT_ONCE):
        operators = [name for name in OPERATORS[cluster.kind] if TIERS[name] in tiers]
        for operator in record.order(operators, cluster.kind, rng):
            edit = _edit(seen, cluster, operator, barred, seed, rng)
            if edit is not None:
                edits.append((edit, cluster.kind))
                barred.add(edit.fingerprint)
                break
        if len(edits) == AT_ONCE:
            break
    return tuple(edits)


def _drawn(found: Sequence[Cluster], rng: np.random.Generator, times: int) -> Iterator[Cluster]:
    """Clusters by the utility lost in them."""
    if not found:
        return
    weights = [cluster.weight + 1e-6 for cluster in found]
    total = sum(weights)
    for _ in range(times):
        yield found[int(rng.choice(len(found), p=[weight / total for weight in weights]))]


def _edit(
    seen: Seen, cluster: Cluster, operator: str, barred: Collection[str], seed: int, rng: np.random.Generator
) -> Edit | None:
    """One of the best ideas that is not barred; None: the operator has none here."""
    ideas = sorted(IDEAS[operator](seen, cluster), key=lambda idea: (-idea.worth, str(idea.args)))
    made = (_made(seen, cluster, operator, idea, seed) for idea in ideas)
    allowed = [edit for edit in made if edit.fingerprint not in barred][:5]
    if not allowed:
        return None
    first = rng.random() >= EXPLORED and rng.random() < 0.5  # noqa: PLR2004 half of the time the most promising
    return allowed[0 if first else int(rng.integers(len(allowed)))]


def _made(seen: Seen, cluster: Cluster, operator: str, idea: Idea, seed: int) -> Edit:
    skill = idea.skill or cluster.skill
    share = len(cluster.trajectories) / max(len(seen.trajectories), 1)
    return Edit(
        op=operator,
        skill=skill,
        before=hash_of(seen.tree, paths_of(operator, skill, seen.tree)),
        args=idea.args,
        hypothesis=idea.hypothesis,
        predicted=Prediction("utility", (), 1, round(0.3 * share * 0.5, 4)),
        evidence=tuple(one.id for one in cluster.trajectories[:12]),
        proposer="rules",
        seed=seed,
    )
