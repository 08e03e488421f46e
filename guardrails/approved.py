"""Approved[Action]: what an executor accepts, and what only judge.admit makes."""

from __future__ import annotations

from dataclasses import InitVar, dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from guardrails.action import Action, Rendered

if TYPE_CHECKING:
    from datetime import datetime

A_co = TypeVar("A_co", bound=Action, covariant=True)


class NotAdmitted(TypeError):
    """Somebody tried to make an Approved without going through judge.admit."""


class _Seal:
    """Held by judge.admit alone; a test keeps it so."""

    __slots__ = ()


SEAL = _Seal()


@dataclass(frozen=True, slots=True)
class Approved(Generic[A_co]):
    """An action that enough people signed, rendered again and compared byte for byte, good until start_by."""

    action: A_co
    rendered: Rendered
    approval_id: str
    digest: str
    approvers: tuple[str, ...]
    start_by: datetime
    seal: InitVar[_Seal]

    def __post_init__(self, seal: _Seal) -> None:
        if seal is not SEAL:
            raise NotAdmitted("only judge.admit makes an Approved")
