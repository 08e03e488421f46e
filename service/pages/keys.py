"""The name of an incident in an address."""

from __future__ import annotations

import re

_KEY = re.compile(r"INC-([1-9][0-9]{0,17})", re.ASCII)


def incident_id(key: str) -> int | None:
    """None for anything that cannot be one."""
    found = _KEY.fullmatch(key)
    return int(found[1]) if found else None
