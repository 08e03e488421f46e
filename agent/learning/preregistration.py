"""What a measured run commits itself to before it starts: written, hashed and committed before the first round.

A run that measures anything else is told apart: its figures are exploratory and carry no claim.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.learning.alpha import EXPLORE_ALPHA, STRICT_ALPHA
from agent.learning.gate import ACCURACY_MARGIN, CAP_PAIRS
from agent.replay import utility
from guardrails.canonical import UnusableDocument, digest

if TYPE_CHECKING:
    from collections.abc import Mapping

CLAIM = 0.30
"""The reduction that may be claimed, when the lower 95 % bound reaches it."""


class Unregistered(ValueError):
    """The file is not what was registered, or the code measures something else; the message says what."""


def constants() -> dict[str, Any]:
    """What the code measures by, as a registration names it."""
    return {
        "cap_s": utility.CAP_S,
        "hand_over_s": utility.HAND_OVER_S,
        "weights": {
            "time": utility.WEIGHT_TIME,
            "cause": utility.WEIGHT_CAUSE,
            "no_wrong_fix": utility.WEIGHT_NO_WRONG_FIX,
            "calibration": utility.WEIGHT_CALIBRATION,
            "harm": utility.COST_OF_HARM,
        },
        "pairs_a_round": CAP_PAIRS,
        "alpha": {"explore": EXPLORE_ALPHA, "strict": STRICT_ALPHA},
        "accuracy_margin": ACCURACY_MARGIN,
    }


def registered(document: Mapping[str, Any]) -> dict[str, Any]:
    """The registration without its hash. Raises Unregistered."""
    content = {name: value for name, value in document.items() if name != "sha256"}
    try:
        found = digest(content)
    except UnusableDocument as wrong:
        raise Unregistered(f"the registration is no JSON value: {wrong}") from wrong
    if document.get("sha256") != found:
        raise Unregistered("the registration's hash is not that of its content: it was changed after it was made")
    now = constants()
    if changed := sorted(name for name, value in now.items() if content.get("constants", {}).get(name) != value):
        raise Unregistered(f"the code measures by another {', '.join(changed)} than was registered")
    return content


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """The registration with its hash, as it is committed."""
    return {**content, "sha256": digest(dict(content))}


def wording(reduction: float, low: float, *, gates_hold: bool, complete: bool) -> str:
    """What may be said of a reduction of the restricted mean time to mitigate."""
    said = f"{reduction:.1%} (lower 95 % bound {low:.1%}) on simulated incidents"
    if not complete:
        return f"{said}; not the registered run, so nothing is claimed"
    if low >= CLAIM and gates_hold:
        return f"at least 30 %: {said}"
    why = "" if gates_hold else "; accuracy, wrong fixes or harm are worse"
    return f"30 % not shown: {said}{why}"
