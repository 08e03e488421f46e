"""What Slack sends, at the door: signed by then, and still only what has the right shape gets further."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, ValidationError

Id = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9]{1,30}$")]
Ts = Annotated[str, Field(pattern=r"^[0-9]{1,12}\.[0-9]{1,10}$")]


class _Sent(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Ref(_Sent):
    id: Id
    team_id: Id | None = None


class _Container(_Sent):
    message_ts: Ts
    channel_id: Id
    thread_ts: Ts | None = None


class _Pressed(_Sent):
    action_id: str = Field(max_length=255)
    value: str = Field(default="", max_length=2000)


class Pressed(_Sent):
    """block_actions: a button of one of our messages."""

    user: _Ref
    team: _Ref | None = None
    container: _Container
    actions: Annotated[list[_Pressed], Field(min_length=1, max_length=25)]
    trigger_id: str = Field(default="", max_length=500)
    response_url: str = Field(default="", max_length=2000)

    @property
    def team_id(self) -> str:
        return team_of(self.user, self.team)


class _View(_Sent):
    id: str = Field(default="", max_length=100)
    private_metadata: str = Field(default="", max_length=3000)
    state: dict[str, Any] = {}


class Submitted(_Sent):
    """view_submission: one of our modals."""

    user: _Ref
    team: _Ref | None = None
    view: _View

    @property
    def team_id(self) -> str:
        return team_of(self.user, self.team)

    def text(self, block: str, action: str) -> str:
        """What was typed, or chosen; empty when there is nothing."""
        found = _at(self.view.state, "values", block, action)
        value = _at(found, "value") or _at(found, "selected_option", "value")
        return value[:5000] if isinstance(value, str) else ""

    def parameters(self) -> dict[str, str]:
        """Of the edit modal: name to text."""
        blocks = _at(self.view.state, "values")
        names = [name for name in blocks if name.startswith("p_")] if isinstance(blocks, dict) else []
        return {name.removeprefix("p_"): self.text(name, "v") for name in names}


class Commanded(_Sent):
    """A slash command."""

    user_id: Id
    team_id: Id
    channel_id: Id
    text: str = Field(default="", max_length=4000)
    response_url: str = Field(default="", max_length=2000)
    trigger_id: str = Field(default="", max_length=500)


class Button(_Sent):
    """The value of a button: names what it stands for, and is believed only as far as the store agrees."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    a: UUID
    r: StrictInt = Field(ge=1)
    h: Annotated[StrictStr, Field(pattern=r"^[0-9a-f]{12}$")]
    n: Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9_-]{4,40}$")]


class Origin(_Sent):
    """A modal's private_metadata."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    v: str = Field(max_length=2000)
    c: Id
    t: Ts


class NotOurs(ValueError):
    """A payload, or a part of one, that we never sent or do not understand."""


def read(kind: type[Any], content: object) -> Any:
    """Raises NotOurs, without repeating what came in."""
    try:
        return kind.model_validate(content)
    except (ValidationError, RecursionError) as error:
        raise NotOurs(f"no {kind.__name__.lower()}") from error


def read_text(kind: type[Any], text: str) -> Any:
    try:
        return read(kind, json.loads(text))
    except (ValueError, RecursionError) as error:
        raise NotOurs(f"no {kind.__name__.lower()}") from error


def team_of(user: _Ref, team: _Ref | None) -> str:
    """The user's own workspace; in a shared channel it is not the one the request belongs to. Empty: both differ."""
    if user.team_id is not None and team is not None and user.team_id != team.id:
        return ""
    return user.team_id or (team.id if team else "")


def _at(value: object, *path: str) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


Verb = Literal["status", "incidents", "pause", "resume", "ack", "help"]
