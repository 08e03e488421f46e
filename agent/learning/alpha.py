"""How much each test of a run may err: a fixed share while exploring, e-LOND where a result is to be relied on."""

from __future__ import annotations

from typing import Literal

Profile = Literal["explore", "strict"]

EXPLORE_ALPHA = 0.05
"""Each keep by itself; the kept set of such a run is provisional until a strict confirmation."""

STRICT_ALPHA = 0.2
"""False discovery rate of a whole strict run: of the edits it keeps, at most a fifth do not help in expectation."""


def level(profile: Profile, test: int, kept: int) -> float:
    """Alpha of the test-th test (from 1), `kept` of the earlier ones having been kept.

    e-LOND, https://arxiv.org/abs/2311.06412: alpha * gamma_t * (kept + 1) with gammas that sum to 1, here 1/(t(t+1)).
    It holds the false discovery rate under any dependence between the tests.
    """
    if test < 1 or kept < 0:
        raise ValueError("tests are counted from 1, keeps from 0")
    if profile == "explore":
        return EXPLORE_ALPHA
    return min(1.0, STRICT_ALPHA * (kept + 1) / (test * (test + 1)))
