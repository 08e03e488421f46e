"""Storage parameters: which of them are changed under the weak lock.

Source: reloptions.c of 12 to 18, where each option names the lock needed to change it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrails.sql.lock import Mode

if TYPE_CHECKING:
    from guardrails.sql.lex import Token

_WEAK = frozenset(
    """
    fillfactor toast_tuple_target parallel_workers vacuum_index_cleanup vacuum_truncate deduplicate_items n_distinct
    vacuum_max_eager_freeze_failure_rate log_autovacuum_min_duration log_autoanalyze_min_duration n_distinct_inherited
    """.split()  # noqa: SIM905 a list of names reads better as text
)
_WEAK_PREFIX = "autovacuum_"


def option_names(tokens: tuple[Token, ...]) -> tuple[str, ...]:
    """`a = 1, toast.b = 2` gives a, b."""
    names: list[str] = []
    expecting = True
    for index, token in enumerate(tokens):
        if token.text == ",":
            expecting = True
        elif expecting and token.kind in ("word", "name"):
            if index + 1 < len(tokens) and tokens[index + 1].text == ".":
                continue
            names.append(token.value)
            expecting = False
    return tuple(names)


def lock_of_options(tokens: tuple[Token, ...], kind: str) -> Mode:
    """The lock of SET or RESET of these options; an unknown option counts as the strongest."""
    names = option_names(tokens)
    if kind != "view" and names and all(name in _WEAK or name.startswith(_WEAK_PREFIX) for name in names):
        return Mode.SHARE_UPDATE_EXCLUSIVE
    return Mode.ACCESS_EXCLUSIVE
