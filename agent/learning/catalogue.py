"""Everything a skill may ask: an edit can add a check out of it and nothing else."""

from __future__ import annotations

from agent.database.checks import CHECKS
from agent.metric_checks import CAUSAL_CHECKS, CHANGE_CHECKS, METRIC_CHECKS

CATALOGUE: tuple[str, ...] = tuple(
    sorted(
        {
            *(f"database:{name}" for name in CHECKS),
            *(f"metrics:{name}" for name in METRIC_CHECKS),
            *(f"changes:{name}" for name in CHANGE_CHECKS),
            *(f"causal:{name}" for name in CAUSAL_CHECKS),
        }
    )
)
"""As agent.replay.case.question spells them."""
