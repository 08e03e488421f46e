"""A deploy gives the reporting role a tiny work_mem; its report on recent orders, run all day, sorts on disk now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from connectors import named_sql
from lab.faults.fault import CannotInjectError, Change
from lab.faults.held_session import REPORTING, Held, admin, hold, login, release

if TYPE_CHECKING:
    from lab.faults.fault import Surroundings

WORK_MEM = "1MB"
_SQL = named_sql.load("lab.faults", "temp_file_spill.sql")
_SESSIONS = (Held(REPORTING, "daily-report", then=(_SQL["report"],), again_after_s=0.3, anew=True),)
_DEPLOY = Change(service="orders-db", version="roles-17", summary=f"shop_reporting: work_mem = {WORK_MEM}")


@dataclass(frozen=True, slots=True)
class TempFileSpill:
    name: str = "temp-file-spill"
    component: str = "orders-db"
    mechanism: str = "the reporting role's work_mem is too small for its sort, which goes through temporary files"
    mechanism_id: str = "temp_file_spill"
    expected_action: str | None = "set_role_setting"
    change: Change | None = _DEPLOY
    alerts: tuple[str, ...] = ("DatabaseTempBytes",)
    also: tuple[tuple[str, str], ...] = ()

    def inject(self, lab: Surroundings) -> float:
        try:
            login(lab, REPORTING)
            with admin(lab) as connection:
                if connection.execute(_SQL["is_set"].encode(), {"role": REPORTING}).fetchone():
                    raise CannotInjectError(f"{REPORTING} has a work_mem of its own already; undo {self.name} first")
                connection.execute(
                    sql.SQL("ALTER ROLE {} SET work_mem = {}").format(sql.Identifier(REPORTING), sql.Literal(WORK_MEM))
                )
        except psycopg.Error as refused:
            raise CannotInjectError(f"the target refused: {refused}".strip()) from refused
        try:
            return hold(lab, self.name, _SESSIONS)
        except CannotInjectError:
            release(lab, _SESSIONS)
            raise

    def undo(self, lab: Surroundings) -> None:
        release(lab, _SESSIONS)
