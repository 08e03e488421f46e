"""The faults that lie in the shop's services and its traffic, and what only looks like one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lab.faults.fault import Fault

SERVICE_FAULTS: tuple[Fault, ...] = ()
