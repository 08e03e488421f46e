"""What can be broken on purpose. A new fault: one module here, one entry in FAULTS."""

from __future__ import annotations

from lab.faults.fault import CannotInjectError, Change, Fault
from lab.faults.missing_index import MissingIndex

__all__ = ["FAULTS", "CannotInjectError", "Change", "Fault", "named"]

FAULTS: tuple[Fault, ...] = (MissingIndex(),)


def named(name: str) -> Fault:
    """Raises ValueError that lists the names there are."""
    for fault in FAULTS:
        if fault.name == name:
            return fault
    raise ValueError(f"no fault is named {name!r}; there are: {', '.join(fault.name for fault in FAULTS)}")
