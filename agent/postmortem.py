"""The postmortem: what the store knows of an incident, as one structured value and as Markdown for people.

Facts come from the system. Text from outside is quoted as code, so that it cannot pass for ours.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from agent.incident import Milestone, Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from agent.incident import Incident

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")

_MARK = re.compile(r"[\\`*{}\[\]<>#|!&~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
"""What Markdown or HTML would read. An underscore within a word is neither's."""


def durations_s(milestones: Mapping[Milestone, datetime]) -> dict[str, float | None]:
    """Seconds between milestones; None where one was not reached. restore: from impact start to restored."""

    def between(start: Milestone, end: Milestone) -> float | None:
        if start not in milestones or end not in milestones:
            return None
        return round((milestones[end] - milestones[start]).total_seconds(), 3)

    return {
        "detect": between(Milestone.IMPACT_START, Milestone.DETECTED),
        "diagnose": between(Milestone.DETECTED, Milestone.DIAGNOSED),
        "propose": between(Milestone.DETECTED, Milestone.PROPOSED),
        "wait": between(Milestone.PROPOSED, Milestone.DECIDED),
        "execute": between(Milestone.EXEC_START, Milestone.EXEC_END),
        "verify": between(Milestone.EXEC_END, Milestone.VERIFIED),
        "restore": between(Milestone.IMPACT_START, Milestone.RESTORED),
    }


def structured(
    incident: Incident,
    *,
    timeline: Sequence[Mapping[str, Any]],
    evidence: Sequence[Mapping[str, Any]],
    proposal: Mapping[str, Any] | None,
    decisions: Sequence[Mapping[str, Any]],
    executions: Sequence[Mapping[str, Any]],
    written_at: datetime,
) -> dict[str, Any]:
    """JSON-ready. timeline: {at, actor, action, note}; evidence: {id, name, status, summary, sha256}."""
    working, conclusion = incident.working, incident.working.conclusion
    verification = next((row for row in reversed(evidence) if row["name"] == "verification"), None)
    return {
        "schema": "postmortem/v1",
        "incident": incident.key,
        "title": incident.title,
        "service": incident.service,
        "severity": incident.severity,
        "target": incident.target,
        "mode": incident.mode,
        "skill": incident.skill,
        "outcome": incident.outcome,
        "milestones": {
            str(name): at.isoformat() for name, at in sorted(incident.milestones.items(), key=lambda m: m[1])
        },
        "seconds": durations_s(incident.milestones),
        "cause": None
        if conclusion is None
        else {
            "id": conclusion.cause,
            "title": conclusion.title,
            "probability": round(conclusion.probability, 4),
            "low": round(conclusion.low, 4),
            "high": round(conclusion.high, 4),
            "confirmed_by": "verified fix" if incident.outcome is Outcome.RECOVERED else None,
        },
        "beliefs": {name: round(p, 4) for name, p in sorted(working.beliefs.items(), key=lambda b: -b[1])},
        "why": working.why,
        "checks": [dict(row) for row in evidence],
        "not_visible": sorted(name for name, answer in working.answered.items() if answer.status == "not_visible"),
        "fix": None if proposal is None else dict(proposal),
        "decisions": [dict(row) for row in decisions],
        "executions": [dict(row) for row in executions],
        "verification": None if verification is None else verification["summary"],
        "timeline": [dict(row) for row in timeline],
        "self_critique": critique(incident, evidence),
        "written_at": written_at.isoformat(),
    }


def critique(incident: Incident, evidence: Sequence[Mapping[str, Any]]) -> list[str]:
    """What went less well, from the record alone. Empty: nothing to say."""
    said = []
    answered = incident.working.answered
    unseen = sorted(name for name, answer in answered.items() if answer.status == "not_visible")
    if unseen:
        said.append(f"Not visible to me: {', '.join(unseen)}.")
    wasted = sorted(name for name, answer in answered.items() if answer.status == "no")
    if incident.working.conclusion and wasted:
        said.append(f"Answered no on the way, in hindsight not needed for the cause: {', '.join(wasted)}.")
    if incident.outcome in {Outcome.NOT_RECOVERED, Outcome.REGRESSED}:
        said.append("The fix did not help: either the cause was wrong or it was not the only one.")
    if incident.working.conclusion is None:
        said.append("No cause was settled on: this is a gap in the skills or in what can be seen.")
    if not any(row["name"] == "attribution" and row["status"] == "note" for row in evidence):
        said.append("How much the cause accounts for was not established.")
    return said


