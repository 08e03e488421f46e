"""What a page asks on top before something that cannot be undone, or that reaches a whole server, is approved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from connectors.store.store import Row
    from service.identity import Person


def missing(proposal: Row, person: Person, typed_target: str) -> Literal["login", "target"] | None:
    """What this person still owes before a high-risk approval counts: a login of just now, or the target's name."""
    if proposal["verdict"]["risk"] != "high":
        return None
    if typed_target.strip() != proposal["target"]:
        return "target"
    return None if person.logged_in_just_now else "login"
