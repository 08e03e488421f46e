"""What an outcome is worth: one number a gate can compare. Frozen: a round that changes a weight measures nothing."""

from __future__ import annotations

CAP_S = 1200.0
"""Time to mitigate of what was not mitigated. Twenty minutes: by then somebody else has taken over."""

HAND_OVER_S = 300.0
"""From a right diagnosis to the end of an incident that no action of ours may end: a human who is told the mechanism
and the component still has to roll back a deploy or find the other team. A constant, so that naming the cause sooner
counts and nothing else about the human does. Judgement, not measurement."""

WEIGHT_TIME = 0.45
WEIGHT_CAUSE = 0.30
WEIGHT_NO_WRONG_FIX = 0.15
WEIGHT_CALIBRATION = 0.10
COST_OF_HARM = 1.0


def utility(*, mitigate_s: float, cause_right: bool, wrong_fix: bool, calibration: float, harm: bool) -> float:
    """In [0, 1]. cause_right: mechanism and component. calibration: one minus the squared error of the belief in the
    leading cause. Harm takes all of it away.
    """
    value = (
        WEIGHT_TIME * (1 - min(mitigate_s, CAP_S) / CAP_S)
        + WEIGHT_CAUSE * cause_right
        + WEIGHT_NO_WRONG_FIX * (not wrong_fix)
        + WEIGHT_CALIBRATION * calibration
        - COST_OF_HARM * harm
    )
    return min(1.0, max(0.0, value))
