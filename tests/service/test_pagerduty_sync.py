from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from pydantic import SecretStr

from agent.events import AlertsResolved, StepFailed, Triaged, VerificationSampled
from agent.incident import IncidentState, Mode, Outcome
from connectors.pagerduty.client import Events, PagerDuty
from connectors.pagerduty.memory import Account, limited
from service.pagerduty_sync import PagerDutySync
from tests.service.incident_world import SKILL
from tests.service.sources_world import Sources

if TYPE_CHECKING:
    from tests.connectors.store.database import Database

pytestmark = pytest.mark.integration
DUE = "UPDATE stanch.pagerduty_incident SET next_at = clock_timestamp()"
URL = "https://stanch.example.com"


NUMBERS = itertools.count(1)


class Line:
    """One incident of PagerDuty's, taken in, and the reconciler between the two."""

    def __init__(self, database: Database, *, rest: bool = True) -> None:
        self.database = database
        self.at = 1000.0
        self.account = Account()
        self.id = f"PX{next(NUMBERS)}"
        # What other tests left on this store is none of this one's business.
        database.run("UPDATE stanch.pagerduty_incident SET reconciled_version = 1000000")
        self.theirs = self.account.add(self.id, dedup_key=self.id, created_at=datetime.now(UTC) - timedelta(minutes=5))
        self.sources = Sources.of(
            database, targets={"shop": {"mode": "act", "selector": {"service": "checkout"}}},
            sources={"pagerduty": {"services": {"Checkout": "checkout"}}}, correlation={"window_s": 0},
        )  # fmt: skip
        assert self.hears("incident.triggered") == ("processed", None)
        self.number = self.sources.incidents()[-1]
        self.sync = self.another(rest=rest)

    def another(self, *, rest: bool = True) -> PagerDutySync:
        """As a second process, or one that was started again."""
        transport = self.account.transport()
        one = PagerDuty("https://api.pagerduty.com", SecretStr(self.account.token), self.account.sender,
                        transport=transport, clock=lambda: self.at)  # fmt: skip
        key = SecretStr(self.account.routing_key)
        other = Events("https://events.pagerduty.com", key, transport=transport, clock=lambda: self.at)
        return PagerDutySync(self.sources.api, one if rest else None, other, URL)

    def hears(self, kind: str, **data: Any) -> tuple[str, str | None]:
        return self.sources.take_in(self.account.event(kind, self.id, **data), "pagerduty")

    def turn(self) -> int:
        """Whatever wait was asked for is over."""
        self.at += 10_000
        self.database.run(DUE)
        return self.sync.turn()

    def goes(self, *events: Any) -> None:
        for event in events:
            with self.sources.agent.store.transaction() as tx:
                incident = tx.incident(self.number, lock=True)
                assert incident is not None
                self.sources.agent.apply(tx, incident, event)

    def becomes(self, state: IncidentState, outcome: Outcome | None) -> None:
        """Straight there, as the superuser: the way is other tests' matter."""
        self.database.run("SET session_replication_role = replica")
        self.database.run(
            "UPDATE stanch.incident SET state = %s, outcome = %s, version = version + 1 WHERE id = %s",
            (state, outcome, self.number),
        )
        self.database.run("SET session_replication_role = origin")

    def investigates(self) -> None:
        self.goes(Triaged(SKILL, "shop", Mode.ACT, "checkout"))

    def sent(self) -> list[str]:
        rows = self.database.run(
            "SELECT what FROM stanch.pagerduty_sent WHERE pagerduty_id = %s ORDER BY id", (self.id,)
        )
        return [what for (what,) in rows]


@pytest.fixture
def line(database: Database) -> Line:
    return Line(database)


def test_an_incident_of_theirs_is_one_of_ours_with_its_link(line: Line) -> None:
    incident = line.sources.incident(line.number)
    assert (incident.service, incident.alertname, incident.severity) == ("checkout", "SlowCheckout", "P1")
    assert line.turn() == 1
    assert line.account.writes == []


def test_the_agent_starting_acknowledges_once(line: Line) -> None:
    line.investigates()
    assert line.turn() == 1
    assert line.theirs.status == "acknowledged"
    assert line.turn() == 0
    assert line.account.writes == [("PUT", f"/incidents/{line.id}")]
    assert ("PagerDuty", f"PagerDuty {line.id}: acknowledged") in line.sources.audit(line.number)


def test_what_needs_a_human_calls_one_again_and_says_why(line: Line) -> None:
    line.investigates()
    line.turn()
    line.goes(StepFailed("propose", "the target does not answer"))
    line.turn()
    assert line.theirs.status == "triggered"
    (note,) = line.theirs.notes
    assert "needs a human: propose gave up: the target does not answer" in note
    assert f"{URL}/i/INC-{line.number}" in note
    assert line.sent() == ["acknowledged", "note", "handed back"]


