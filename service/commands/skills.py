"""skills list, show, validate, diff, revert, export.

What is in use is asked of the API, with a person's token. Without one, list, show and export know the tree's own.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click

from service.commands.failures import CommandFailed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from service.commands.api_client import ApiClient

SEEDS = Path(__file__).resolve().parents[2] / "runbooks"
_UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]")
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")

as_json = click.option("--json", "json_", is_flag=True, help="JSON instead of words.")
from_tree = click.option("--seeds", is_flag=True, help="The skills that come with the tree, whatever is in use.")


class Library(Protocol):
    """Where skills are read from. Each raises CommandFailed."""

    def listed(self) -> dict[str, Any]: ...

    def files(self, name: str, ref: str | None = None) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class InUse:
    """What the API answers."""

    api: ApiClient

    def listed(self) -> dict[str, Any]:
        return self.api.get("/api/v1/skills")

    def history(self, name: str) -> dict[str, Any]:
        return self.api.get(f"/api/v1/skills/{_named(name)}")

    def files(self, name: str, ref: str | None = None) -> dict[str, Any]:
        """One version with its files; ref None: the one in use."""
        if ref is None:
            ref = self.history(name)["champion"]
            if ref is None:
                raise CommandFailed(f"{name} is retired; name a version: stanch skills show {name} --version 1")
        return self.api.get(f"/api/v1/skills/{_named(name)}/versions/{_reference(ref)}")


@dataclass(frozen=True, slots=True)
class Tree:
    """The skills that come with the tree: one version each. instead: why the API was not asked, said with an answer."""

    instead: str = ""

    def listed(self) -> dict[str, Any]:
        from agent.runbook.compose import load
        from connectors.runbooks import texts

        self.told()
        whole, problems = load(texts())
        rows = [
            {"name": one.name, "description": one.description, "version": None, "sha256": one.pins[one.name],
             "source": "seed", "causes": list(one.causes), "checks": list(one.checks)}
            for one in whole.values()
        ]  # fmt: skip
        return {"skills": rows, "problems": problems}

    def files(self, name: str, ref: str | None = None) -> dict[str, Any]:
        from agent.runbook.files import digest
        from connectors.runbooks import texts

        if ref is not None:
            raise CommandFailed("the tree holds one version of each skill; versions are known where Stanch runs")
        known = texts()
        if name not in known:
            raise CommandFailed(f"there is no skill {name!r}; see stanch skills list")
        return {"name": name, "version": None, "sha256": digest(known[name]), "files": dict(known[name])}

    def told(self) -> None:
        if self.instead:
            click.echo(f"{self.instead}. These are the skills that come with the tree.", err=True)


def library(*, seeds: bool) -> Library:
    """The API's where there is a token for it, else the tree's, and says so."""
    if seeds:
        return Tree()
    try:
        return _in_use()
    except CommandFailed as error:
        return Tree(str(error))


def _in_use() -> InUse:
    from service.commands.api_client import ApiClient as Client  # --help does not pay for an HTTP client

    return InUse(Client())


def _named(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise CommandFailed(f"{_safe(name)!r} is no skill's name: lower-case words joined by hyphens")
    return name


def _reference(ref: str) -> str:
    if not re.fullmatch(r"[1-9][0-9]{0,8}|[0-9a-f]{6,64}", ref):
        raise CommandFailed(f"{_safe(ref)!r} is no version: a number, or at least 6 characters of its sha256")
    return ref


def _safe(text: object) -> str:
    """Text from outside without escape and bidirectional characters, which could rewrite a terminal."""
    return _UNSAFE.sub("\ufffd", str(text))


@click.group(
    epilog="\b\nExamples:\n  stanch skills list\n  stanch skills show postgres-missing-index"
    "\n  stanch skills diff postgres-locks 1 3\n  stanch skills revert postgres-locks --to 2 --reason 'asks too much'"
)
def skills() -> None:
    """The runbook skills: what is in use, what it was before, and the way back."""


@skills.command("list", epilog="\b\nExamples:\n  stanch skills list\n  stanch skills list --seeds --json")
@from_tree
@as_json
def list_(seeds: bool, json_: bool) -> None:
    """Names, versions, causes. Exit 1 when a skill cannot be used."""
    found = library(seeds=seeds).listed()
    for one in found["skills"]:
        if json_:
            click.echo(json.dumps(one))
            continue
        version = f"v{one['version']}" if one["version"] else "seed"
        causes = ", ".join(one["causes"])
        click.echo(f"{one['name']:24} {version:5} {one['sha256'][:12] if one['sha256'] else '-':12} {causes}")
    for name, why in found["problems"].items():
        if json_:
            click.echo(json.dumps({"name": name, "problem": why}))
        else:
            click.echo(click.style(f"{name:24} not in use: {_safe(why)}", fg="red"))
    if found["problems"]:
        sys.exit(1)


@skills.command(
    epilog="\b\nExamples:\n  stanch skills show postgres-missing-index"
    "\n  stanch skills show postgres-locks --version 2 --json"
)
@click.argument("name")
@click.option("--version", "ref", help="A number, or the beginning of its sha256; default: what is in use.")
@from_tree
@as_json
def show(name: str, ref: str | None, seeds: bool, json_: bool) -> None:
    """One skill's text, and the versions there are of it."""
    known = library(seeds=seeds)
    found = known.files(name, ref)
    history = known.history(name) if isinstance(known, InUse) else None
    if isinstance(known, Tree):
        known.told()
    if json_:
        click.echo(json.dumps({**found, "history": history}))
        return
    click.echo(_safe(found["files"].get("SKILL.md", "it has no SKILL.md")))
    for one in history["versions"] if history else ():
        mark = "in use" if history and one["sha256"] == history["champion"] else ""
        click.echo(f"v{one['version']:<4} {one['sha256'][:12]}  {one['source']:6} {one['created_at'][:19]}  "
                   f"{_safe(one['note'])[:60]:60} {mark}")  # fmt: skip


