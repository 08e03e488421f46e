"""The session log: how an incident went, decision by decision, in Markdown, with a self-critique at its end.

It is made from the structured postmortem alone, so the same record gives the same log. What was recalled from other
incidents is named as such, and is never learned from again.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from agent.memory.compress import KEEP_LAST, Result, compress
from agent.postmortem import cell, code, plain, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

RESULT_CHARS = 4000
"""A whole result longer than this is shown by its figures too: the store has every byte of it."""
MOVED = 0.005
"""A belief that moved less is not told."""


def log(post: Mapping[str, Any], contract: Mapping[str, Any], results: Sequence[Result]) -> str:
    """post: with its "course". results: what the checks returned, the oldest first."""
    lines = [
        f"# Session log of {post['incident']}: {plain(post['title'])}",
        "",
        "Written from the store's rows; the same rows give the same log.",
        "",
        "## Contract",
        "",
        "```json",
        code(json.dumps(dict(contract), sort_keys=True, indent=1, ensure_ascii=False)),
        "```",
    ]
    lines += _recalled(post.get("recalled") or {})
    lines += _course(post.get("course") or [])
    lines += _decided(post)
    lines += _returned(post, contract, results)
    lines += ["", "## Self-critique", ""]
    said = [*post["self_critique"], *critique(post.get("course") or [])]
    lines += [f"- {plain(line)}" for line in said] or ["Nothing to say."]
    return "\n".join(lines) + "\n"


def critique(course: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the course itself shows: promises that were not kept, and looks that were repeated."""
    said = []
    empty = [
        turn["check"]
        for turn in course
        if (turn["gain_bits"] or 0) >= 0.1 and turn["status"] in {"yes", "no"} and not _moves(turn)  # noqa: PLR2004 bits
    ]
    if empty:
        said.append(f"Expected to tell much and told nothing: {', '.join(dict.fromkeys(empty))}.")
    looks = max((turn["look"] for turn in course), default=1)
    if looks > 1:
        said.append(f"It took {looks} looks.")
    spent = sum(turn["cost_s"] for turn in course if turn["status"] == "not_visible")
    if spent:
        said.append(f"About {spent:.1f} s went into checks that could see nothing.")
    return said


def _recalled(recalled: Mapping[str, Any]) -> list[str]:
    rows = recalled.get("incidents") or []
    if not rows:
        return []
    lines = [
        "",
        "## Recalled from other incidents",
        "",
        "Hypotheses to check, not findings; never learned from here.",
        "",
    ]
    return lines + [
        f"- {quoted(row['origin_id'])} {plain(row['title'])}: {plain(row['cause'])} (score {row['score']:.2f})"
        for row in rows
    ]


def _course(course: Sequence[Mapping[str, Any]]) -> list[str]:
    lines: list[str] = []
    look = 0
    for number, turn in enumerate(course, 1):
        if turn["look"] != look:
            look = turn["look"]
            lines += [
                "",
                f"## Look {look}",
                "",
                "| | asked | why | expected | said | beliefs |",
                "|---|---|---|---|---|---|",
            ]
        gain = "" if turn["gain_bits"] is None else f"{turn['gain_bits']:.2f} bits, {turn['cost_s']:g} s"
        named = f"E{turn['evidence']}" if turn["evidence"] is not None else "no evidence"
        said = f"{named}, {turn['status'].replace('_', ' ')}: {turn['summary']}"
        lines.append(
            f"| {number} | {cell(turn['question'])} | {cell(turn['why'])} | {gain} | {cell(said)} |"
            f" {'; '.join(cell(one) for one in _moves(turn)) or 'as before'} |"
        )
    return lines or ["", "No check was asked."]


def _moves(turn: Mapping[str, Any]) -> list[str]:
    before, after = turn["before"], turn["after"]
    return [
        f"{cause} {before.get(cause, 0.0):.2f} → {p:.2f}"
        for cause, p in after.items()
        if abs(p - before.get(cause, 0.0)) >= MOVED
    ]


def _decided(post: Mapping[str, Any]) -> list[str]:
    lines = ["", "## Decided", ""]
    told = [row for row in post["timeline"] if row["note"] and row["action"] != "CheckAnswered"]
    return lines + [f"- {quoted(row['at'])} {plain(row['actor'])}: {plain(row['note'])}" for row in told]


def _returned(post: Mapping[str, Any], contract: Mapping[str, Any], results: Sequence[Result]) -> list[str]:
    """The last results whole, the older ones by their figures: the log does not grow with what was read."""
    context = compress(contract, {"beliefs": post["beliefs"]}, results)
    lines = ["", "## What the checks returned", "", f"The last {KEEP_LAST} whole, older ones by their figures."]
    for older in context.older:
        lines += ["", f"### {quoted(older.question)} {_of(older.evidence, older.sha256)}", ""]
        lines += [f"- {plain(path)}: {plain(_written(one))}" for path, one in older.statistics.items()]
        lines += [f"- stands out: {plain(line)}" for line in older.anomalies]
    for last in context.last:
        lines += ["", f"### {quoted(last.question)} {_of(last.evidence, last.sha256)}", ""]
        whole = json.dumps(dict(last.data), sort_keys=True, indent=1, ensure_ascii=False, default=str)
        cut = len(whole) > RESULT_CHARS
        lines += ["```json", code(whole[:RESULT_CHARS]), "```", *(["", "Cut; the store has all of it."] if cut else [])]
    return lines


def _of(evidence: int | None, sha256: str) -> str:
    return "(no evidence)" if evidence is None else f"E{evidence}, sha256 {quoted(sha256[:16])}"


def _written(statistics: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in statistics.items())
