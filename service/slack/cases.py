"""An incident of the store as the values a message is built from. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.incident import ApprovalState, ExecutionState, IncidentState, Outcome
from connectors.slack.messages import WAITING, Case, Decided, Proposal, Running, Stage
from service.pages import decision, sentence
from service.pages.text import moment, span

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from connectors.slack.people import People
    from connectors.store.store import Row
    from guardrails.policy import Policy

TIMELINE_ROWS = 20
"""Lines of one timeline message; a full one is never touched again."""
NOT_TOLD = frozenset({"Progress", "DecisionRefused", "EditRefused", "PostmortemWritten"})
"""Whoever may not decide must not be able to fill a thread either: the page and the audit have every refusal. A
postmortem is posted itself.
"""
FROZEN = frozenset(Stage) - WAITING - {Stage.APPROVED, Stage.EXECUTING, Stage.VERIFYING, Stage.SUPERSEDED}
"""What such a message says was true when it was sent, and stays."""
ENDED_BADLY = frozenset({ExecutionState.FAILED, ExecutionState.ABORTED})


@dataclass(frozen=True, slots=True)
class Seen:
    """One read of the store. approvals: every revision opened, each with its decisions; advice: what the check
    measured that gave the proposal its parameters; paused: the reason, None when nothing is paused.
    """

    whole: dict[str, Any]
    approvals: tuple[tuple[Row, tuple[Row, ...]], ...]
    runs: tuple[Row, ...]
    advice: Mapping[str, Any]
    postmortem: str | None
    paused: str | None


def case(seen: Seen, public_url: str) -> Case:
    whole = seen.whole
    fix = whole["proposal"] or {}
    environment = f" ({fix['environment']})" if fix.get("environment") else ""
    detected = whole["milestones"].get("detected")
    cause = whole["cause"]
    facts = [("Cause", f"{cause['title']}, {cause['probability']:.2f} sure")] if cause else []
    restore = whole["seconds"].get("restore")
    if restore is not None:
        facts.append(("Restored after", span(restore)))
    if fix and fix["approval"] is None:
        facts.append(("Proposed, not to be run from here", fix["command"]))
    if seen.paused is not None:
        facts.append(("Paused", seen.paused or "nothing starts"))
    return Case(
        key=whole["id"],
        url=f"{public_url}/i/{whole['id']}",
        title=whole["title"],
        severity=whole["severity"] or "",
        service=whole["service"] or "",
        target=f"{whole['target'] or ''}{environment}",
        state=whole["state"],
        heading=sentence.heading(whole),
        lines=sentence.lines(whole),
        detected_at=moment(detected) if detected else None,
        facts=tuple(facts),
    )


def proposals(
    seen: Seen, policy: Policy, people: People, nonce_of: Mapping[str, str], now: datetime
) -> tuple[Proposal, ...]:
    """One a revision that was opened, oldest first. nonce_of: by approval id."""
    numbers = [row["revision"] for row, _ in seen.approvals]
    last = seen.approvals[-1][0]["id"] if seen.approvals else None
    drafted = (seen.whole["proposal"] or {}).get("revision", 0)
    made = []
    for row, decisions in seen.approvals:
        newest = row["id"] == last
        runs = tuple(one for one in seen.runs if one["approval_id"] == row["id"])
        stage = stage_of(row, runs, seen.whole, newest=newest)
        later = [number for number in (*numbers, drafted) if number > row["revision"]]
        made.append(
            Proposal(
                approval_id=str(row["id"]),
                revision=row["revision"],
                digest=row["digest"],
                nonce=nonce_of.get(str(row["id"]), ""),
                stage=stage,
                command=row["command"],
                rollback=row["rollback"],
                facts=_facts(seen) if newest else (),
                needed=row["approvers_needed"],
                approvers=tuple(one.person for one in policy.approvers if one.covers(row["target"])),
                decide_by=row["decide_by"],
                decided=tuple(_decided(one, people) for one in decisions),
                running=_running(runs) if stage is Stage.EXECUTING else None,
                result=_result(seen, runs, stage),
                replaced_by=min(later, default=0),
                not_here=_not_here(row, policy, people),
                ended_at=row["decided_at"] or now,
                figures=_figures(seen.whole) if newest else (),
            )
        )
    return tuple(made)


def stage_of(row: Row, runs: Sequence[Row], whole: Mapping[str, Any], *, newest: bool) -> Stage:
    """Where a revision stands, from its approval, its executions and, for the newest one, its incident."""
    match ApprovalState(row["state"]):
        case ApprovalState.PENDING:
            return Stage.PROPOSED
        case ApprovalState.PARTIALLY_APPROVED:
            return Stage.SECOND
        case ApprovalState.DENIED:
            return Stage.DENIED
        case ApprovalState.EXPIRED:
            return Stage.EXPIRED
        case ApprovalState.SUPERSEDED:
            return Stage.SUPERSEDED
        case ApprovalState.CANCELLED:
            return Stage.CANCELLED
        case ApprovalState.APPROVED:
            return _ran(runs, whole, newest=newest)


def _ran(runs: Sequence[Row], whole: Mapping[str, Any], *, newest: bool) -> Stage:
    state, outcome = IncidentState(whole["state"]), whole["outcome"]
    last = runs[-1] if runs else None
    if last is None or last["state"] == ExecutionState.AUTHORISED:
        waits = newest and state is IncidentState.EXECUTING
        return Stage.APPROVED if waits else Stage.FAILED
    if last["state"] in ENDED_BADLY:
        return Stage.FAILED
    if last["state"] == ExecutionState.ROLLED_BACK or (last["phase"] == "rollback" and last["finished_at"]):
        return Stage.ROLLED_BACK
    if last["state"] != ExecutionState.FINISHED:
        return Stage.EXECUTING
    if newest and state in {IncidentState.EXECUTING, IncidentState.VERIFYING}:
        return Stage.VERIFYING
    return Stage.VERIFIED if newest and outcome == Outcome.RECOVERED else Stage.NOT_VERIFIED


def _decided(row: Row, people: People) -> Decided:
    return Decided(
        row["person"], people.user_of(row["person"]), row["decision"], row["reason"] or "", row["channel"], row["at"]
    )


def _facts(seen: Seen) -> tuple[tuple[str, str], ...]:
    """As on the page. The way back stands whole in a block of its own, so here only when it runs."""
    fix = seen.whole["proposal"]
    if fix is None:
        return ()
    told = [
        ("Way back runs" if one.label == "Way back" else one.label, one.text.strip("()") if one.label == "Way back" else
         f"{one.code} {one.text}".strip())
        for one in decision.facts(fix, seen.advice)
    ]  # fmt: skip
    warned = [one["why"] for one in fix["findings"] if one["level"] == "warn"]
    edited = [("Edited by", fix["proposed_by"])] if fix.get("proposed_by") else []
    return (("Risk", fix["risk"]), *edited, *told, *(("Warning", why) for why in warned[:3]))


def _running(runs: Sequence[Row]) -> Running | None:
    current = runs[-1] if runs else None
    if current is None:
        return None
    if current["state"] == ExecutionState.UNKNOWN:
        return Running(current["phase"], "contact lost: the target is asked what became of it", None)
    progress = current["progress"] or {}
    done, total, unit = progress.get("done"), progress.get("total"), progress.get("unit") or ""
    amount = f"{done:,} of {total:,} {unit}" if isinstance(done, int) and isinstance(total, int) and total else ""
    return Running(current["phase"], progress.get("phase") or "started", progress.get("percent"), amount)


def _result(seen: Seen, runs: Sequence[Row], stage: Stage) -> str:
    detail = ((runs[-1]["result"] or {}).get("detail") or "") if runs else ""
    match stage:
        case Stage.VERIFIED | Stage.NOT_VERIFIED:
            found = seen.whole["verification"]
            return str(found["summary"]) if found else detail or "see the page"
        case Stage.ROLLED_BACK | Stage.FAILED:
            return detail or seen.whole["why"] or "see the page"
        case _:
            return ""


def _figures(whole: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    seconds = whole["seconds"]
    names = (("Time to restore", "restore"), ("Waited for a decision", "wait"), ("The command ran", "execute"))
    return tuple((label, span(seconds[name])) for label, name in names if seconds.get(name) is not None)


def _not_here(row: Row, policy: Policy, people: People) -> str:
    if "slack" not in policy.channels(row["risk"]):
        return f"{row['risk']} risk is not approved in Slack"
    if not people.person_of:
        return "no Slack user is named in stanch.yaml"
    return ""


def told_rows(whole: Mapping[str, Any]) -> tuple[tuple[datetime, str, str], ...]:
    """The timeline: when, who, what."""
    return tuple(
        (moment(row["at"]), row["actor"], row["note"])
        for row in whole["timeline"]
        if row["note"] and row["action"] not in NOT_TOLD and (row["action"] != "VerificationSampled" or row["to"])
    )


def story(post: Mapping[str, Any]) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """A postmortem in figures and sentences."""
    cause = post["cause"]
    found = f"{cause['title']}, {cause['probability']:.2f} sure" if cause else "not settled"
    seconds = post["seconds"]
    names = (("Detected after", "detect"), ("Diagnosed after", "diagnose"), ("Time to restore", "restore"))
    figures = [("Outcome", str(post["outcome"] or "open").replace("_", " ")), ("Cause", found)]
    figures += [(label, span(seconds[name])) for label, name in names if seconds.get(name) is not None]
    ran = [f"{one['phase']}: {one['state']}. {one['detail']}" for one in post["executions"]]
    checked = [f"Verification: {post['verification']}"] if post["verification"] else []
    return tuple(figures), (*ran, *checked, *post["self_critique"])
