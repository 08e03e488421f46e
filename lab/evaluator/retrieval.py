"""What an agent would answer that only remembers: the cause that the most similar train incidents had, and their fix.

It looks at the alert, its labels and whether something changed before, as agent.memory.similar compares them, asks no
check and learns no order. It is given more than it would have: it answers at once, and what its action needs to know,
such as a process's number, is taken to be right where the kind of the action is.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from agent.memory.case import PastCase
from agent.memory.similar import Features, recall
from agent.replay.case import HARMLESS
from agent.replay.utility import CAP_S, HAND_OVER_S, utility

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.replay.case import Case

NOW = datetime(2026, 1, 1, tzinfo=UTC)
"""Every remembered incident is of the same day, so that none weighs less by its age."""
CHANGE = "changes:recent_change"
CHANGED = "change"


@dataclass(frozen=True, slots=True)
class Remembered:
    """A train incident as its postmortem tells it. place: `target`, `service` (the alerting one) or a name. action: the
    kind that repaired it, None without one.
    """

    past: PastCase
    place: str
    action: str | None


def remembered(number: int, case: Case, component: str, mechanism: str) -> Remembered:
    """component, mechanism: as told, which now and then is wrong."""
    seen = features(case)
    past = PastCase(
        incident=number,
        postmortem_sha256="0" * 64,
        closed_at=NOW,
        expires=NOW + timedelta(days=1),
        confidence=1.0,
        alertname=seen.alertname,
        service=seen.service,
        labels=seen.labels,
        role=None,
        changes=seen.changes,
        target=case.target,
        environment=None,
        skill=None,
        cause=mechanism,
        title=mechanism,
        confirmed="told",
        outcome=None,
        restore_s=case.truth.restore_s,
        action=case.truth.action,
        effect="helped" if case.truth.action else "none",
        asked=(),
        found_by=(),
    )
    place = {case.service: "service", case.target or "": "target"}.get(component, component)
    return Remembered(past, place, case.truth.action)


def features(case: Case) -> Features:
    changed = case.answers.get(CHANGE, ())
    status = changed[0].status if changed else "not_visible"
    return Features(
        alertname=case.labels.get("alertname", ""),
        service=case.service,
        labels=dict(case.labels),
        role=None,
        changes=(CHANGED,) if status == "yes" else (),
        known_changes=status in {"yes", "no"},
        cause=None,
    )


def answered(case: Case, library: Sequence[Remembered]) -> dict[str, Any]:
    """A row of the examination. library: by incident number, from 0 on."""
    found = recall(features(case), (one.past for one in library), asked=(), now=NOW)
    if not found.hypotheses:
        return _row(case, None, None, None, 0.0)
    first = found.hypotheses[0]
    nearest = library[first.incidents[0]]
    place = {"service": case.service, "target": case.target}.get(nearest.place, nearest.place)
    belief = first.weight / sum(one.weight for one in found.hypotheses)
    return _row(case, first.cause, place, nearest.action if case.target is not None else None, belief)


def _row(case: Case, cause: str | None, component: str | None, action: str | None, belief: float) -> dict[str, Any]:
    """Judged as agent.replay.play judges what was played."""
    truth = case.truth
    mechanism_right = cause in {truth.mechanism, *(mechanism for _, mechanism in truth.also)}
    nowhere = mechanism_right and cause in HARMLESS
    right = nowhere or (component, cause) in {(truth.component, truth.mechanism), *truth.also}
    repairs = action is not None and action == truth.action and truth.restore_s is not None
    repairs = repairs and truth.component == case.target
    harm = action is not None and truth.mechanism in HARMLESS
    mitigate_s = CAP_S
    if repairs and truth.restore_s is not None:
        mitigate_s = min(CAP_S, truth.restore_s)
    elif right and action is None and truth.action is None:
        mitigate_s = HAND_OVER_S
    wrong_fix = action is not None and not repairs
    return {
        "family": case.family,
        "strata": sorted(case.strata),
        "mechanism_right": mechanism_right,
        "component_right": nowhere or component in {truth.component, *(where for where, _ in truth.also)},
        "acted": action is not None,
        "wrong_fix": wrong_fix,
        "harm": harm,
        "abstained": cause is None,
        "mitigated": mitigate_s < CAP_S,
        "mitigate_s": mitigate_s,
        "diagnose_s": None if cause is None else 0.0,
        "asked": 0,
        "utility": utility(
            mitigate_s=mitigate_s,
            cause_right=right,
            wrong_fix=wrong_fix,
            calibration=1 - (belief - mechanism_right) ** 2,
            harm=harm,
        ),
    }
