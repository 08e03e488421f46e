"""Fills in what only the target knows: the value a setting has now, the statement a session runs now."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from guardrails.server_action import AlterSystemReload, CancelBackend, SetRoleSetting, TerminateBackend
from guardrails.table_action import SetStatisticsTarget, SetTableStorage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from guardrails.action import Action
    from guardrails.canonical import Json
    from guardrails.facts import Facts


def completed(action: Action, given: Mapping[str, Json], facts: Facts) -> Action:
    """The action with `previous` and `query_sha256` as the target shows them, unless given names them itself.

    Raises:
        UnknownAction: the present value is none that the action could set again, so it could not be rolled back.
    """
    match action:
        case SetStatisticsTarget() if "previous" not in given and facts.current is not None:
            return replace(action, previous=int(facts.current))
        case SetTableStorage() | SetRoleSetting() | AlterSystemReload() if "previous" not in given:
            return action if facts.current is None else replace(action, previous=facts.current)
        case CancelBackend() | TerminateBackend() if not action.query_sha256:
            key = (action.pid, datetime.fromisoformat(action.backend_start))
            seen = next((one for one in facts.sessions if (one.pid, one.backend_start) == key), None)
            return action if seen is None else replace(action, query_sha256=seen.query_sha256)
        case _:
            return action
