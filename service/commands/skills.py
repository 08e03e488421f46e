"""skills list, show, validate."""

from __future__ import annotations

import json
from pathlib import Path

import click

from connectors import runbooks
from service.commands.failures import CommandFailed


@click.group(epilog="\b\nExamples:\n  stanch skills list\n  stanch skills show postgres-missing-index")
def skills() -> None:
    """The runbook skills."""


@skills.command("list", epilog="\b\nExample:\n  stanch skills list --json")
@click.option("--json", "json_", is_flag=True)
def list_(json_: bool) -> None:
    """Names, versions, causes."""
    for skill in runbooks.skills().values():
        if json_:
            click.echo(json.dumps({"name": skill.name, "version": skill.version, "causes": list(skill.causes),
                                   "checks": list(skill.checks), "description": skill.description}))  # fmt: skip
        else:
            click.echo(f"{skill.name:28} v{skill.version:4} {len(skill.checks):2} checks  {', '.join(skill.causes)}")


@skills.command(epilog="\b\nExample:\n  stanch skills show postgres-missing-index")
@click.argument("name")
def show(name: str) -> None:
    """One skill's text."""
    found = runbooks.skills().get(name)
    if found is None:
        raise CommandFailed(f"there is no skill {name!r}; see stanch skills list")
    click.echo(found.body)


@skills.command(epilog="\b\nExample:\n  stanch skills validate runbooks")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path), default=runbooks.SEED)
def validate(folder: Path) -> None:
    """Read every skill of a folder; exit 2 at the first that cannot be used."""
    for name in runbooks.skills(folder):
        click.echo(f"{name}: usable")
