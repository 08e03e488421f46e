"""Who clicked: our own list says which Slack user is whom, Slack says whether that account is a full member today."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from connectors.unreachable import Unreachable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


_NOT_MEMBERS: Mapping[str, str] = {
    "deleted": "the account is deactivated",
    "is_bot": "a bot decides nothing",
    "is_workflow_bot": "a bot decides nothing",
    "is_restricted": "a guest decides nothing",
    "is_ultra_restricted": "a guest decides nothing",
    "is_stranger": "the account belongs to another workspace",
}


class Directory(Protocol):
    """What of Slack is asked at a click."""

    def user(self, user_id: str) -> dict[str, Any]: ...
    def members(self, usergroup: str) -> Sequence[str]: ...


@dataclass(frozen=True, slots=True)
class People:
    """The mapping of stanch.yaml. team: ours; a click from anywhere else counts for nothing. usergroup: empty, or a
    group in which an approver has to be as well; it narrows the list and never widens it.
    """

    team: str
    person_of: Mapping[str, str]
    usergroup: str = ""

    def user_of(self, person: str) -> str | None:
        return next((user for user, name in self.person_of.items() if name == person), None)

    def known(self, team_id: str, user_id: str) -> Known | Stranger:
        """From our own list alone: asks nobody."""
        if not self.team or team_id != self.team:
            return Stranger("you belong to another workspace")
        person = self.person_of.get(user_id)
        if person is None:
            return Stranger("nobody told me who you are here: ask for an entry under slack.people in stanch.yaml")
        return Known(person, user_id)

    def confirmed(self, known: Known, directory: Directory) -> Known | Stranger:
        """Asked of Slack at the click, and nothing of it is remembered. Slack away: refused."""
        try:
            why = self._not_a_member(known, directory)
        except Unreachable:
            why = "Slack does not say who you are at the moment; decide on the page instead"
        return Stranger(why) if why else known

    def _not_a_member(self, known: Known, directory: Directory) -> str:
        user = directory.user(known.user_id)
        if user.get("id") != known.user_id or user.get("team_id") != self.team:
            return "the account belongs to another workspace"
        for mark, why in _NOT_MEMBERS.items():
            if user.get(mark):
                return why
        if self.usergroup and known.user_id not in directory.members(self.usergroup):
            return "you are not in the user group of the approvers"
        return ""


@dataclass(frozen=True, slots=True)
class Known:
    person: str
    user_id: str


@dataclass(frozen=True, slots=True)
class Stranger:
    """why: a sentence for the person."""

    why: str
