"""What the advisor knows of a table: columns with their statistics, indexes as they are, how often it is written."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """type as format_type() writes it. c_collation: compared byte by byte, so LIKE needs no operator class.

    n_distinct as in pg_stats (negative: a share of the rows). common_values and common_shares go together. None and
    empty: no statistics, or none that this role may see.
    """

    name: str
    type: str
    c_collation: bool = False
    n_distinct: float | None = None
    null_share: float | None = None
    width_bytes: int | None = None
    correlation: float | None = None
    common_values: tuple[str, ...] = ()
    common_shares: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class IndexKey:
    """A key as pg_get_indexdef() writes it; column None for an expression, opclass "" for the type's default."""

    text: str
    column: str | None
    opclass: str = ""
    descending: bool = False
    nulls_first: bool = False


@dataclass(frozen=True, slots=True)
class IndexProfile:
    """An index that is there. predicate "" when it covers every row. usable: valid and ready."""

    name: str
    method: str
    keys: tuple[IndexKey, ...]
    include: tuple[str, ...]
    predicate: str
    usable: bool
    unique: bool
    bytes: int


@dataclass(frozen=True, slots=True)
class TableProfile:
    """kind is pg_class.relkind. rows None: never analysed. bytes without indexes.

    leaves are (schema, table) of the leaf partitions. inserts and updates are rows since the statistics were reset:
    those of repeated statements where pg_stat_statements shows them, so that one load does not count, else the
    table's own counters. hot_share is how many of the updates touched no index. updated_columns are those that known
    UPDATE statements set, None when no statements were to be seen.
    """

    schema: str
    table: str
    kind: str
    rows: float | None
    bytes: int
    columns: tuple[ColumnProfile, ...]
    indexes: tuple[IndexProfile, ...] = ()
    leaves: tuple[tuple[str, str], ...] = ()
    temporary: bool = False
    inserts: int = 0
    updates: int = 0
    hot_share: float = 0.0
    updated_columns: frozenset[str] | None = None

    def column(self, name: str) -> ColumnProfile | None:
        return next((column for column in self.columns if column.name == name), None)

    @property
    def system(self) -> bool:
        return self.schema in {"pg_catalog", "information_schema", "pg_toast"}

    def distinct(self, name: str) -> float:
        """Values in a column; PostgreSQL's own default (DEFAULT_NUM_DISTINCT) without statistics."""
        column = self.column(name)
        if column is None or column.n_distinct is None or not self.rows:
            return 200.0
        return max(1.0, -column.n_distinct * self.rows if column.n_distinct < 0 else column.n_distinct)