def markdown(post: Mapping[str, Any]) -> str:
    """For people. Every line of text from outside is in code marks."""
    cause = post["cause"]
    lines = [
        f"# {post['incident']}: {plain(post['title'])}",
        "",
        (
            f"Outcome: **{(post['outcome'] or 'open').replace('_', ' ')}**. "
            f"Service {quoted(post['service'] or 'unknown')}, target {quoted(post['target'] or 'none known')}, "
            f"skill {quoted(post['skill'] or 'none')}."
        ),
        "",
        *_impact(post["seconds"]),
        "",
        "## Cause",
        "",
    ]
    if cause is None:
        lines += [f"Not settled. {plain(post['why'])}"]
    else:
        confirmed = f", confirmed by {cause['confirmed_by']}" if cause["confirmed_by"] else ", not confirmed"
        sure = f"{cause['probability']:.2f} sure"
        bounds = f"{cause['low']:.2f} to {cause['high']:.2f} with any one check left out"
        lines += [f"{plain(cause['title'])}: {sure} ({bounds}){confirmed}."]
    lines += ["", "| belief | |", "|---|---|"]
    lines += [f"| {cell(name.replace('_', ' '))} | {p:.2f} |" for name, p in post["beliefs"].items()]
    lines += ["", "## Evidence", "", "| id | check | says | |", "|---|---|---|---|"]
    lines += [
        f"| E{row['id']} | {cell(row['name'])} | {row['status'].replace('_', ' ')} | {cell(row['summary'])} |"
        for row in post["checks"]
    ]
    if post["not_visible"]:
        lines += ["", f"Not visible to me: {plain(', '.join(post['not_visible']))}."]
    lines += _fix(post)
    lines += _siblings(post.get("siblings"))
    lines += _recalled(post.get("recalled"))
    lines += ["", "## Timeline (UTC)", ""]
    lines += [
        f"- {_clock(row['at'])} {plain(row['actor'])}: {plain(row['note'])}" for row in post["timeline"] if row["note"]
    ]
    if post["self_critique"]:
        lines += ["", "## What went less well", "", *(f"- {plain(line)}" for line in post["self_critique"])]
    return "\n".join(lines) + "\n"


def _impact(seconds: Mapping[str, float | None]) -> list[str]:
    def figure(name: str) -> str:
        value = seconds[name]
        return "\u2013" if value is None else f"{value:.1f} s"

    names = ("detect", "propose", "wait", "execute", "verify", "restore")
    return [
        "| " + " | ".join(names) + " |",
        "|" + "---|" * len(names),
        "| " + " | ".join(figure(name) for name in names) + " |",
    ]


def _fix(post: Mapping[str, Any]) -> list[str]:
    fix = post["fix"]
    if fix is None:
        return ["", "## Fix", "", f"None was proposed. {plain(post['why'])}"]
    lines = ["", "## Fix", "", "```sql", code(fix["command"]), "```", ""]
    lines += [f"Way back: {quoted(fix['rollback'])}. Digest {quoted(fix['digest'][:12])}."]
    lines += [
        f"- {row['decision']} by {quoted(row['person'])} through {row['channel']}"
        + (f": {quoted(row['reason'])}" if row["reason"] else "")
        for row in post["decisions"]
    ]
    lines += [f"- {row['phase']}: {row['state']}. {plain(row['detail'])}" for row in post["executions"]]
    if post["verification"]:
        lines += ["", f"Verification on the alert's own expression: {plain(post['verification'])}."]
    return lines


def _siblings(swept: Mapping[str, Any] | None) -> list[str]:
    """Where else the same was looked for after the fix. None: nobody looked."""
    if swept is None:
        return []
    rows = [
        f"| {cell(one['where'])} | {cell(one['what'])} | {one['status'].replace('_', ' ')} | {cell(one['summary'])} |"
        for one in swept["siblings"]
    ]
    unseen = [f"No time was left for {plain(', '.join(swept['unseen']))}."] if swept["unseen"] else []
    return ["", "## The same elsewhere", "", "| target | what | same | |", "|---|---|---|---|", *rows, "", *unseen]


def _recalled(recalled: Mapping[str, Any] | None) -> list[str]:
    """What earlier incidents suggested: hypotheses, named with where they come from."""
    if not recalled or not recalled["hypotheses"]:
        return []
    lines = ["", "## Seen before", "", "Suggested by earlier incidents, to be checked and not taken for true.", ""]
    for one in recalled["hypotheses"]:
        of = ", ".join(f"INC-{number}" for number in one["incidents"])
        missed = f"; not checked here: {', '.join(one['missed'])}" if one["missed"] else ""
        lines.append(f"- {plain(one['title'])} ({plain(of)}), weight {one['weight']:.2f}{plain(missed)}")
    return lines


def plain(text: str) -> str:
    """One line of inert text: Markdown's and HTML's marks escaped, control and bidirectional characters gone."""
    clean = _CONTROL.sub("", text).replace("\n", " ")
    return _MARK.sub(r"\\\g<0>", clean)


def cell(text: str) -> str:
    return plain(text)


def quoted(text: str) -> str:
    """A code span that its content cannot leave."""
    inside = _CONTROL.sub("", text).replace("`", "'").replace("\n", " ")
    return f"`{inside}`" if inside else "(empty)"  # two marks with nothing between them would open a span


def code(text: str) -> str:
    """For a fenced block: no fence inside."""
    return _CONTROL.sub("", text).replace("```", "'''")


def _clock(at: str) -> str:
    return at[11:19]
