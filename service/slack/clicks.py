"""What a click, a modal or a command does. Slack has its acknowledgement by then; this runs on a thread of its own,
with connections of its own, and tells the person what came of it.
"""

from __future__ import annotations

import hmac
import re
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import structlog

from agent.events import HumanAsked
from agent.machine import IllegalTransition
from connectors.slack import messages
from connectors.slack.messages import FIELD_CHARS, Field, Origin
from connectors.slack.people import Known, Stranger
from connectors.slack.text import inert, visible
from connectors.store.store import incident_from_row
from connectors.unreachable import Unreachable
from service.slack import payloads
from service.slack.payloads import Button, NotOurs
from service.steps.approve import Ask, Declined, Taken, take
from service.steps.revise import Edit, Superseded, revise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import TypeVar

    from connectors.slack.client import Slack
    from connectors.slack.people import People
    from connectors.store.store import Row
    from guardrails.permit import SigningKey
    from guardrails.policy import Policy
    from service.identity import Identities
    from service.slack.payloads import Commanded, Pressed, Submitted
    from service.steps.runner import Runner

    T = TypeVar("T")

log = structlog.get_logger()

FIXED = frozenset({"schema", "table"})
"""What an edit keeps: another table is another proposal."""
TRIES_S = (0.0, 0.5, 2.0, 5.0)
"""A store that restarts is waited for this long; then the person is told to press again."""
LISTED = 10


@dataclass(frozen=True, slots=True)
class Place:
    """Where the person stands: for the answer only they see."""

    channel: str
    user_id: str
    response_url: str = ""


@dataclass(frozen=True, slots=True)
class Stands:
    """The button is the one we posted, there, for this revision. revision and digest: what its message shows."""

    approval_id: str
    incident_id: int
    revision: int
    digest: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """why: a sentence for the person and the audit. incident_id None: no incident is concerned, as far as we know."""

    why: str
    incident_id: int | None = None


