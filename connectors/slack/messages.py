"""Every message we post, built from values alone. Text from outside stands in plain_text or in a fenced block only."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, assert_never

from connectors.slack.text import code_block, date, inert, line, lines, link, mention

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

Block = dict[str, Any]

COMMAND_CHARS = 2400
"""A longer command is not shown whole, and what is not shown whole is not approved from Slack."""
ROLLBACK_CHARS = 1200
MESSAGE_CHARS = 10_000
"""Slack refuses about 13,200 characters of blocks (bolt-js#2509, undocumented); this stays clear of it."""
BAR_CELLS = 10


class Stage(StrEnum):
    """Where a proposal stands, as a reader of its message sees it."""

    PROPOSED = "proposed"
    SECOND = "second"
    APPROVED = "approved"
    EXECUTING = "executing"
    VERIFYING = "verifying"
    VERIFIED = "verified"
    NOT_VERIFIED = "not_verified"
    ROLLED_BACK = "rolled_back"
    FAILED = "failed"
    DENIED = "denied"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    CANCELLED = "cancelled"


WAITING = frozenset({Stage.PROPOSED, Stage.SECOND})


@dataclass(frozen=True, slots=True)
class Decided:
    """One person's decision. user_id: their Slack id, None when we know none."""

    person: str
    user_id: str | None
    decision: str
    reason: str
    channel: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Running:
    """percent None: nobody knows, and no figure is made up."""

    what: str
    phase: str
    percent: float | None
    done: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """An incident. heading, lines and facts are sentences of ours that may quote names from outside."""

    key: str
    url: str
    title: str
    severity: str
    service: str
    target: str
    state: str
    heading: str
    lines: tuple[str, ...]
    detected_at: datetime | None
    facts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Proposal:
    """One revision of a fix and what became of it.

    nonce: what the buttons carry beside id, revision and digest. not_here: why Slack has no Approve button; empty: it
    has one. result: what ended it, in a sentence. replaced_by: 0 when it was not.
    """

    approval_id: str
    revision: int
    digest: str
    nonce: str
    stage: Stage
    command: str
    rollback: str
    facts: tuple[tuple[str, str], ...]
    needed: int
    approvers: tuple[str, ...]
    decide_by: datetime
    decided: tuple[Decided, ...] = ()
    running: Running | None = None
    result: str = ""
    replaced_by: int = 0
    not_here: str = ""
    editable: bool = True
    ended_at: datetime | None = None
    figures: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """text: the notification, and what a client without blocks shows."""

    text: str
    blocks: tuple[Block, ...]

    @property
    def rendered(self) -> str:
        """The same hash means that nothing has to be sent."""
        content = json.dumps([self.text, self.blocks], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()

    @property
    def buttons(self) -> bool:
        return any(one["type"] == "actions" for one in self.blocks)


@dataclass(frozen=True, slots=True)
class Button:
    """What a button carries, and nothing else: the command never travels through Slack."""

    approval_id: str
    revision: int
    digest: str
    nonce: str

    def value(self) -> str:
        content = {"a": self.approval_id, "r": self.revision, "h": self.digest[:12], "n": self.nonce}
        return json.dumps(content, separators=(",", ":"))


# --- Blocks ------------------------------------------------------------------------------------------------------


def _plain(content: str) -> Block:
    """Of text that is escaped already. No emoji: a label could write one."""
    return {"type": "plain_text", "text": content or "-", "emoji": False}


def _mrkdwn(content: str) -> Block:
    """Words of ours, and names that went through inert()."""
    return {"type": "mrkdwn", "text": content, "verbatim": True}


def _header(case: Case) -> Block:
    severity = f"{case.severity} · " if case.severity else ""
    return {"type": "header", "text": _plain(line(f"{severity}{case.key} · {case.title}", 150))}


def _said(content: str) -> Block:
    return {"type": "section", "text": _mrkdwn(content)}


def _quoted(content: object, limit: int = 600) -> Block:
    return {"type": "section", "text": _plain(line(content, limit))}


def _context(*contents: str) -> Block:
    return {"type": "context", "elements": [_mrkdwn(one) for one in contents]}


def _pairs(pairs: Iterable[tuple[str, str]], limit: int = 300) -> list[Block]:
    """Label beside value, five to a block; the value is plain text, so no mark in it means anything."""
    kept = [(label, value) for label, value in pairs if value]
    return [
        {
            "type": "section",
            "fields": [
                part
                for label, value in kept[start : start + 5]
                for part in (_mrkdwn(f"*{inert(label, 60)}*"), _plain(line(value, limit)))
            ],
        }
        for start in range(0, len(kept), 5)
    ]


def _button(words: str, action_id: str, value: str, *, style: str = "", url: str = "", label: str = "") -> Block:
    made: Block = {"type": "button", "text": _plain(words), "action_id": action_id, "value": value}
    if style:
        made["style"] = style
    if url:
        made["url"] = url
    if label:
        made["accessibility_label"] = label[:75]
    return made


def _message(summary: str, *blocks: Block) -> Message:
    """Facts are left out from the last on when everything together is more than Slack takes."""
    kept = list(blocks)
    while len(json.dumps(kept, ensure_ascii=False)) > MESSAGE_CHARS:
        spare = [index for index, one in enumerate(kept) if "fields" in one]
        if not spare:
            break
        kept[spare[-1]] = _context("More on the page: not all of it fits here.")
    return Message(inert(summary, 300), tuple(kept))


# --- The proposal, in all its states -----------------------------------------------------------------------------


def approval(case: Case, proposal: Proposal) -> Message:
    """Buttons stand only on what waits for a decision, or runs; a message of any other state has none that decide."""
    match proposal.stage:
        case Stage.PROPOSED:
            return _message(
                f"{case.key}: approval needed on {case.target}", *_body(case, proposal), *_decide(case, proposal)
            )
        case Stage.SECOND:
            yes = [one for one in proposal.decided if one.decision == "approve"]
            needed = proposal.needed
            told = [
                f":white_check_mark: {number} of {needed}: {mention(one.user_id, one.person)} at {date(one.at)}"
                for number, one in enumerate(yes, 1)
            ]
            summary = f"{case.key}: {len(yes)} of {proposal.needed} approvals"
            return _message(summary, *_body(case, proposal), *_decide(case, proposal), _context(*told[-10:]))
        case Stage.APPROVED:
            who = _by(proposal, "approve")
            return _message(
                f"{case.key}: approved, starting",
                *_body(case, proposal),
                _context(f":white_check_mark: Approved by {who} · starting"),
            )
        case Stage.EXECUTING | Stage.VERIFYING:
            return _under_way(case, proposal)
        case _:
            return _over(case, proposal)


def _body(case: Case, proposal: Proposal) -> list[Block]:
    impact = case.lines[0] if case.lines else ""
    return [
        _header(case),
        *_pairs((("Service", case.service), ("Target", case.target), ("Impact", impact), *case.facts)),
        _quoted(case.heading),
        {"type": "divider"},
        _fix(proposal),
        *_pairs(proposal.facts, 400),
    ]


def _fix(proposal: Proposal) -> Block:
    fenced, whole = code_block(proposal.command, COMMAND_CHARS)
    cut = "" if whole else f"\n{len(proposal.command):,} characters; the exact text is on the page."
    return _said(f"*Proposed fix* (revision {proposal.revision}, hash `{proposal.digest[:12]}`)\n{fenced}{cut}")


def shows_all(proposal: Proposal) -> bool:
    """What you see is what you sign: the command and its way back, whole and exactly."""
    whole = code_block(proposal.command, COMMAND_CHARS)[1]
    return whole and code_block(proposal.rollback or "-", ROLLBACK_CHARS)[1]


def _decide(case: Case, proposal: Proposal) -> list[Block]:
    value = Button(proposal.approval_id, proposal.revision, proposal.digest, proposal.nonce).value()
    not_here = proposal.not_here or ("" if shows_all(proposal) else "it is not shown here whole and exactly")
    buttons = [_approve(case, proposal, value)] if not not_here else []
    if proposal.editable:
        buttons.append(_button("Edit…", "rem_edit", value))
    buttons += [
        _button("Deny…", "rem_deny", value, style="danger"),
        _button("Evidence", "rem_open", value, url=f"{case.url}#approval"),
    ]
    way_back = code_block(proposal.rollback, ROLLBACK_CHARS)[0] if proposal.rollback else "there is none"
    listed = len(proposal.approvers)
    needed = f"{proposal.needed} of {listed} on the list" if listed else "nobody may approve"
    until = f"Expires {date(proposal.decide_by, '{time}')}"
    blocks = [
        _said(f"*Way back*\n{way_back}"),
        {"type": "actions", "block_id": f"rem:{proposal.approval_id}", "elements": buttons},
        _context(f"{until} · {link(case.url, case.key)} · {needed} · nothing runs without an approval"),
    ]
    if not_here:
        where = link(f"{case.url}#approval", "the page")
        blocks.insert(1, _said(f":lock: *Approve on {where}*: {inert(not_here, 300)}."))
    return blocks


def _approve(case: Case, proposal: Proposal, value: str) -> Block:
    made = _button(
        "Approve", "rem_approve", value, style="primary",
        label=f"Approve the fix for {case.key}, revision {proposal.revision}",
    )  # fmt: skip
    first = line(proposal.command, 150)
    hashed = f"Revision {proposal.revision}, hash {proposal.digest[:12]}."
    made["confirm"] = {
        "title": {"type": "plain_text", "text": line(f"Run this on {case.target}?", 100)},
        "text": {"type": "plain_text", "text": f"{first} {hashed} It is recorded under your name."},
        "confirm": {"type": "plain_text", "text": "Approve and run"},
        "deny": {"type": "plain_text", "text": "Go back"},
        "style": "primary",
    }
    return made


def _by(proposal: Proposal, decision: str) -> str:
    found = [one for one in proposal.decided if one.decision == decision]
    told = [f"{mention(one.user_id, one.person)} at {date(one.at)} via {inert(one.channel, 20)}" for one in found[:8]]
    return ", ".join(told) or "nobody we know"


def _under_way(case: Case, proposal: Proposal) -> Message:
    running = proposal.running
    if proposal.stage is Stage.VERIFYING or running is None:
        words = "*Checking* that the alert's own signal recovered"
        summary = f"{case.key}: the fix ran, checking that it recovered"
    else:
        bar = _bar(running.percent)
        what = "Rolling back" if running.what == "rollback" else "Executing"
        done = f" · {inert(running.done, 100)}" if running.done else ""
        words = f"*{what}* · {inert(running.phase, 150)}\n{bar}{done}"
        summary = f"{case.key}: {what.lower()}" + ("" if running.percent is None else f", {running.percent:.0f} %")
    value = Button(proposal.approval_id, proposal.revision, proposal.digest, proposal.nonce).value()
    return _message(
        summary,
        _header(case),
        _fix(proposal),
        _said(words),
        {
            "type": "actions",
            "block_id": f"run:{proposal.approval_id}",
            "elements": [_button("Live view", "rem_open", value, url=case.url)],
        },
        _context(f"Approved by {_by(proposal, 'approve')}"),
    )


def _bar(percent: float | None) -> str:
    if percent is None:
        return "how far it is, is not known"
    full = round(min(max(percent, 0.0), 100.0) / 100 * BAR_CELLS)
    return f"`{'█' * full}{'░' * (BAR_CELLS - full)}` {percent:.0f} %"


def _over(case: Case, proposal: Proposal) -> Message:
    ended = date(proposal.ended_at or proposal.decide_by)
    approved = f"Approved by {_by(proposal, 'approve')}"
    page = link(case.url, case.key)
    head, fix = _header(case), _fix(proposal)
    match proposal.stage:
        case Stage.VERIFIED:
            return _message(
                f"{case.key}: fix verified", head, _said(":white_check_mark: *Verified*"), _quoted(proposal.result),
                *_pairs(proposal.figures), _context(f"{approved} · {page}"), _open(case, proposal),
            )  # fmt: skip
        case Stage.NOT_VERIFIED:
            return _message(
                f"{case.key}: the fix ran, recovery is not shown", head, _said(":warning: *Not verified*"),
                _quoted(proposal.result), *_pairs(proposal.figures), _context(f"{approved} · a human is needed"),
                _open(case, proposal),
            )  # fmt: skip
        case Stage.ROLLED_BACK:
            return _message(
                f"{case.key}: it got worse, rolled back", head, _said(":leftwards_arrow_with_hook: *Rolled back*"),
                _quoted(proposal.result), _context(f"{approved} · the incident is still open"), _open(case, proposal),
            )  # fmt: skip
        case Stage.FAILED:
            return _message(
                f"{case.key}: execution failed", head, _said(":x: *Failed*"), _quoted(proposal.result),
                _context(f"{approved} · nothing is running. No retry without a new approval."),
            )  # fmt: skip
        case Stage.DENIED:
            denied = next((one for one in proposal.decided if one.decision == "deny"), None)
            reason = denied.reason if denied else ""
            return _message(
                f"{case.key}: denied", head, fix, _context(f":no_entry: Denied by {_by(proposal, 'deny')}"),
                *([_quoted(f"Reason: {reason}", 1100)] if reason else []),
            )  # fmt: skip
        case Stage.EXPIRED:
            return _message(
                f"{case.key}: proposal expired", head, fix,
                _context(f":hourglass: Expired at {ended} without a decision. Nothing ran."), _again(proposal),
            )  # fmt: skip
        case Stage.SUPERSEDED:
            by = f"revision {proposal.replaced_by}" if proposal.replaced_by else "an edit that is being judged"
            return _message(
                f"{case.key}: revision {proposal.revision} was replaced", head,
                _context(f":arrows_counterclockwise: Revision {proposal.revision} was replaced by {by}. "
                         "Its buttons are dead."),
            )  # fmt: skip
        case Stage.CANCELLED:
            return _message(
                f"{case.key}: no approval needed any more", head, fix,
                _context(f":heavy_minus_sign: Cancelled at {ended}: the alert is over. Nothing ran."),
            )  # fmt: skip
        case Stage.PROPOSED | Stage.SECOND | Stage.APPROVED | Stage.EXECUTING | Stage.VERIFYING:
            raise ValueError(f"{proposal.stage} is not over")
        case _:
            assert_never(proposal.stage)


def _open(case: Case, proposal: Proposal) -> Block:
    value = Button(proposal.approval_id, proposal.revision, proposal.digest, proposal.nonce).value()
    return {
        "type": "actions",
        "block_id": f"done:{proposal.approval_id}",
        "elements": [
            _button("Before and after", "rem_open", value, url=f"{case.url}#verification"),
            _button("Postmortem", "rem_pm", value, url=f"{case.url}/postmortem"),
        ],
    }


def _again(proposal: Proposal) -> Block:
    value = Button(proposal.approval_id, proposal.revision, proposal.digest, proposal.nonce).value()
    return {
        "type": "actions",
        "block_id": f"exp:{proposal.approval_id}",
        "elements": [_button("Take another look", "rem_refresh", value)],
    }


# --- Everything else that is posted ------------------------------------------------------------------------------

_STATES: Mapping[str, str] = {
    "received": ":bell: *Received*",
    "investigating": ":mag: *Looking for the cause*",
    "awaiting_approval": ":hourglass_flowing_sand: *Waiting for a decision*",
    "executing": ":arrow_forward: *Running the approved fix*",
    "verifying": ":mag: *Checking that it recovered*",
    "needs_human": ":warning: *Needs a human*",
    "resolved": ":white_check_mark: *Recovered, verified*",
    "self_resolved": ":white_check_mark: *Over by itself*",
    "closed": ":white_check_mark: *Closed*",
}


def incident(case: Case) -> Message:
    """The root of the incident's thread. No button on it decides anything."""
    since = f"Detected {date(case.detected_at)} · " if case.detected_at else ""
    return _message(
        f"{case.key}: {case.title}",
        _header(case),
        _said(_STATES.get(case.state, inert(case.state))),
        _quoted(case.heading),
        *[_quoted(one) for one in case.lines if one],
        *_pairs((("Service", case.service), ("Target", case.target), *case.facts)),
        _context(f"{since}{link(case.url, case.key)}"),
    )


def escalation(case: Case, proposal: Proposal, told: Sequence[str]) -> Message:
    """told: mentions, built by mention() and group_mention()."""
    if proposal.stage not in WAITING:
        return _message(
            f"{case.key}: no longer waits",
            _said(f":white_check_mark: *{case.key}* no longer waits for a decision: {link(case.url, case.key)}"),
        )
    who = " ".join(told[:20]) or "Somebody on the approver list"
    return Message(
        f"{case.key}: nobody has decided yet",
        (
            _said(f":rotating_light: {who}: nobody has decided on *{case.key}* yet."),
            _context(
                f"Expires {date(proposal.decide_by, '{time}')}, then counts as denied · {link(case.url, case.key)}"
            ),
        ),
    )


def timeline(case: Case, rows: Sequence[tuple[datetime, str, str]]) -> Message:
    """rows: (when, who, what), at most a page of them, oldest first."""
    blocks: list[Block] = []
    for at, who, what in rows:
        when = f"{at:%H:%M:%S}"
        blocks.append({"type": "context", "elements": [_plain(f"{when} {line(who, 60)}: {line(what, 350)}")]})
    return Message(f"{case.key}: timeline", tuple(blocks))


def postmortem(case: Case, figures: Sequence[tuple[str, str]], sentences: Sequence[str]) -> Message:
    return _message(
        f"{case.key}: postmortem",
        _said(f":page_facing_up: *Postmortem of {case.key}* · {link(f'{case.url}/postmortem', 'read it whole')}"),
        *_pairs(figures),
        *[_quoted(one) for one in sentences[:8] if one],
    )


def unshown(case: Case) -> Message:
    """When Slack takes none of the above: at least the way to the page."""
    words = f"*{case.key}* cannot be shown here; it is on {link(case.url, 'its page')}."
    return Message(f"{case.key}: see its page", (_said(words),))


def self_test(nonce: str) -> Message:
    """What `stanch doctor --send-test` posts; the button proves the way back."""
    return Message(
        "Stanch: test message",
        (
            _said(":wave: *Test message.* Posting works. Press the button to see whether clicks come back."),
            {
                "type": "actions",
                "block_id": "test",
                "elements": [_button("Does a click arrive?", "rem_test", json.dumps({"n": nonce}))],
            },
        ),
    )


# --- Modals ------------------------------------------------------------------------------------------------------

REASONS: Mapping[str, str] = {
    "wrong_cause": "Wrong cause",
    "wrong_fix": "Right cause, wrong fix",
    "not_now": "Not now",
    "too_risky": "Too risky",
    "already_fixed": "Already fixed",
}
NOTE_CHARS, FIELD_CHARS = 900, 1000


@dataclass(frozen=True, slots=True)
class Origin:
    """What a modal carries back: the button that opened it, and where that stood."""

    value: str
    channel: str
    ts: str

    def metadata(self) -> str:
        return json.dumps({"v": self.value, "c": self.channel, "t": self.ts}, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Field:
    """One parameter that may be edited. value: as text; a list has commas."""

    name: str
    value: str


def _modal(callback_id: str, title: str, metadata: str, blocks: Sequence[Block], submit: str = "") -> dict[str, Any]:
    made: dict[str, Any] = {
        "type": "modal",
        "callback_id": callback_id,
        "private_metadata": metadata,
        "title": {"type": "plain_text", "text": title},
        "close": {"type": "plain_text", "text": "Cancel"},
        "blocks": list(blocks),
    }
    if submit:
        made["submit"] = {"type": "plain_text", "text": submit}
    return made


def deny_modal(origin: Origin) -> dict[str, Any]:
    options = [{"text": {"type": "plain_text", "text": words}, "value": value} for value, words in REASONS.items()]
    blocks: list[Block] = [
        {
            "type": "input",
            "block_id": "why",
            "label": {"type": "plain_text", "text": "Reason"},
            "element": {"type": "static_select", "action_id": "code", "options": options},
        },
        {
            "type": "input",
            "block_id": "note",
            "label": {"type": "plain_text", "text": "Note for the audit trail"},
            "element": {
                "type": "plain_text_input", "action_id": "text", "multiline": True, "min_length": 3,
                "max_length": NOTE_CHARS,
            },
        },
    ]  # fmt: skip
    return _modal("rem_deny_submit", "Deny the fix", origin.metadata(), blocks, "Deny")


def loading_modal() -> dict[str, Any]:
    """Opened before anything slow is asked: a trigger lives for three seconds."""
    return _modal("rem_edit_loading", "Edit the fix", "", [_said("Reading the parameters…")])


def edit_modal(origin: Origin, fields: Sequence[Field]) -> dict[str, Any]:
    """Only parameters of the action; never a command."""
    words = "Only these parameters can change. The guardrail judges the edit, and somebody else approves it."
    inputs: list[Block] = [
        {
            "type": "input",
            "block_id": f"p_{one.name[:200]}",
            "optional": not one.value,
            "label": _plain(line(one.name.replace("_", " "), 150)),
            "element": {
                "type": "plain_text_input", "action_id": "v", "initial_value": one.value[:FIELD_CHARS],
                "max_length": FIELD_CHARS,
            },
        }
        for one in fields
    ]  # fmt: skip
    return _modal("rem_edit_submit", "Edit the fix", origin.metadata(), [_said(words), *inputs], "Check and re-propose")


def told_modal(words: str) -> dict[str, Any]:
    return _modal("rem_told", "Edit the fix", "", [{"type": "section", "text": _plain(lines(words, 1500))}])


def words_of(reason: str, note: str) -> str:
    """A denial's reason as it is kept: the choice in words, then the note."""
    choice = REASONS.get(reason, "")
    return f"{choice}: {note}".strip(": ") if note else choice
