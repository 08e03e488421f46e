"""An intake with a configuration of its own, on a store shared with others: what source tests start from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agent.machine import Step
from connectors.store.store import jsonb
from service.configuration import Configuration
from service.steps.intake import intake
from service.steps.runner import Runner
from service.steps.triage import triage
from tests.connectors.store.database import AGENT, API
from tests.service.incident_world import SKILLS

if TYPE_CHECKING:
    from agent.incident import Incident
    from connectors.store.store import Store
    from tests.connectors.store.database import Database


@dataclass
class Sources:
    """Bodies go in as the hooks store them; the agent takes them in."""

    database: Database
    configuration: Configuration
    api: Store = field(init=False)
    agent: Runner = field(init=False)

    def __post_init__(self) -> None:
        self.api = self.database.store(API)
        handlers = {
            "intake": intake(self.configuration),
            "triage": triage(self.configuration, SKILLS, None),
        }
        self.agent = Runner(self.database.store(AGENT), SKILLS, handlers, "worker")

    @classmethod
    def of(cls, database: Database, **configuration: Any) -> Sources:
        return cls(database, Configuration.model_validate(configuration))

    def take_in(self, body: bytes, source: str) -> tuple[str, str | None]:
        """State and reason of the inbox row afterwards."""
        with self.api.transaction() as tx:
            row = tx.one("store_inbox", source=source, headers=jsonb({}), body=body)
            assert row is not None
            step = tx.add_step(None, Step("intake", "agent", {"inbox": row["id"]}))
        assert self.agent.run(step)
        ((state, reason),) = self.database.run("SELECT state, reason FROM stanch.inbox WHERE id = %s", (row["id"],))
        return state, reason

    def incidents(self) -> list[int]:
        return [number for (number,) in self.database.run("SELECT id FROM stanch.incident ORDER BY id")]

    def incident(self, number: int) -> Incident:
        with self.api.transaction() as tx:
            found = tx.incident(number)
        assert found is not None
        return found

    def triaged(self, number: int) -> Incident:
        ((step,),) = self.database.run(
            "SELECT id FROM stanch.step WHERE incident_id = %s AND kind = 'triage'", (number,)
        )
        assert self.agent.run(step)
        return self.incident(number)

    def audit(self, number: int | None) -> list[tuple[str, str]]:
        return self.database.run(
            "SELECT action, coalesce(data ->> 'note', '') FROM stanch.audit WHERE incident_id IS NOT DISTINCT FROM %s "
            "ORDER BY id",
            (number,),
        )