def test_a_human_who_took_it_keeps_it(line: Line) -> None:
    line.investigates()
    line.turn()
    line.theirs.acknowledgers.append("PADA")
    line.goes(StepFailed("propose", "no"))
    line.turn()
    assert line.theirs.status == "acknowledged"
    assert len(line.theirs.notes) == 1


def test_it_is_resolved_only_after_verification(line: Line) -> None:
    line.investigates()
    for state in (IncidentState.AWAITING_APPROVAL, IncidentState.EXECUTING, IncidentState.VERIFYING):
        line.becomes(state, None)
        line.turn()
        assert line.theirs.status == "acknowledged"
    line.goes(VerificationSampled("recovered", "1 before, 0 after", datetime.now(UTC), False))
    line.turn()
    assert line.theirs.status == "resolved"
    assert line.theirs.resolution is not None
    assert "verified on the alert's own expression" in line.theirs.resolution
    assert line.theirs.notes[-1] == line.theirs.resolution


@pytest.mark.parametrize("verdict", ["not_recovered", "inconclusive"])
def test_what_is_not_verified_is_not_resolved(line: Line, verdict: Any) -> None:
    line.investigates()
    line.becomes(IncidentState.VERIFYING, None)
    line.goes(VerificationSampled(verdict, "no change", None, False))
    line.turn()
    assert line.theirs.status == "triggered"
    line.becomes(IncidentState.CLOSED, Outcome(verdict))
    line.turn()
    assert line.theirs.status == "triggered"
    assert f"closed, {verdict.replace('_', ' ')}" in line.theirs.notes[-1]


def test_an_alert_that_ended_by_itself_is_left_to_people(line: Line) -> None:
    line.investigates()
    line.turn()
    line.goes(AlertsResolved())
    line.turn()
    assert line.theirs.status == "acknowledged"
    assert "nothing was verified" in line.theirs.notes[-1]


def test_what_is_resolved_over_there_is_never_reopened(line: Line) -> None:
    line.theirs.status = "resolved"
    line.investigates()
    line.turn()
    line.becomes(IncidentState.NEEDS_HUMAN, None)
    line.turn()
    line.becomes(IncidentState.CLOSED, Outcome.RECOVERED)
    line.turn()
    assert (line.theirs.status, line.theirs.reopened) == ("resolved", 0)


def test_their_resolve_ends_our_incident(line: Line) -> None:
    line.investigates()
    line.theirs.status = "resolved"
    assert line.hears("incident.resolved") == ("processed", None)
    incident = line.sources.incident(line.number)
    assert (incident.state, incident.outcome) == (IncidentState.SELF_RESOLVED, Outcome.SELF_RESOLVED)


def test_our_own_resolve_that_comes_back_changes_nothing(line: Line) -> None:
    line.investigates()
    line.becomes(IncidentState.VERIFYING, None)
    line.goes(VerificationSampled("recovered", "ok", datetime.now(UTC), False))
    line.turn()
    assert line.hears("incident.resolved")[0] == "processed"
    assert line.sources.incident(line.number).outcome is Outcome.RECOVERED
    line.turn()
    assert line.theirs.reopened == 0


def test_a_reopened_incident_is_a_new_one_of_ours(line: Line) -> None:
    line.hears("incident.resolved")
    line.theirs.status = "triggered"
    assert line.hears("incident.reopened") == ("processed", None)
    first, second = line.sources.incidents()[-2:]
    assert first == line.number
    line.number = second
    line.investigates()
    line.turn()
    assert line.theirs.status == "acknowledged"
    # A resolve without reopened_at is about the last episode all the same.
    line.hears("incident.resolved")
    assert line.sources.incident(second).state is IncidentState.SELF_RESOLVED


@pytest.mark.parametrize("kind", ["acknowledged", "escalated", "annotated", "priority_updated", "not.known.yet"])
def test_what_people_do_over_there_is_on_the_timeline(line: Line, kind: str) -> None:
    before = line.sources.incident(line.number)
    assert line.hears(f"incident.{kind}") == ("processed", None)
    assert line.sources.incident(line.number) == before
    said = kind.replace("_", " ").replace(".", " ")
    assert ("PagerDuty", f"{line.id} {said} by Ada") in line.sources.audit(line.number)


@pytest.mark.parametrize("kind", ["pagey.ping", "service.created", "nobody.knows"])
def test_what_is_of_no_concern_is_processed_too(line: Line, kind: str) -> None:
    state, reason = line.sources.take_in(line.account.event(kind), "pagerduty")
    assert (state, reason) == ("processed", f"{kind}: nothing to do for it")


