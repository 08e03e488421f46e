"""One example of every action, over the world of test_actions_live: table "Sales"."order;s"."""

from __future__ import annotations

from guardrails.action import Action, CreateIndexConcurrently
from guardrails.index_action import CreatePartitionedIndex, DropIndexConcurrently, ReindexIndexConcurrently
from guardrails.server_action import (
    AlterSystemReload,
    CancelBackend,
    DropReplicationSlot,
    RollbackPrepared,
    SetRoleSetting,
    TerminateBackend,
)
from guardrails.table_action import (
    AddConstraintNotValid,
    AnalyzeTable,
    CreateStatistics,
    SetStatisticsTarget,
    SetTableStorage,
    VacuumTable,
    ValidateConstraint,
)

TABLE = ("Sales", "order;s")
STARTED = "2026-11-21T12:00:00.123456+00:00"

FIX_ACTIONS: tuple[Action, ...] = (
    CreateIndexConcurrently(*TABLE, ("customer id", "order")),
    ReindexIndexConcurrently(*TABLE, "theirs"),
    AnalyzeTable(*TABLE),
    AnalyzeTable(*TABLE, ("order",)),
    VacuumTable(*TABLE),
    VacuumTable(*TABLE, analyze=False, freeze=True),
    SetStatisticsTarget(*TABLE, "order", 500),
    CreateStatistics(*TABLE, ("customer id", "order")),
    SetTableStorage(*TABLE, "autovacuum_vacuum_scale_factor", "0.01"),
    SetTableStorage(*TABLE, "fillfactor", "90", "80"),
    AddConstraintNotValid(*TABLE, ("customer id",)),
    AddConstraintNotValid(*TABLE, ("customer id",), "Sales", "customers", ("id",)),
    ValidateConstraint(*TABLE, "unchecked"),
)
OPT_IN_ACTIONS: tuple[Action, ...] = (
    CreatePartitionedIndex("Sales", "parts", ("id",), ("part one", "part two")),
    DropIndexConcurrently(*TABLE, "theirs", ("order",)),
)
SERVER_ACTIONS: tuple[Action, ...] = (
    CancelBackend(4711, STARTED),
    TerminateBackend(4711, STARTED),
    SetRoleSetting("app", "statement_timeout", "30s"),
    SetRoleSetting("Odd'role", "connection_limit", "20", "-1"),
    AlterSystemReload("max_wal_size", "8GB", "1GB"),
    RollbackPrepared("o'clock"),
    DropReplicationSlot("standby_1"),
)
EVERY_ACTION = (*FIX_ACTIONS, *OPT_IN_ACTIONS, *SERVER_ACTIONS)