@skills.command(epilog="\b\nExamples:\n  stanch skills validate\n  stanch skills validate ./runbooks --json")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path), default=SEEDS)
@as_json
def validate(folder: Path, json_: bool) -> None:
    """Read every skill of a folder, composed as they would be. Exit 1 when one cannot be used; each problem is told."""
    problems, usable = _validated(folder)
    for name in usable:
        click.echo(json.dumps({"name": name, "usable": True}) if json_ else f"{name}: usable")
    for name, why in problems:
        told = json.dumps({"name": name, "usable": False, "problem": why})
        click.echo(told if json_ else click.style(f"{name}: {_safe(why)}", fg="red"))
    if problems:
        sys.exit(1)


def _validated(folder: Path) -> tuple[list[tuple[str, str]], list[str]]:
    from agent.runbook.catalogue import problems as unknown_questions
    from agent.runbook.compose import load
    from agent.runbook.skill import UnusableSkill
    from connectors.runbooks import read_folder

    texts: dict[str, Mapping[str, str]] = {}
    problems: list[tuple[str, str]] = []
    for place in sorted(path for path in folder.iterdir() if path.is_dir()):
        if not (place / "SKILL.md").is_file():
            problems.append((place.name, f"{place}: no SKILL.md in it"))
            continue
        try:
            texts[place.name] = read_folder(place)
        except UnusableSkill as error:
            problems.append((place.name, str(error)))
    if not texts and not problems:
        raise CommandFailed(f"{folder} holds no skill: a folder for each, with a SKILL.md")
    whole, broken = load(texts)
    problems += list(broken.items())
    problems += [(name, why) for name, one in whole.items() for why in unknown_questions(one)]
    bad = {name for name, _ in problems}
    return sorted(problems), [name for name in whole if name not in bad]


@skills.command(
    epilog="\b\nExamples:\n  stanch skills diff postgres-locks          what the last change was"
    "\n  stanch skills diff postgres-locks 1        version 1 against what is in use"
    "\n  stanch skills diff postgres-locks 1 3 --json"
)
@click.argument("name")
@click.argument("before", required=False)
@click.argument("after", required=False)
@as_json
def diff(name: str, before: str | None, after: str | None, json_: bool) -> None:
    """Two versions of a skill as a unified diff. BEFORE: default the one that the second was made from."""
    from agent.runbook.diff import unified

    known = _in_use()
    second = known.files(name, after)
    if before is None and second["parent"] is None:
        raise CommandFailed(f"version {second['version']} of {name} is its first; name two to compare")
    first = known.files(name, before or second["parent"])
    names = (f"{name}@{first['version']}", f"{name}@{second['version']}")
    lines = unified(first["files"], second["files"], names)
    if json_:
        click.echo(
            json.dumps({"name": name, "before": first["sha256"], "after": second["sha256"], "diff": list(lines)})
        )
        return
    for line in lines:
        click.echo(click.style(_safe(line), fg=_COLOURS.get(line[:1])))
    if not lines:
        click.echo(f"{names[0]} and {names[1]} are the same text")