class Clicks:
    """Everything that comes in from Slack. wake: lets the messages follow at once."""

    def __init__(
        self,
        runner: Runner,
        slack: Slack,
        people: People,
        *,
        policy: Policy,
        key: SigningKey,
        identities: Identities,
        public_url: str,
        wake: Callable[[], None],
        pause_s: Callable[[float], None] = time.sleep,
    ) -> None:
        self._runner = runner
        self._slack = slack
        self._people = people
        self._policy = policy
        self._key = key
        self._identities = identities
        self._public_url = public_url
        self._wake = wake
        self._pause_s = pause_s

    # --- Buttons -----------------------------------------------------------------------------------------------

    def pressed(self, request: str, sent: Pressed) -> None:
        """A button that decides, or asks for another look. Raises nothing."""
        place = Place(sent.container.channel_id, sent.user.id, sent.response_url)
        action = sent.actions[0]
        with self._telling(place):
            if action.action_id == "rem_test":
                self._test(place, sent)
                return
            found = self._asked(
                request, place, sent.team_id, action.value, sent.container.channel_id, sent.container.message_ts
            )
            if found is None:
                return
            who, stands = found
            if action.action_id == "rem_approve":
                self._decide(place, who, stands, "approve", "")
            elif action.action_id == "rem_refresh":
                self._look_again(place, who, stands)

    def denied(self, request: str, sent: Submitted) -> None:
        """The Deny modal, filled in. Raises nothing."""
        place, origin = self._origin(sent)
        if origin is None:
            return
        with self._telling(place):
            found = self._asked(request, place, sent.team_id, origin.v, origin.c, origin.t)
            if found is not None:
                reason = messages.words_of(sent.text("why", "code"), _clean(sent.text("note", "text")))
                self._decide(place, *found, "deny", reason)

    def _asked(
        self, request: str, place: Place, team_id: str, value: str, channel: str, ts: str
    ) -> tuple[Known, Stands] | None:
        """Who asks, and for what. None: told why not, and the audit has a row; or it was taken before."""
        who = self._people.known(team_id, place.user_id)
        stands = self._store(lambda: self._stands(request, value, channel, ts))
        if stands is None:
            # Delivered twice, or our own retry after a commit we never heard of: the person can tell, we cannot.
            self._tell(place, "I have this click already. If the message does not change, press again.")
            return None
        incident_id = stands.incident_id
        if isinstance(who, Known) and isinstance(stands, Stands):
            who = self._people.confirmed(who, self._slack)
        if isinstance(who, Stranger):
            self._refuse(place, team_id, Refusal(who.why, incident_id))
            return None
        if isinstance(stands, Refusal):
            self._refuse(place, team_id, stands, person=who.person)
            return None
        return who, stands

    def _stands(self, request: str, value: str, channel: str, ts: str) -> Stands | Refusal | None:
        """Compares the button with what we posted there. None: this very request was taken before."""
        with self._runner.store.transaction() as tx:
            if tx.one("take_request", key=request) is None:
                return None
            row = tx.one("slack_clicked", channel=channel, ts=ts)
        if row is None:
            return Refusal("this button does not stand where I posted it")
        try:
            button: Button = payloads.read_text(Button, value)
        except NotOurs:
            return Refusal("this is not a button of mine", row["incident_id"])
        if not _same(button, row):
            return Refusal("this button is out of date; look at the newest message", row["incident_id"])
        return Stands(row["ref"], row["incident_id"], row["revision"], row["digest"])

    def _decide(
        self, place: Place, who: Known, stands: Stands, decision: Literal["approve", "deny"], reason: str
    ) -> None:
        asked = Ask(decision, stands.revision, stands.digest, who.person, "slack", reason)
        answer = self._store(lambda: take(self._runner, self._policy, self._key, stands.approval_id, asked))
        self._wake()
        match answer:
            case Taken(_, approved_by, needed) if decision == "approve" and len(approved_by) < needed:
                self._tell(place, f"Recorded: {len(approved_by)} of {needed} approvals.")
            case Taken():
                return
            case Declined(kind, why, _):
                by = self._decided_by(stands.approval_id) if kind == "conflict" else ""
                self._tell(place, f"Not taken: {inert(why, 300)}{by}.")

    def _decided_by(self, approval_id: str) -> str:
        try:
            with self._runner.store.transaction() as tx:
                rows = tx.all("decisions", approval=approval_id)
        except Unreachable:
            return ""
        return "".join(f" by {inert(row['person'], 80)} at {row['at']:%H:%M:%S} UTC" for row in rows[-1:])

    def _look_again(self, place: Place, who: Known, stands: Stands) -> None:
        if not self._may(who, "responder"):
            self._tell(place, f"{inert(who.person)} is no responder.")
            return

        def ask() -> str:
            with self._runner.store.transaction() as tx:
                incident = tx.incident(stands.incident_id, lock=True)
                if incident is None:
                    return "there is no such incident"
                self._runner.apply(tx, incident, HumanAsked(who.person), actor=who.person)
            return ""

        try:
            why = self._store(ask)
        except IllegalTransition as error:
            why = str(error)
        self._wake()
        if why:
            self._tell(place, f"Not now: {inert(why, 300)}.")

    def _test(self, place: Place, sent: Pressed) -> None:
        who = self._people.known(sent.team_id, place.user_id)
        if isinstance(who, Known):
            who = self._people.confirmed(who, self._slack)
        listed = isinstance(who, Known) and any(one.person == who.person for one in self._policy.approvers)
        said = (
            f"to me you are {inert(who.person)}, " + ("on" if listed else "not on") + " the approver list"
            if isinstance(who, Known)
            else f"but you may do nothing here: {inert(who.why)}"
        )
        self._tell(place, f"The click arrived; {said}.")

    # --- Edit --------------------------------------------------------------------------------------------------

    def open_deny(self, sent: Pressed) -> None:
        """Before anything slow: the trigger lives for three seconds. Who may is asked again when it is sent."""
        place = Place(sent.container.channel_id, sent.user.id, sent.response_url)
        with self._telling(place):
            if self._turned_away(place, sent):
                return
            origin = Origin(sent.actions[0].value, sent.container.channel_id, sent.container.message_ts)
            self._slack.open_view(sent.trigger_id, messages.deny_modal(origin))

    def open_edit(self, sent: Pressed) -> str:
        """The view's id; empty when none was opened."""
        place = Place(sent.container.channel_id, sent.user.id, sent.response_url)
        with self._telling(place):
            if not self._turned_away(place, sent):
                return self._slack.open_view(sent.trigger_id, messages.loading_modal())
        return ""

    def _turned_away(self, place: Place, sent: Pressed) -> bool:
        """By what we know without asking anybody: the trigger does not wait."""
        who = self._people.known(sent.team_id, place.user_id)
        if isinstance(who, Stranger):
            self._refuse(place, sent.team_id, Refusal(who.why))
            return True
        if not any(one.person == who.person for one in self._policy.approvers):
            self._refuse(place, sent.team_id, Refusal("you are not on the approver list"), person=who.person)
            return True
        return False

    def fill_edit(self, request: str, sent: Pressed, view_id: str) -> None:
        """The parameters come from the store, so they come after the modal."""
        place = Place(sent.container.channel_id, sent.user.id, sent.response_url)
        with self._telling(place):
            value, channel, ts = sent.actions[0].value, sent.container.channel_id, sent.container.message_ts
            found = self._asked(request, place, sent.team_id, value, channel, ts)
            if found is None:
                self._slack.update_view(view_id, messages.told_modal("This cannot be edited by you, or not from here."))
                return
            params = self._store(lambda: self._params(found[1]))
            fields = [Field(name, _as_text(old)) for name, old in params.items() if _can_be_typed(name, old)]
            origin = Origin(value, channel, ts)
            view = messages.edit_modal(origin, fields) if fields else messages.told_modal("Nothing here can be edited.")
            self._slack.update_view(view_id, view)

    def edited(self, request: str, sent: Submitted) -> None:
        """The Edit modal, filled in. Raises nothing."""
        place, origin = self._origin(sent)
        if origin is None:
            return
        with self._telling(place):
            found = self._asked(request, place, sent.team_id, origin.v, origin.c, origin.t)
            if found is None:
                self._show(sent, place, "Not taken: see the message in the channel.")
                return
            who, stands = found
            old = self._store(lambda: self._params(stands))
            try:
                params = {**old, **_typed(old, sent.parameters())}
            except NotOurs as error:
                self._show(sent, place, f"Not taken: {error}.")
                return
            wanted = Edit(stands.revision, stands.digest, params, who.person, "slack", "")
            answer = self._store(lambda: revise(self._runner, self._policy, stands.approval_id, wanted))
            self._wake()
            match answer:
                case Superseded(_, revision):
                    self._show(sent, place, f"Revision {revision} is being judged; what waited is void.")
                case Declined(_, why, _):
                    self._show(sent, place, f"Not taken: {why}.")

    def _params(self, stands: Stands) -> dict[str, Any]:
        with self._runner.store.transaction() as tx:
            approval = tx.one("approval", id=stands.approval_id)
            proposal = tx.one("proposal", id=approval["proposal_id"]) if approval else None
        return dict(proposal["params"]) if proposal else {}

    def _show(self, sent: Submitted, place: Place, words: str) -> None:
        try:
            self._slack.update_view(sent.view.id, messages.told_modal(words))
        except Unreachable:  # the person closed it
            self._tell(place, inert(words, 500))

    # --- /stanch -----------------------------------------------------------------------------------------------

    def commanded(self, request: str, sent: Commanded) -> None:
        """Raises nothing."""
        place = Place(sent.channel_id, sent.user_id, sent.response_url)
        with self._telling(place):
            if self._store(lambda: self._first(request)):
                self._tell(place, self._answer(sent))

    def _first(self, request: str) -> bool:
        with self._runner.store.transaction() as tx:
            return tx.one("take_request", key=request) is not None

    def _answer(self, sent: Commanded) -> str:
        verb, _, rest = " ".join(sent.text.split()).partition(" ")
        who = self._people.known(sent.team_id, sent.user_id)
        if isinstance(who, Known):
            who = self._people.confirmed(who, self._slack)
        if isinstance(who, Stranger):
            self._audit(None, f"slack:{sent.team_id}/{sent.user_id}", f"/stanch {verb[:20]}: {who.why}")
            return f"Refused: {inert(who.why, 300)}."
        known, rest = who, _clean(rest)[:1000]
        match verb.lower():
            case "status" | "":
                return self._store(self._status)
            case "incidents":
                return self._store(self._incidents)
            case "pause":
                return self._pause(known, rest)
            case "resume":
                return self._resume(known)
            case "ack":
                return self._ack(known, rest)
            case _:
                return HELP

    def _status(self) -> str:
        with self._runner.store.transaction() as tx:
            control, counts, processes = tx.one("control"), tx.all("incident_ages"), tx.all("processes")
        paused = "nothing is paused"
        if control and control["paused"]:
            paused = f"*paused* by {inert(control['person'] or '?')}: {inert(control['reason'] or '', 200)}"
        open_states = {"received", "investigating", "awaiting_approval", "executing", "verifying", "needs_human"}
        busy: dict[str, int] = {}
        for row in counts:
            if row["state"] in open_states:
                busy[row["state"]] = busy.get(row["state"], 0) + row["n"]
        told = ", ".join(f"{n} {state.replace('_', ' ')}" for state, n in sorted(busy.items())) or "no open incident"
        alive = sorted({row["kind"] for row in processes if row["age_s"] < 20})  # noqa: PLR2004 four missed signs of life
        return f"{told}; {paused}; running: {inert(', '.join(alive) or 'nothing that I know of')}"

    def _incidents(self) -> str:
        states = ["received", "investigating", "awaiting_approval", "executing", "verifying", "needs_human"]
        with self._runner.store.transaction() as tx:
            rows = tx.all("incidents", states=states, before=None, limit=LISTED)
        lines = []
        for row in rows:
            one = incident_from_row(row)
            lines.append(
                f"• <{self._public_url}/i/{one.key}|{one.key}> {one.state.replace('_', ' ')}: {inert(one.title, 120)}"
            )
        return "\n".join(lines) or "No open incident."

    def _pause(self, who: Known, reason: str) -> str:
        if not (self._may(who, "responder") or self._may(who, "approver")):
            return self._not_you(who, "pause", "neither responder nor approver")
        if not reason:
            return "Say why: `/stanch pause <reason>`"
        self._store(lambda: self._control(who, paused=True, reason=reason))
        return f"Paused: nothing starts until an approver says `/stanch resume`. Reason: {inert(reason, 200)}"

    def _resume(self, who: Known) -> str:
        if not self._may(who, "approver"):
            return self._not_you(who, "resume", "no approver")
        self._store(lambda: self._control(who, paused=False, reason=None))
        return "Resumed: approved fixes may start again."

    def _control(self, who: Known, *, paused: bool, reason: str | None) -> None:
        with self._runner.store.transaction() as tx:
            tx.run("set_control", paused=paused, reason=reason, person=who.person)
            tx.audit(None, who.person, "Paused" if paused else "Resumed", {"note": reason or "", "channel": "slack"})

    def _ack(self, who: Known, rest: str) -> str:
        if not (self._may(who, "responder") or self._may(who, "approver")):
            return self._not_you(who, "ack", "neither responder nor approver")
        match = re.fullmatch(r"(?:INC-)?([1-9][0-9]{0,17})", rest.strip(), re.IGNORECASE)
        if match is None:
            return "Say which: `/stanch ack INC-1`"
        number = int(match[1])

        def note() -> str:
            with self._runner.store.transaction() as tx:
                if tx.incident(number) is None:
                    return f"There is no INC-{number}."
                note = {"note": f"{who.person} is on it", "channel": "slack"}
                tx.audit(number, who.person, "Acknowledged", note)
            return f"INC-{number}: {inert(who.person)} is on it."

        said = self._store(note)
        self._wake()
        return said

    def _not_you(self, who: Known, verb: str, what: str) -> str:
        self._audit(None, who.person, f"/stanch {verb}: {who.person} is {what}")
        return f"Refused: {inert(who.person)} is {what}."

    def _may(self, who: Known, role: Literal["responder", "approver"]) -> bool:
        person = self._identities.by_name(who.person)
        return person is not None and person.may(role)

    # --- The same for all --------------------------------------------------------------------------------------

    def _origin(self, sent: Submitted) -> tuple[Place, payloads.Origin | None]:
        try:
            origin: payloads.Origin = payloads.read_text(payloads.Origin, sent.view.private_metadata)
        except NotOurs:
            log.warning("a modal that is not ours", user=sent.user.id)
            return Place("", sent.user.id), None
        return Place(origin.c, sent.user.id), origin

    def _refuse(self, place: Place, team_id: str, refusal: Refusal, *, person: str = "") -> None:
        self._tell(place, f"Not taken: {inert(refusal.why, 300)}.")
        self._audit(refusal.incident_id, person or f"slack:{team_id or '?'}/{place.user_id}", refusal.why)

    def _audit(self, incident_id: int | None, actor: str, why: str) -> None:
        def note() -> None:
            with self._runner.store.transaction() as tx:
                tx.audit(incident_id, actor, "DecisionRefused", {"note": why, "channel": "slack"})

        self._store(note)

    def _tell(self, place: Place, words: str) -> None:
        """To this person alone. Losing it loses nothing: the decision stands, and the message follows the store."""
        try:
            if place.response_url and self._slack.may_answer(place.response_url):
                self._slack.answer(place.response_url, words)
            elif place.channel:
                self._slack.whisper(place.channel, place.user_id, words)
        except Unreachable as error:
            log.warning("a person in slack was not answered", user=place.user_id, error=str(error))

    def _store(self, work: Callable[[], T]) -> T:
        """Again when the store does not answer. What is repeated is harmless twice. Raises Unreachable."""
        for wait_s in TRIES_S[:-1]:
            self._pause_s(wait_s)
            try:
                return work()
            except Unreachable as error:
                if error.permanent:
                    raise
                log.info("slack waits for the store", error=str(error))
        self._pause_s(TRIES_S[-1])
        return work()

    @contextmanager
    def _telling(self, place: Place) -> Iterator[None]:
        """The boundary of a click: whatever goes wrong, the person hears of it and the thread goes on."""
        try:
            yield
        except Unreachable as error:
            log.warning("slack request not done", error=str(error))
            if error.system == "slack":
                self._tell(place, "Slack did not take my answer. Press again, or decide on the page.")
                return
            unsure = "The store does not answer, so I cannot say that it was recorded."
            self._tell(place, f"{unsure} See what this message says in a minute, or decide on the page.")
        except Exception:  # the boundary: a defect in one click must not end the thread in silence
            log.exception("slack request failed")
            self._tell(place, "Something broke on my side. Look at the page before you press again.")


