"""What is set for a role, by the reading "role_settings"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.database.snapshot import NotVisible

if TYPE_CHECKING:
    from agent.database.readings import Readings


def role_setting(readings: Readings, role: str, setting: str) -> str | NotVisible | None:
    """The value for the role in all databases; None when it is not set.

    NotVisible too when it is set for one database: ALTER ROLE without IN DATABASE would change nothing there.
    """
    rows = readings.rows("role_settings")
    if isinstance(rows, NotVisible):
        return rows
    own = [row for row in rows if row["role"] == role and row["setting"] == setting]
    if any(row["database"] is not None for row in own):
        return NotVisible(f"{setting} of {role}", "it is set for this database, which goes before the role's own")
    return next((str(row["value"]) for row in own), None)
