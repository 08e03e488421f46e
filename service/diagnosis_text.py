"""A diagnosis as a person reads it in a terminal: texts from the database on one line, with nothing invisible."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import click

from agent.database.finding import SEVERITIES
from agent.database.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.database.doctor import Report
    from agent.database.finding import Finding, ProposedAction
    from agent.database.snapshot import NotVisible, TargetIdentity

WIDTH = 110
_COLOURS = {"critical": "red", "warning": "yellow", "notice": "cyan"}
_PLURALS = {"critical": "critical", "warning": "warnings", "notice": "notices"}
_LONGEST_LINE = 2_000


def as_text(target: TargetIdentity | None, name: str, role: str, report: Report, seconds: float) -> str:
    """The whole report, with colours as terminal codes; click.echo() takes them out where there is no terminal.

    target None: the server would not let us in, and report says why.
    """
    lines = [_heading(target, name, seconds), ""]
    lines.append(_summary(report))
    for finding in report.findings:
        lines += ["", *_finding(finding)]
    if report.not_visible:
        lines += ["", click.style("Not visible", bold=True), *_not_visible(report.not_visible, role)]
    return "\n".join(lines)


def _heading(target: TargetIdentity | None, name: str, seconds: float) -> str:
    if target is None:
        return click.style(shown(name, WIDTH), bold=True)
    major, minor = divmod(target.server_version_num, 10_000)
    kind = "standby" if target.in_recovery else "primary"
    what = f"{shown(target.database, 63)} at {shown(name, 80)}, PostgreSQL {major}.{minor}, {kind}"
    return f"{click.style(what, bold=True)}, looked at for {seconds:.0f} s"


def _summary(report: Report) -> str:
    counts = {one: sum(finding.severity == one for finding in report.findings) for one in SEVERITIES}
    said = [
        click.style(f"{count} {_PLURALS[one] if count != 1 else one}", fg=_COLOURS[one], bold=True)
        for one, count in counts.items()
        if count
    ]
    if said:
        return ", ".join(said)
    return "Nothing found" + (" in what could be seen" if report.not_visible else "")


def _finding(finding: Finding) -> Iterator[str]:
    badge = click.style(finding.severity.upper(), fg=_COLOURS[finding.severity], bold=True)
    yield f"{badge}  {click.style(_line(finding.title), bold=True)}  [{finding.incident_class}]"
    for sentence in finding.evidence:
        yield from _wrapped(sentence, "  - ")
    for drawn in finding.diagram.splitlines():
        yield f"      {_line(drawn)}"
    for sentence in finding.ruled_out:
        yield from _wrapped(f"({sentence})", "    ")
    yield from _actions(finding)
    if finding.advice:
        yield from _wrapped(f"Advice: {finding.advice}", "  ")
    yield from _wrapped(f"Then check: {finding.verification}", "  ")
    if finding.rollback:
        yield from _wrapped(f"To undo: {finding.rollback}", "  ")


def _actions(finding: Finding) -> Iterator[str]:
    if finding.action is None:
        yield "  No safe command of ours for it."
        return
    lock = f"takes {finding.action.lock} on the table" if finding.action.lock else "locks no table"
    yield from _wrapped(f"Fix ({lock}; privilege: {finding.privilege}):", "  ")
    yield from _commands(finding.action)
    if finding.further_actions:
        yield f"  and likewise {len(finding.further_actions)} more:"
        for action in finding.further_actions:
            yield from _commands(action)


def _commands(action: ProposedAction) -> Iterator[str]:
    for command in action.command.splitlines():
        yield click.style(f"      {_line(command)}", fg="green")
    for command in action.rollback.splitlines():
        yield f"      {click.style('undo:', dim=True)} {_line(command)}"


def _not_visible(unseen: tuple[NotVisible, ...], role: str) -> Iterator[str]:
    for one in unseen:
        yield from _wrapped(f"{one.what}: {one.why}", "  - ")
        if one.grant:
            yield click.style(f"      {_line(granted(one, role))}", fg="green")


def granted(unseen: NotVisible, role: str) -> str:
    """The GRANT for the role that looked, its name quoted."""
    quoted = '"' + role.replace('"', '""') + '"'
    return unseen.grant.replace("<diagnose role>", quoted)


def _wrapped(text: str, bullet: str) -> list[str]:
    return textwrap.wrap(
        _line(text),
        WIDTH,
        initial_indent=bullet,
        subsequent_indent=" " * len(bullet),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _line(text: str) -> str:
    """Names in commands are not shortened: what is shown is what would run."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text[:_LONGEST_LINE])
