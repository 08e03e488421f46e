"""Advice for one statement: at most three indexes, or the reason why there are none."""

from __future__ import annotations

from collections.abc import Sequence  # noqa: TC003 - the alias below is built with it
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.database.advisor.candidates import Extensions, Move, moves, not_indexed
from agent.database.advisor.choice import Chosen, Search
from agent.database.advisor.conditions import demands
from agent.database.advisor.existing import redundant, serving, unusable
from agent.database.advisor.statement import NotUnderstood, Statement, read, tables
from agent.database.snapshot import NotVisible
from agent.database.text import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.database.advisor.catalog import TableProfile
    from agent.database.advisor.demand import Demands
    from agent.database.advisor.trial import Planner, Trial

COST_FLOOR = 1000.0
"""A plan this cheap takes some milliseconds at most (a page read in sequence costs 1): nothing to gain by an index."""
COULD_VALIDATE = "CREATE EXTENSION hypopg, which the server has, would let the planner itself judge it"


@dataclass(frozen=True, slots=True)
class Advice:
    """indexes is empty when nothing helps; reason is one line for people either way.

    profiles are of the tables the statement reads, for rendering; demands None when it was not understood.
    """

    indexes: tuple[Chosen, ...]
    reason: str
    profiles: Mapping[tuple[str, str], TableProfile]
    cost: float | None = None
    demands: Demands | None = None
    plannable: str | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A statement ready to be searched for."""

    statement: Statement
    plannable: str
    base: Trial
    demands: Demands
    profiles: Mapping[tuple[str, str], TableProfile]
    moves: tuple[Move, ...]
    notes: tuple[str, ...]


def advise(
    sql: str,
    planner: Planner,
    *,
    extensions: Extensions,
    user: str | None = None,
    max_bytes: int | None = None,
) -> Advice:
    """What to build for one statement; it is planned, never run. Raises what the planner raises."""
    prepared = prepare(sql, planner, extensions=extensions, user=user)
    if isinstance(prepared, Advice):
        return prepared
    search, chosen = advised(prepared, planner, max_bytes)
    reason = _why(chosen, prepared, planner) if chosen else why_not(prepared, search, max_bytes)
    if prepared.moves and not planner.validates and planner.could_validate:
        reason = f"{reason}; {COULD_VALIDATE}"
    return Advice(chosen, reason, prepared.profiles, prepared.base.cost, prepared.demands, prepared.plannable)


def advised(prepared: Prepared, planner: Planner, max_bytes: int | None = None) -> tuple[Search, tuple[Chosen, ...]]:
    """The search for a prepared statement's indexes, and what it found."""
    search = Search(
        prepared.base,
        prepared.demands,
        prepared.profiles,
        lambda definitions: planner.trial(prepared.plannable, definitions),
        planner.validates,
    )
    return search, search.run(prepared.moves, max_bytes)


def prepare(sql: str, planner: Planner, *, extensions: Extensions, user: str | None) -> Prepared | Advice:
    """Reads and plans a statement as it is; an Advice when that already says there is nothing to build."""
    try:
        statement = read(sql)
    except NotUnderstood as error:
        return _nothing(str(error))
    named = planner.tables(tables(statement.tree), user)
    seen = {name: found for name, found in named.items() if not isinstance(found, NotVisible)}
    profiles = {(profile.schema, profile.table): profile for profile in seen.values()}
    text = planner.plannable(statement.text, user)
    if isinstance(text, NotVisible):
        hidden = [f"{found.what}: {found.why}" for found in named.values() if isinstance(found, NotVisible)]
        return _nothing("; ".join([f"not planned: {text.why}", *hidden[:3]]), profiles)
    base = planner.trial(text, ())
    if isinstance(base, NotVisible):
        return _nothing(f"not planned: {base.why}", profiles)
    wanted = demands(statement, seen)
    if (reason := _hopeless(base, wanted, seen)) is not None:
        return _nothing(reason, profiles, base.cost)
    found = moves(wanted, extensions, writes=statement.kind in {"update", "delete", "merge"})
    kept, notes = _not_served(found, profiles)
    return Prepared(statement, text, base, wanted, profiles, kept, notes)


