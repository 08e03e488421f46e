"""What the steps may reach, handed in by wiring."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager
    from datetime import datetime
    from pathlib import Path

    from agent.database.snapshot import NotVisible
    from agent.ports import Metrics, TargetReader, TargetWriter
    from agent.runbook.skill import Skill
    from connectors.store.store import Store
    from guardrails.action import Action
    from guardrails.facts import Facts
    from guardrails.index_action import Connection
    from guardrails.permit import VerifyKeys
    from service.configuration import Configuration


class Writers(Protocol):
    """A target's writer under the role that an action needs; see guardrails.action.connection_of()."""

    def __call__(self, target: str, role: Connection = "fix", /) -> AbstractContextManager[TargetWriter]: ...


@dataclass(frozen=True, slots=True)
class Ports:
    """metrics None: no Prometheus is configured. reader, writer, facts and identity take a target's name and raise
    Unreachable when this process holds no way to it.
    """

    store: Store
    configuration: Configuration
    skills: Mapping[str, Skill]
    metrics: Metrics | None
    data_dir: Path
    public_url: str
    reader: Callable[[str], AbstractContextManager[TargetReader]]
    writer: Writers
    facts: Callable[[str, Action, datetime, int], tuple[Facts, tuple[NotVisible, ...]]]
    identity: Callable[[str], dict[str, Any]]
    verify_keys: VerifyKeys