HELP = (
    "`/stanch status` what is going on · `/stanch incidents` the open ones · `/stanch ack INC-1` you are on it · "
    "`/stanch pause <reason>` nothing starts · `/stanch resume` approvers only"
)


def _same(button: Button, row: Row) -> bool:
    """All of it, in constant time where it is secret."""
    return (
        str(button.a) == row["ref"]
        and button.r == row["revision"]
        and hmac.compare_digest(button.h, str(row["digest"])[:12])
        and hmac.compare_digest(button.n, row["nonce"])
    )


def _clean(text: str) -> str:
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8").strip()


def _as_text(value: object) -> str:
    match value:
        case list():
            return ",".join(str(one) for one in value)
        case bool():
            return "true" if value else "false"
        case _:
            return str(value)


def _can_be_typed(name: str, value: object) -> bool:
    """Whether one line of text says all of it, so that what is left as it was comes back as it was."""
    text = _as_text(value)
    divided = not isinstance(value, list) or [part for part in text.split(",") if part] == value
    plain = text == text.strip() and visible(text) == text
    return name not in FIXED and divided and plain and len(text) <= FIELD_CHARS


def _typed(old: Mapping[str, Any], sent: Mapping[str, str]) -> dict[str, Any]:
    """Typed as the parameter was. Raises NotOurs with a sentence."""
    made: dict[str, Any] = {}
    for name, text in sent.items():
        if name not in old or name in FIXED:
            raise NotOurs(f"there is no parameter {name[:40]!a} to edit")
        made[name] = _value(name, old[name], _clean(text))
    return made


def _value(name: str, old: object, text: str) -> Any:
    match old:
        case list():
            return [part.strip() for part in text.split(",") if part.strip()]
        case bool():
            if text in {"true", "false"}:
                return text == "true"
            raise NotOurs(f"{name} is true or false")
        case int():
            if re.fullmatch(r"-?[0-9]{1,18}", text):
                return int(text)
            raise NotOurs(f"{name} is a whole number")
        case _:
            return text
