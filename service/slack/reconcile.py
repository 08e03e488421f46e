"""Brings every message in Slack to what the store says: state-based, so an outage there costs time and nothing else.

Nothing here decides. One process at a time writes (a lease on the store's clock), within Slack's limits.
"""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from agent.incident import IncidentState
from connectors.slack import messages, text
from connectors.slack.client import HISTORY_SCOPES, Refused, TooFast
from connectors.unreachable import Unreachable
from service.slack import cases, pictures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

    from agent.incident import Incident
    from connectors.slack.client import Slack
    from connectors.slack.messages import Case, Message, Proposal
    from connectors.slack.people import People
    from connectors.store.store import Row, Store, Transaction
    from guardrails.policy import Policy
    from service.slack.cases import Seen

log = structlog.get_logger()
Found = TypeVar("Found")

LEASE = "slack"
LEASE_S = 30.0
RENEW_S = 5.0
AT_ONCE = 20
"""Incidents looked at in one turn."""
PROGRESS_S = 5.0
"""A message that only moves on within its stage is changed no more often."""
WRONG_SETTINGS_S = 60.0
MAX_BACKOFF_S = 60.0
MAX_TIMELINE_PAGES = 10


@dataclass
class Pace:
    """A bucket of calls: burst at once, then rate_per_s."""

    rate_per_s: float
    burst: float
    _held: float = field(init=False)
    _at: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self._held = self.burst

    def take(self, now: float) -> float:
        """0: go on; else seconds until the next one may go."""
        self._held = min(self.burst, self._held + max(0.0, now - self._at) * self.rate_per_s)
        self._at = now
        if self._held >= 1.0:
            self._held -= 1.0
            return 0.0
        return (1.0 - self._held) / self.rate_per_s


