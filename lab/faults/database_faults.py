"""The faults that lie in the target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.faults.ddl_lock_queue import DdlLockQueue
from lab.faults.idle_in_transaction import IdleInTransaction
from lab.faults.invalid_index import InvalidIndex
from lab.faults.missing_index import MissingIndex
from lab.faults.old_xmin import OldXmin
from lab.faults.outdated_statistics import OutdatedStatistics
from lab.faults.row_lock_pile_up import RowLockPileUp
from lab.faults.runaway_query import RunawayQuery
from lab.faults.service_faults import SERVICE_FAULTS
from lab.faults.temp_file_spill import TempFileSpill
from lab.faults.two_at_once import TwoAtOnce

if TYPE_CHECKING:
    from lab.faults.fault import Fault

_OF_SERVICES = {fault.name: fault for fault in SERVICE_FAULTS}

DATABASE_FAULTS: tuple[Fault, ...] = (
    MissingIndex(),
    OutdatedStatistics(),
    IdleInTransaction(),
    RowLockPileUp(),
    DdlLockQueue(),
    RunawayQuery(),
    OldXmin(),
    TempFileSpill(),
    InvalidIndex(),
    TwoAtOnce(MissingIndex(), _OF_SERVICES["slow-dependency"]),
    TwoAtOnce(IdleInTransaction(), _OF_SERVICES["bad-deploy"]),
)