def test_a_replay_from_last_week_opens_nothing(line: Line) -> None:
    line.account.add("POLD")
    old = line.account.event("incident.triggered", "POLD", at=datetime.now(UTC) - timedelta(days=7))
    state, reason = line.sources.take_in(old, "pagerduty")
    assert state == "processed"
    assert reason is not None
    assert "replay" in reason
    assert line.sources.incidents()[-1] == line.number


# --- Trouble -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "trouble",
    [
        [limited(7)],
        [httpx.Response(500)],
        [httpx.ConnectError("refused")] * 3,
        ["lost"],
        [httpx.Response(200, text="<html>")],
        [limited(3), httpx.Response(503), httpx.ReadTimeout("slow"), "lost", "lost", "lost"],
    ],
    ids=["429", "500", "refused", "lost", "html", "all"],
)
def test_after_any_trouble_it_looks_as_it_should_and_nothing_is_said_twice(line: Line, trouble: list[Any]) -> None:
    """An answer that is lost after the work was done is the worst: nothing tells us that a note is there."""
    line.investigates()
    line.becomes(IncidentState.VERIFYING, None)
    line.account.refusals = list(trouble)
    for _ in range(12):
        line.turn()
    line.goes(VerificationSampled("recovered", "ok", datetime.now(UTC), False))
    line.account.refusals = list(trouble)
    for _ in range(12):
        line.turn()
    assert line.theirs.status == "resolved"
    assert len(line.theirs.notes) == len(set(line.theirs.notes)) == 1
    assert line.theirs.reopened == 0
    assert line.turn() == 0


def test_an_acknowledgement_whose_answer_was_lost_is_handed_back_all_the_same(line: Line) -> None:
    line.investigates()
    # The look at the incident is heard, the answer to the acknowledgement is not.
    looked = {"incident": {"id": line.id, "status": "triggered", "acknowledgements": []}}
    line.account.refusals = [httpx.Response(200, json=looked), "lost"]
    line.turn()
    assert line.theirs.status == "acknowledged"
    line.turn()
    line.goes(StepFailed("propose", "no"))
    line.turn()
    assert line.theirs.status == "triggered"


def test_a_human_who_took_it_before_us_is_left_with_it(line: Line) -> None:
    line.theirs.status = "acknowledged"
    line.theirs.acknowledgers = ["PADA"]
    line.investigates()
    line.turn()
    line.goes(StepFailed("propose", "no"))
    line.turn()
    assert (line.theirs.status, line.theirs.acknowledgers) == ("acknowledged", ["PADA"])


def test_an_outage_is_written_down_and_waits(line: Line) -> None:
    line.investigates()
    line.account.refusals = [httpx.ConnectError("refused")]
    assert line.turn() == 0
    assert line.sync.turn() == 0  # not due
    ((error, attempts),) = line.database.run(
        "SELECT error, attempts FROM stanch.pagerduty_incident WHERE id = %s", (line.id,)
    )
    assert (error, attempts) == ("pagerduty: ConnectError", 1)


def test_an_incident_that_is_gone_is_left_alone(line: Line) -> None:
    line.investigates()
    del line.account.incidents[line.id]
    assert line.turn() == 1
    assert line.turn() == 0
    assert any("left alone" in note for _, note in line.sources.audit(line.number))


def test_two_processes_do_it_once(line: Line) -> None:
    line.investigates()
    line.database.run(DUE)
    assert (line.another().turn(), line.another().turn()) == (1, 0)
    assert line.account.writes == [("PUT", f"/incidents/{line.id}")]


def test_nothing_that_was_sent_is_believed(line: Line) -> None:
    """What PagerDuty shows counts; the table of what was sent is for people."""
    line.database.run(
        "INSERT INTO stanch.pagerduty_sent (pagerduty_id, incident_id, what) VALUES (%s, %s, 'acknowledged')",
        (line.id, line.number),
    )
    line.investigates()
    line.turn()
    assert line.theirs.status == "acknowledged"


def test_with_an_integration_key_alone_events_v2_does_what_it_can(database: Database) -> None:
    line = Line(database, rest=False)
    line.investigates()
    line.turn()
    assert line.theirs.status == "acknowledged"
    line.becomes(IncidentState.EXECUTING, None)
    line.turn()
    assert line.sent() == ["acknowledged"]
    line.becomes(IncidentState.VERIFYING, None)
    line.goes(VerificationSampled("recovered", "ok", datetime.now(UTC), False))
    line.turn()
    assert (line.theirs.status, line.theirs.notes) == ("resolved", [])
    assert line.sent() == ["acknowledged", "resolved"]