@dataclass(frozen=True, slots=True)
class Upload:
    name: str
    title: str
    make: Callable[[], bytes | None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What should stand in Slack. stage: while it stays, the message may wait. thread: "" or the kind and ref of the
    message it hangs under. rank: the lowest goes first.
    """

    kind: str
    ref: str
    stage: str
    rank: int
    content: Message | Upload
    thread: tuple[str, str] | None = None
    broadcast: bool = False

    @property
    def key(self) -> tuple[str, str]:
        return self.kind, self.ref


@dataclass(frozen=True, slots=True)
class Tried:
    """since_s: epoch, since when an earlier try may have left a message in Slack; None: there was none."""

    nonce: str
    since_s: float | None


@dataclass(slots=True)
class Plan:
    """One incident's differences. complete: everything it wants is there."""

    incident_id: int
    case: Case
    newest: int
    seen: int
    ends: bool
    wanted: list[Wanted]
    posted: dict[tuple[str, str], Row]
    complete: bool = True


class Reconciler:
    """look: reads what an incident's messages are built from, in one transaction."""

    def __init__(
        self,
        store: Store,
        slack: Slack,
        channel: str,
        *,
        look: Callable[[Transaction, Incident], Seen],
        policy: Policy,
        people: People,
        public_url: str,
        owner: str,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._slack = slack
        self._channel = channel
        self._look = look
        self._policy = policy
        self._people = people
        self._public_url = public_url
        self._owner = owner
        self._clock = clock
        self._leads_until = 0.0
        self._quiet_until = 0.0
        self._failures = 0
        # https://docs.slack.dev/apis/web-api/rate-limits: one message a second and channel; chat.update is tier 3, 50 a
        # minute.
        self._posts = Pace(1.0, 1.0)
        self._updates = Pace(0.8, 4.0)
        self._soonest: float | None = None
        # What failed lets the others go first.
        self._failed_until: dict[tuple[int, str, str], float] = {}

    def turn(self) -> float | None:
        """One look at everything. Seconds until the next look is worth it; None: no hurry. Raises Unreachable."""
        if not self._leads():
            return None
        wait = self._quiet_until - self._clock()
        if wait > 0:
            return wait
        now = self._clock()
        self._failed_until = {key: until for key, until in self._failed_until.items() if until > now}
        with self._store.transaction() as tx:
            due = tx.all("slack_due", limit=AT_ONCE)
        plans = [plan for plan in (self._plan(row) for row in due) if plan is not None]
        self._soonest = None
        jobs = sorted(((one.rank, plan.incident_id, plan, one) for plan in plans for one in plan.wanted), key=_order)
        for _, _, plan, one in jobs:
            if not self._bring(plan, one):
                plan.complete = False
        for plan in plans:
            self._checked(plan)
        return self._soonest

    def _leads(self) -> bool:
        """One lease for all of Slack: its limits are shared too."""
        now = self._clock()
        if now < self._leads_until - (LEASE_S - RENEW_S):
            return True
        with self._store.transaction() as tx:
            mine = tx.one("take_lease", name=LEASE, owner=self._owner, lease_s=LEASE_S) is not None
        self._leads_until = now + LEASE_S if mine else 0.0
        return mine

    # --- What should stand there -------------------------------------------------------------------------------

    def _plan(self, due: Row) -> Plan | None:
        with self._store.transaction() as tx:
            incident = tx.incident(due["id"])
            if incident is None:
                return None
            seen = self._look(tx, incident)
            self._make_room(tx, incident.id, seen)
            posted = {(row["kind"], row["ref"]): row for row in tx.all("slack_messages", incident=incident.id)}
            now = tx.now()
        wanted = list(self._wanted(seen, posted, now))
        ends = incident.state is IncidentState.CLOSED
        case = cases.case(seen, self._public_url)
        return Plan(incident.id, case, due["newest"], due["seen"], ends, wanted, posted)

    def _make_room(self, tx: Transaction, incident_id: int, seen: Seen) -> None:
        """The rows come before the messages: a button carries its row's nonce."""
        for row, _ in seen.approvals:
            tx.run(
                "add_slack_message", incident=incident_id, kind="approval", ref=str(row["id"]), nonce=_nonce(),
                revision=row["revision"], digest=row["digest"],
            )  # fmt: skip

    def _wanted(self, seen: Seen, posted: Mapping[tuple[str, str], Row], now: datetime) -> Iterator[Wanted]:
        case = cases.case(seen, self._public_url)
        nonces = {ref: row["nonce"] for (kind, ref), row in posted.items() if kind == "approval"}
        fixes = cases.proposals(seen, self._policy, self._people, nonces, now)
        yield Wanted("incident", "", f"{case.state}:{len(case.facts)}", 2, messages.incident(case))
        for (row, _), fix in zip(seen.approvals, fixes, strict=True):
            before = posted.get(("approval", fix.approval_id))
            frozen = fix.stage in cases.FROZEN and before is not None and before["stage"] == fix.stage
            moves = f":{len(fix.decided)}:{fix.replaced_by}:{seen.paused is not None}"
            stage = fix.stage.value if fix.stage in cases.FROZEN else f"{fix.stage}{moves}"
            if not frozen:
                rank = 0 if fix.stage in messages.WAITING or (before and before["ts"]) else 1
                yield Wanted("approval", fix.approval_id, stage, rank, messages.approval(case, fix))
            yield from self._escalation(case, fix, row, posted)
        yield from _thread(seen, case)

    def _escalation(
        self, case: Case, fix: Proposal, row: Row, posted: Mapping[tuple[str, str], Row]
    ) -> Iterator[Wanted]:
        """Only while it waits; afterwards what was posted is put right."""
        waits = fix.stage in messages.WAITING
        before = posted.get(("escalation", fix.approval_id))
        if row["escalated_at"] is None or not (waits or (before is not None and before["ts"])):
            return
        people = self._policy.told_when_nobody_decides(row["target"])
        told = [text.mention(self._people.user_of(one), one) for one in people]
        group = text.group_mention(self._people.usergroup)
        message = messages.escalation(case, fix, [group, *told] if group else told)
        stage = "waits" if waits else "over"
        yield Wanted(
            "escalation", fix.approval_id, stage, 1, message, thread=("approval", fix.approval_id), broadcast=True
        )

    # --- Getting there -----------------------------------------------------------------------------------------

    def _bring(self, plan: Plan, one: Wanted) -> bool:
        """Whether it stands in Slack now as wanted."""
        before = plan.posted.get(one.key)
        if before is not None and before["ts"] and _is_there(before, one):
            return True
        now, failed_until = self._clock(), self._failed_until.get((plan.incident_id, *one.key), 0.0)
        wait = max(self._quiet_until - now, failed_until - now, _held_back_s(before, one))
        parent = plan.posted.get(one.thread) if one.thread is not None else None
        if one.thread is not None and (parent is None or parent["ts"] is None):
            return False  # it follows its parent
        if wait <= 0:
            new = before is None or before["ts"] is None
            wait = (self._posts if new else self._updates).take(self._clock())
        if wait > 0 or not self._leads():
            self._later(max(wait, 0.05))
            return False
        return self._send(plan, one, parent)

    def _later(self, wait: float) -> None:
        self._soonest = wait if self._soonest is None else min(self._soonest, wait)

    def _send(self, plan: Plan, one: Wanted, parent: Row | None) -> bool:
        try:
            channel, ts, rendered = self._said(plan, one, parent)
        except TooFast as error:
            self._hold(error.wait_s, error)
        except Refused as error:
            return self._refused(plan, one, parent, error)
        except Unreachable as error:
            self._failures += 1
            wait_s = min(MAX_BACKOFF_S, 2.0 ** min(self._failures, 6))
            self._skip(plan, one, wait_s + 1.0)
            self._hold(wait_s, error)
        else:
            self._failures = 0
            self._failed_until.pop((plan.incident_id, *one.key), None)
            self._keep(plan, one, channel, ts, rendered)
            return True
        return False

    @contextmanager
    def _sending(self, plan: Plan, one: Wanted) -> Iterator[None]:
        """When Slack says no, nothing of it stands there; after any other failure it may."""
        try:
            yield
        except (Refused, TooFast):
            with self._store.transaction() as tx:
                tx.run("slack_tried", incident=plan.incident_id, kind=one.kind, ref=one.ref)
            raise

    def _skip(self, plan: Plan, one: Wanted, wait_s: float) -> None:
        self._failed_until[(plan.incident_id, *one.key)] = self._clock() + wait_s
        self._later(wait_s)

    def _said(self, plan: Plan, one: Wanted, parent: Row | None) -> tuple[str, str, str]:
        """Channel, ts, and the hash of what stands there now. A thread stays in the channel of its root."""
        before = plan.posted.get(one.key)
        channel = parent["channel"] if parent else self._channel
        thread_ts = parent["ts"] if parent else None
        match one.content:
            case Upload(name, title, make):
                tried = self._tries(plan, one)
                there = tried.since_s is not None and self._looked(
                    partial(self._slack.find_file, channel, thread_ts or "", name, since_s=tried.since_s)
                )
                content = None if there else make()
                if content is not None:
                    with self._sending(plan, one):
                        self._slack.upload(channel, thread_ts or "", name, title, content, alt=title)
                return channel, f"file:{plan.incident_id}:{one.ref}", "file"
            case message:
                if before is not None and before["ts"]:
                    self._slack.update(before["channel"], before["ts"], message)
                    return before["channel"], before["ts"], message.rendered
                return channel, self._posted(plan, one, message, channel, thread_ts), message.rendered

    def _posted(self, plan: Plan, one: Wanted, message: Message, channel: str, thread_ts: str | None) -> str:
        """The ts of the message, posted now or by a process that ended before it noted so."""
        tried = self._tries(plan, one)
        mark = {"incident": str(plan.incident_id), "kind": one.kind, "ref": one.ref, "nonce": tried.nonce}
        if tried.since_s is not None:
            find = partial(self._slack.find, channel, mark, thread_ts=thread_ts, since_s=tried.since_s)
            ts = self._looked(find)
            if ts is not None:
                log.info("slack message found again", what=one.kind, incident=plan.case.key)
                self._slack.update(channel, ts, message)
                return ts
        with self._sending(plan, one):
            return self._slack.post(channel, message, thread_ts=thread_ts, broadcast=one.broadcast, mark=mark)

    def _looked(self, find: Callable[[], Found]) -> Found | None:
        """Without the right to read the channel nothing is found, and a second message is better than none."""
        try:
            return find()
        except Refused as error:
            if error.error != "missing_scope":
                raise
            log.warning("slack messages are not found again without a history scope", needed=HISTORY_SCOPES)
            return None

    def _tries(self, plan: Plan, one: Wanted) -> Tried:
        """Noted before it is sent."""
        self._make_row(plan, one)
        with self._store.transaction() as tx:
            row = tx.one("slack_try", incident=plan.incident_id, kind=one.kind, ref=one.ref)
        if row is None:
            raise Unreachable("store", "a message's row is gone")
        return Tried(row["nonce"], row["tried_s"])

    def _make_row(self, plan: Plan, one: Wanted) -> None:
        if one.key not in plan.posted:
            with self._store.transaction() as tx:
                tx.run(
                    "add_slack_message", incident=plan.incident_id, kind=one.kind, ref=one.ref, nonce=_nonce(),
                    revision=None, digest=None,
                )  # fmt: skip

    def _refused(self, plan: Plan, one: Wanted, parent: Row | None, error: Refused) -> bool:
        if error.gone or (error.no_thread and one.thread is not None):
            kind, ref = one.key if error.gone or one.thread is None else one.thread
            with self._store.transaction() as tx:
                tx.run("slack_gone", incident=plan.incident_id, kind=kind, ref=ref, nonce=_nonce())
            self._later(0.05)
            return False
        if error.unshown and not isinstance(one.content, Upload):
            return self._plainly(plan, one, parent, error)
        log.warning("slack refuses", what=one.kind, incident=plan.case.key, error=error.error)
        with self._store.transaction() as tx:
            tx.run("slack_failed", incident=plan.incident_id, kind=one.kind, ref=one.ref, error=error.error)
        self._skip(plan, one, WRONG_SETTINGS_S)
        if isinstance(one.content, Upload):
            return True  # a picture is not worth holding up the rest
        if error.permanent:
            self._hold(WRONG_SETTINGS_S, error)
        return False

    def _plainly(self, plan: Plan, one: Wanted, parent: Row | None, error: Refused) -> bool:
        """A defect of ours must not hide the incident: the way to its page instead, without any button."""
        log.error("slack does not take this message", what=one.kind, incident=plan.case.key, error=error.error)
        plain = Wanted(one.kind, one.ref, one.stage, one.rank, messages.unshown(plan.case), one.thread, one.broadcast)
        try:
            channel, ts, _ = self._said(plan, plain, parent)
        except Unreachable as again:
            self._skip(plan, one, WRONG_SETTINGS_S)
            self._hold(5.0, again)
            return False
        self._keep(plan, one, channel, ts, one.content.rendered if not isinstance(one.content, Upload) else "")
        return True

    def _hold(self, wait_s: float, error: Unreachable) -> None:
        log.warning("slack waits", wait_s=round(wait_s, 1), error=str(error))
        self._quiet_until = self._clock() + wait_s
        self._later(wait_s)

    def _keep(self, plan: Plan, one: Wanted, channel: str, ts: str, rendered: str) -> None:
        values: dict[str, Any] = {"channel": channel, "ts": ts, "stage": one.stage, "rendered": rendered}
        with self._store.transaction() as tx:
            tx.run(
                "add_slack_message", incident=plan.incident_id, kind=one.kind, ref=one.ref, nonce=_nonce(),
                revision=None, digest=None,
            )  # fmt: skip
            tx.run("slack_sent", incident=plan.incident_id, kind=one.kind, ref=one.ref, **values)
            tx.run("slack_tried", incident=plan.incident_id, kind=one.kind, ref=one.ref)
        before = plan.posted.get(one.key) or {"nonce": ""}
        plan.posted[one.key] = {**before, **values, "age_s": 0.0}

    def _checked(self, plan: Plan) -> None:
        with self._store.transaction() as tx:
            tx.run(
                "slack_checked", incident=plan.incident_id, seen=plan.newest if plan.complete else plan.seen,
                settled=plan.complete and plan.ends,
            )  # fmt: skip


def _order(job: tuple[int, int, Plan, Wanted]) -> tuple[int, int]:
    return job[0], job[1]


def _nonce() -> str:
    return secrets.token_urlsafe(9)


def _is_there(before: Row, one: Wanted) -> bool:
    if isinstance(one.content, Upload):
        return True
    same: bool = before["rendered"] == one.content.rendered
    return same


def _held_back_s(before: Row | None, one: Wanted) -> float:
    if before is None or not before["ts"] or before["stage"] != one.stage or before["age_s"] is None:
        return 0.0
    return max(0.0, PROGRESS_S - float(before["age_s"]))


def _thread(seen: Seen, case: Case) -> Iterator[Wanted]:
    """Under the incident's message: pictures, what happened line by line, the postmortem."""
    root = ("incident", "")
    for ref, title, make in pictures.of(seen.whole):
        yield Wanted("file", ref, "", 4, Upload(f"{case.key}-{ref}.png", f"{case.key}: {title}", make), root)
    rows = cases.told_rows(seen.whole)
    for page in range(min(MAX_TIMELINE_PAGES, -(-len(rows) // cases.TIMELINE_ROWS))):
        part = rows[page * cases.TIMELINE_ROWS : (page + 1) * cases.TIMELINE_ROWS]
        yield Wanted("timeline", str(page), "", 5, messages.timeline(case, part), root)
    post = seen.whole["postmortem"]
    if post is not None:
        figures, sentences = cases.story(post)
        yield Wanted("postmortem", "", "", 3, messages.postmortem(case, figures, sentences), root)
        written = (seen.postmortem or "").encode("utf-8", "replace")
        upload = Upload(f"{case.key}-postmortem.md", f"{case.key}: postmortem", lambda: written or None)
        yield Wanted("file", "postmortem", "", 6, upload, root)