def _nothing(
    reason: str, profiles: Mapping[tuple[str, str], TableProfile] | None = None, cost: float | None = None
) -> Advice:
    return Advice((), reason, profiles or {}, cost)


def _hopeless(base: Trial, wanted: Demands, seen: Mapping[tuple[str | None, str], TableProfile]) -> str | None:
    """Reasons that need no search."""
    refused = {why for profile in seen.values() if (why := not_indexed(profile)) is not None}
    if not seen:
        return "it reads no table that could be indexed"
    if len(refused) == len({(p.schema, p.table) for p in seen.values()}) or all(not_indexed(p) for p in seen.values()):
        return "; ".join(sorted(refused))
    if base.cost < COST_FLOOR:
        return f"it is cheap as it is (cost {base.cost:.0f}, advice begins at {COST_FLOOR:.0f}){_by_index(base)}"
    if not wanted.atoms and not wanted.alternatives and not wanted.orders:
        return "; ".join(["it has no condition or order that an index could serve", *wanted.notes[:2]])
    return None


def _by_index(base: Trial) -> str:
    names = sorted({str(node["Index Name"]) for node in base.plan.nodes() if node.get("Index Name")})
    return f"; it already uses the index {', '.join(shown(name, 63) for name in names[:3])}" if names else ""


def _not_served(
    found: Sequence[Move], profiles: Mapping[tuple[str, str], TableProfile]
) -> tuple[tuple[Move, ...], tuple[str, ...]]:
    """Without the indexes that are there already, and what to say about those."""
    kept: list[Move] = []
    notes: list[str] = []
    for move in found:
        missing = []
        for definition in move.definitions:
            profile = profiles[definition.schema, definition.table]
            if (index := serving(definition, profile)) is not None:
                notes.append(f"the index {shown(index.name, 63)} already has {_keys(definition.columns)}")
            else:
                missing.append(definition)
        if missing:
            kept.append(Move(tuple(missing)))
    return tuple(dict.fromkeys(kept)), tuple(dict.fromkeys(notes))


def _keys(columns: Sequence[str]) -> str:
    return f"({', '.join(shown(column, 63) for column in columns)})"


def _why(chosen: Sequence[Chosen], prepared: Prepared, planner: Planner) -> str:
    last = chosen[-1]
    validated = all(one.validated for one in chosen)
    how = "by HypoPG" if validated else "estimated from statistics, not validated"
    if not validated and planner.validates:
        how = (
            "partly estimated: HypoPG knows no GIN index" if len(chosen) > 1 else "estimated: HypoPG knows no GIN index"
        )
    parts = [f"cost {prepared.base.cost:.0f} to {last.cost_after or 0:.0f}, {how}"]
    for one in chosen:
        definition = one.definition
        profile = prepared.profiles[definition.schema, definition.table]
        if (index := unusable(definition, profile)) is not None:
            parts.append(f"drop the INVALID index {shown(index.name, 63)} of the same keys first")
        if replaced := redundant(definition, profile):
            parts.append(f"makes {', '.join(shown(name, 63) for name in replaced)} redundant")
        if hot := definition.named_columns() & (profile.updated_columns or frozenset()):
            parts.append(f"updates of {', '.join(shown(name, 63) for name in sorted(hot))} stop being HOT")
    return "; ".join(dict.fromkeys(parts))


def why_not(prepared: Prepared, search: Search, max_bytes: int | None) -> str:
    """Why a searched statement gets no index."""
    parts: list[str] = []
    if not prepared.moves:
        parts.append("nothing is left to index" if prepared.notes else "no index could serve its conditions")
    elif search.best_seen < 1.0:
        off = (1.0 - search.best_seen) * 100
        room = " or fits the budget" if max_bytes is not None else ""
        parts.append(
            f"no index is worth its room{room}: the best one takes {off:.0f} % off the cost {prepared.base.cost:.0f}"
        )
    else:
        judge = "the planner would use" if search.validates else "by the statistics it would gain from"
        parts.append(f"{judge} none of the possible indexes: too many rows pass the conditions")
    return "; ".join([*parts, *prepared.notes[:2], *prepared.demands.notes[:2]])
