"""A function that ends sessions, drops slots or reaches the server's files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrails.rules.rule import Rule

if TYPE_CHECKING:
    from guardrails.rules.rule import Context
    from guardrails.sql.statement import Operation

_DANGEROUS = frozenset(
    {
        "pg_cancel_backend",
        "pg_drop_replication_slot",
        "pg_promote",
        "pg_read_binary_file",
        "pg_read_file",
        "pg_reload_conf",
        "pg_rotate_logfile",
        "pg_switch_wal",
        "pg_terminate_backend",
        "pg_wal_replay_pause",
    }
)
_PREFIXES = ("pg_stat_reset", "lo_export", "lo_import", "pg_replication_origin_", "pg_create_", "pg_copy_", "pg_sleep")


def _acts_on_the_server(operation: Operation, _context: Context) -> bool:
    return operation.detail in _DANGEROUS or operation.detail.startswith(_PREFIXES)


RULE = Rule(
    name="dangerous_call",
    level="refuse",
    on=frozenset({"call"}),
    why="{detail}() acts on the whole server",
    fix="let a person run it by hand, or use the action of Stanch that does it with an approval",
    applies=_acts_on_the_server,
    new_relations_too=True,
)
