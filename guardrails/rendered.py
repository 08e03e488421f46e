"""What an action becomes: its statements, and the names of what it makes."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from guardrails.canonical import canonical
from guardrails.sql.identifier import UnusableName, checked, cut

if TYPE_CHECKING:
    from collections.abc import Mapping

    from guardrails.canonical import Json

NAME_PREFIX = "st_"
"""Every object we create starts so; the target's fence lets only such objects be dropped."""
_NAME_HASH_LENGTH = 10


class UnknownAction(ValueError):
    """A kind or parameters outside the closed set; nothing is rendered for it."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """What an action does, statement by statement; each is sent on its own.

    cleanup removes what a failed run leaves; rollback undoes a finished one. Empty means there is nothing to remove,
    or that it cannot be undone. relations are (schema, table); object_name is what gets created, None if nothing.
    left_over names the indexes in the action's schema that a broken run may leave, one for each cleanup step.
    proof is a query for the diagnosis role whose one row says whether the action took effect; empty if only the alert
    can tell.
    """

    steps: tuple[str, ...]
    cleanup_steps: tuple[str, ...]
    rollback_steps: tuple[str, ...]
    relations: tuple[tuple[str, str], ...]
    object_name: str | None
    proof: str = ""
    left_over: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        return _script(self.steps)

    @property
    def cleanup(self) -> str:
        """Empty when a failed run leaves nothing behind."""
        return _script(self.cleanup_steps)

    @property
    def rollback(self) -> str:
        """Empty when the action cannot be undone."""
        return _script(self.rollback_steps)


def object_name(kind: str, params: Mapping[str, Json], proposal_id: str, about: str) -> str:
    """`st_<10 characters>_<about>`: a second run of the same proposal collides instead of building twice.

    Raises:
        UnknownAction: the proposal id is empty.
    """
    if not proposal_id:
        raise UnknownAction("a proposal without an id")
    document: Json = {"proposal": proposal_id, "kind": kind, "params": params}
    hashed = base64.b32encode(hashlib.sha256(canonical(document)).digest()).decode().lower()
    return cut(f"{NAME_PREFIX}{hashed[:_NAME_HASH_LENGTH]}_{about}")


def check_names(*names: str) -> None:
    """Raises UnknownAction for a name that PostgreSQL would cut or a person could not read."""
    for name in names:
        try:
            checked(name)
        except UnusableName as error:
            raise UnknownAction(str(error)) from error


def _script(statements: tuple[str, ...]) -> str:
    return ";\n".join(statements)