_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


@skills.command(epilog="\b\nExample:\n  stanch skills revert postgres-locks --to 2 --reason 'asks too much'")
@click.argument("name")
@click.option("--to", required=True, help="The version to bring back: a number, or the beginning of its sha256.")
@click.option("--reason", required=True, help="Why; it goes into the audit trail.")
@as_json
def revert(name: str, to: str, reason: str, json_: bool) -> None:
    """Bring an earlier version into use for new incidents. It takes an admin; what is under way keeps its text."""
    answer = _in_use().api.post(f"/api/v1/skills/{_named(name)}/promotion", {"to": _reference(to), "reason": reason})
    if json_:
        click.echo(json.dumps(answer))
        return
    click.echo(f"{name} is at version {answer['version']} again ({answer['sha256'][:12]})")


@skills.command(
    epilog="\b\nExamples:\n  stanch skills export ./runbooks\n  stanch skills export ./skills-of-ours --git"
)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--git", is_flag=True, help="Commit what changed, in a repository that is made when there is none.")
@from_tree
@as_json
def export(folder: Path, git: bool, seeds: bool, json_: bool) -> None:
    """Write what is in use as folders, byte for byte as it is stored."""
    known = library(seeds=seeds)
    written = []
    for one in known.listed()["skills"]:
        found = known.files(one["name"], one["sha256"] if isinstance(known, InUse) else None)
        _write(folder, found["name"], found["files"])
        written.append({"name": found["name"], "version": found["version"], "sha256": found["sha256"]})
    commit = _committed(folder, written) if git else None
    if json_:
        click.echo(json.dumps({"folder": str(folder), "skills": written, "commit": commit}))
        return
    click.echo(f"{len(written)} skills in {folder}" + (f", commit {commit[:12]}" if commit else ""))


def _write(folder: Path, name: str, files: Mapping[str, str]) -> None:
    """The files, and nothing else of the skill's own: one that is gone from the version is gone from the folder."""
    from agent.runbook.files import checked
    from agent.runbook.skill import UnusableSkill

    try:
        checked(_named(name), files)
    except UnusableSkill as error:
        raise CommandFailed(str(error)) from error
    place = folder / name
    try:
        for part in ("references", "evals"):
            for path in (place / part).glob("*") if (place / part).is_dir() else ():
                if f"{part}/{path.name}" not in files and path.suffix in {".yaml", ".md"}:
                    path.unlink()
        for path_, text in files.items():
            path = place / path_
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())
    except OSError as error:
        raise CommandFailed(f"{place}: {error.strerror}") from error


def _committed(folder: Path, written: list[dict[str, Any]]) -> str | None:
    """The commit's id; None when nothing changed."""
    if not (folder / ".git").exists():
        _git(folder, "init", "--quiet")
    _git(folder, "add", "--", *(one["name"] for one in written))
    if not _git(folder, "status", "--porcelain", "--", *(one["name"] for one in written)):
        return None
    texts = "\n".join(f"{one['name']} {one['version'] or 'seed'} {one['sha256']}" for one in written)
    _git(folder, "-c", "user.name=Stanch", "-c", "user.email=stanch@localhost", "commit", "--quiet", "-m",
         f"Skills in use\n\n{texts}", "--", *(one["name"] for one in written))  # fmt: skip
    return _git(folder, "rev-parse", "HEAD").strip()


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False)
    except OSError as error:
        raise CommandFailed(f"git cannot be run: {error.strerror}") from error
    if done.returncode:
        raise CommandFailed(f"git {arguments[0]}: {done.stderr.strip()[:300]}")
    return done.stdout
