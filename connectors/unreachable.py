"""The one error a connector raises about the outside."""

from __future__ import annotations


class Unreachable(Exception):
    """A system did not answer, or refused us.

    permanent: True when trying again with the same settings cannot help (wrong password, unknown
    database, missing privilege); False when a later try may.
    """

    def __init__(self, system: str, why: str, *, permanent: bool = False) -> None:
        super().__init__(f"{system}: {why}")
        self.system = system
        self.why = why
        self.permanent = permanent
