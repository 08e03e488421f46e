"""The faults that lie in the target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.faults.missing_index import MissingIndex

if TYPE_CHECKING:
    from lab.faults.fault import Fault

DATABASE_FAULTS: tuple[Fault, ...] = (MissingIndex(),)
