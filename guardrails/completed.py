"""Fills in what only the target knows: the value a setting has now, the statement a session runs now."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from guardrails.server_action import AlterSystemReload, CancelBackend, SetRoleSetting, TerminateBackend
from guardrails.table_action import SetStatisticsTarget, SetTableStorage

if TYPE_CHECKING:
    from guardrails.action import Action
    from guardrails.facts import Facts


def completed(action: Action, facts: Facts) -> Action:
    """The action with `previous` and `query_sha256` as the target shows them, where it does not name them itself.

    Raises:
        UnknownAction: the present value is none that the action could set again, so it could not be rolled back.
    """
    match action:
        case SetStatisticsTarget(previous=-1) if facts.current is not None:
            return replace(action, previous=int(facts.current))
        case SetTableStorage(previous="") | SetRoleSetting(previous="") | AlterSystemReload(previous=""):
            return action if facts.current is None else replace(action, previous=facts.current)
        case CancelBackend(query_sha256="") | TerminateBackend(query_sha256=""):
            key = (action.pid, datetime.fromisoformat(action.backend_start))
            seen = next((one for one in facts.sessions if (one.pid, one.backend_start) == key), None)
            return action if seen is None else replace(action, query_sha256=seen.query_sha256)
        case _:
            return action
