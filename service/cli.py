"""`stanch`: loads the one command that was called."""

from __future__ import annotations

import importlib

import click

COMMANDS: dict[str, tuple[str, str]] = {
    "serve": ("service.commands.processes:serve", "The API: webhooks, decisions, pages."),
    "worker": ("service.commands.processes:worker", "A Celery worker for the queues agent and causal."),
    "executor": ("service.commands.processes:executor", "The only process that changes a target."),
    "dev": ("service.commands.development:dev", "All of them on embedded servers, in one terminal."),
    "demo": ("service.commands.development:demo", "A shop, a fault, the whole story as it happens."),
    "migrate": ("service.commands.operations:migrate", "Bring the store up to date."),
    "doctor": ("service.commands.operations:doctor", "Check every setting and every connection."),
    "token": ("service.commands.operations:token", "Make a personal API token."),
    "keys": ("service.commands.operations:keys", "Make a signing key and its verify key."),
    "target": ("service.commands.operations:target", "What a target needs before Stanch may act on it."),
    "audit": ("service.commands.operations:audit", "The audit chain."),
    "incidents": ("service.commands.incidents:incidents", "List incidents."),
    "show": ("service.commands.incidents:show", "One incident."),
    "approve": ("service.commands.incidents:approve", "Approve a proposed fix."),
    "edit": ("service.commands.incidents:edit", "Change a proposed fix before it is decided."),
    "deny": ("service.commands.incidents:deny", "Deny a proposed fix."),
    "investigate": ("service.commands.incidents:investigate", "Ask for another look."),
    "close": ("service.commands.incidents:close", "Close an incident that waits for a human."),
    "pause": ("service.commands.incidents:pause", "The kill switch: nothing starts."),
    "resume": ("service.commands.incidents:resume", "Let executions start again."),
    "skills": ("service.commands.skills:skills", "The runbook skills and their counts."),
    "learn": ("service.commands.learn:learn", "Let the skills get better by keep or revert."),
    "diagnose": ("service.commands.diagnose:diagnose", "What is wrong with a database now, and what cures it."),
    "rank": ("service.commands.rank:rank", "Rank root causes of a case of metrics."),
    "advise": ("service.commands.advise:advise", "Advise indexes for a statement or a workload."),
    "sql": ("service.commands.sql:sql", "Judge SQL: locks, dangers, read-only."),
    "lab": ("service.commands.lab:lab", "The simulated production."),
    "bench": ("service.commands.bench:bench", "Measure."),
}
"""Name, where it lives, what it does: --help must not load them all."""


class LazyGroup(click.Group):
    """Imports a command's module when the command is called."""

    def __init__(self, commands: dict[str, tuple[str, str]], **attributes: object) -> None:
        super().__init__(**attributes)  # type: ignore[arg-type]  # click's own keywords
        self._places = commands

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 click's interface
        return list(self._places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 click's interface
        if cmd_name not in self._places:
            return None
        module, _, name = self._places[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, words) for name, (_, words) in self._places.items()])


EPILOG = """\b
Examples:
  stanch demo                          see the whole promise on this machine
  stanch incidents                     what is going on
  stanch show INC-1                    why, and what is proposed
  stanch approve INC-1                 let it run
  stanch pause --reason "failover"     nothing starts
"""


@click.command(
    cls=LazyGroup,
    commands=COMMANDS,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
def group() -> None:
    """Stanch: finds the cause, proposes a fix that blocks nobody, waits for a human, checks that it worked."""


def main() -> None:
    """Exit codes: 0 it ran, 1 it ran and the answer is no, 2 unusable input or settings."""
    from service.commands.failures import told  # noqa: PLC0415 keeps --help free of everything else

    with told():
        group(prog_name="stanch")


if __name__ == "__main__":
    main()
