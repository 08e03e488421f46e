"""Who waits for whom, walked to the root and drawn as a tree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.database.text import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.database.readings import Row, Rows

PREPARED = 0
"""The pid pg_blocking_pids() gives for a prepared transaction, which has no process."""
LINES_DRAWN = 40


@dataclass(frozen=True, slots=True)
class Blocking:
    """Sessions by pid, and for each that waits for a lock the pids it waits for.

    A blocker may be missing from sessions: hidden, a prepared transaction, or gone since.
    """

    sessions: Mapping[int, Row]
    blocked_by: Mapping[int, tuple[int, ...]]

    @classmethod
    def of(cls, sessions: Rows) -> Blocking:
        """From the reading "sessions"."""
        waits = {row["pid"]: tuple(row["blocked_by"]) for row in sessions if row["blocked_by"]}
        return cls({row["pid"]: row for row in sessions}, waits)

    def roots(self) -> tuple[int, ...]:
        """Pids that block others and wait for nobody, by how many wait behind them. A cycle has none."""
        blockers = {pid for waits_for in self.blocked_by.values() for pid in waits_for}
        found = {pid: len(self.behind(pid)) for pid in blockers if pid not in self.blocked_by}
        return tuple(sorted(found, key=lambda pid: (-found[pid], pid)))

    def behind(self, pid: int) -> frozenset[int]:
        """Everybody who waits for pid, directly or not; never pid itself."""
        found: set[int] = set()
        looked_at = [pid]
        while looked_at:
            for waiter in self.directly_behind(looked_at.pop()):
                if waiter not in found and waiter != pid:
                    found.add(waiter)
                    looked_at.append(waiter)
        return frozenset(found)

    def directly_behind(self, pid: int) -> tuple[int, ...]:
        return tuple(waiter for waiter, waits_for in self.blocked_by.items() if pid in waits_for)

    def queue_is_ddl(self, pid: int) -> bool:
        """Whether only DDL waits for pid, and others wait for that: the queue drains when the DDL stands back."""
        direct = self.directly_behind(pid)
        return all(self.wants_strong_lock(waiter) for waiter in direct) and any(self.behind(one) for one in direct)

    def wants_strong_lock(self, pid: int) -> bool:
        """Whether it waits for a lock on a table with which it will keep others' reads or writes out."""
        return pid in self.blocked_by and bool(self.sessions[pid]["waits_for_strong_lock"])

    def waits_for_table(self, pid: int) -> bool:
        """Whether it waits for a table, not for a row, a transaction or an advisory lock."""
        return bool(self.sessions[pid]["waits_for"] == "relation")

    def longest_wait_s(self, pid: int) -> float:
        """How long the one who has waited longest behind pid has waited."""
        return max((self.sessions[waiter]["waiting_s"] or 0.0 for waiter in self.behind(pid)), default=0.0)

    def tree(self, root: int) -> str:
        """A line a session, indented below the one it waits for; each session once."""
        lines = [self._words(root)]
        self._draw(root, {root}, lines)
        if len(lines) > LINES_DRAWN:
            lines = [*lines[:LINES_DRAWN], f"… and {len(lines) - LINES_DRAWN} more"]
        return "\n".join(lines)

    def _draw(self, root: int, drawn: set[int], lines: list[str]) -> None:
        """Depth first without recursion: a chain may be as long as there are connections."""
        waiting = [(root, pid, "") for pid in reversed(self._below(root, drawn))]
        while waiting:
            parent, pid, indent = waiting.pop()
            more = bool(waiting) and waiting[-1][0] == parent
            lines.append(f"{indent}{'├─' if more else '└─'} {self._words(pid)}")
            deeper = indent + ("│  " if more else "   ")
            waiting += [(pid, below, deeper) for below in reversed(self._below(pid, drawn))]

    def _below(self, pid: int, drawn: set[int]) -> list[int]:
        found = sorted(
            (waiter for waiter in self.directly_behind(pid) if waiter not in drawn),
            key=lambda waiter: -(self.sessions[waiter]["waiting_s"] or 0.0),
        )
        drawn.update(found)
        return found

    def _words(self, pid: int) -> str:
        if pid == PREPARED:
            return "a prepared transaction"
        row = self.sessions.get(pid)
        if row is None:
            return f"process {pid}, not shown"
        who = f"process {pid} {shown(row['user'], 30)}@{shown(row['application'], 30) or '-'}"
        waiting = f", waits {row['waiting_s']:.1f} s" if row["waiting_s"] is not None else ""
        return f"{who} {row['state']}{waiting}: {shown(row['query']) or '-'}"
