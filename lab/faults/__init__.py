"""What can be broken on purpose. A new fault: one module here, one entry in DATABASE_FAULTS or SERVICE_FAULTS."""

from __future__ import annotations

from lab.faults.database_faults import DATABASE_FAULTS
from lab.faults.fault import CannotInjectError, Change, Fault, Surroundings
from lab.faults.service_faults import SERVICE_FAULTS

__all__ = ["FAULTS", "CannotInjectError", "Change", "Fault", "Surroundings", "named"]

FAULTS: tuple[Fault, ...] = (*DATABASE_FAULTS, *SERVICE_FAULTS)


def named(name: str) -> Fault:
    """Raises ValueError that lists the names there are."""
    for fault in FAULTS:
        if fault.name == name:
            return fault
    raise ValueError(f"no fault is named {name!r}; there are: {', '.join(fault.name for fault in FAULTS)}")
