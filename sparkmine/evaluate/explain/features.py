"""The columns of a model as a reader thinks of them: what stems from one column is one feature.

One-hot columns of one source, a number and its buckets, the parts of one date: to change one of
them alone would make rows that cannot be. They are changed together, and so are an array's
elements.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from sparkmine.errors import ConfigError
from sparkmine.recipe.columns import (
    ARRAY,
    ONE_HOT,
    SPARK_VECTOR,
    SPARSE,
    VECTOR,
    ColumnInfo,
    columns_of,
)

if TYPE_CHECKING:
    from pyspark.sql.types import StructType

# A feature's kind: what its first column holds, or all of them are one-hot.
NUMBERS, VALUES, ONE_OF, ARRAYS = "numbers", "values", "one of", "arrays"


@dataclass(frozen=True, kw_only=True)
class Feature:
    """Columns that are changed together.

    Fields:
        kind: `numbers`, `values` (texts, truth values), `one of` (one-hot columns) or `arrays`.
    """

    name: str
    columns: tuple[str, ...]
    kind: str

    @property
    def has_grid(self) -> bool:
        """Whether its values can be drawn beside one another."""
        return self.kind != ARRAYS

    def value_of(self, column: str) -> str:
        """The value that a one-hot column stands for: `shop_is_north` for north."""
        return column.removeprefix(f"{self.name}_").removeprefix("is_")

    def text(self, table: pa.Table, row: int) -> str:
        """What a row has, in words; empty for arrays."""
        if self.kind == ARRAYS:
            return ""
        if self.kind == ONE_OF:
            hot = [name for name in self.columns if table.column(name)[row].as_py()]
            return " and ".join(self.value_of(name) for name in hot) or "none"
        return words(table.column(self.columns[0])[row].as_py())


def words(value: object) -> str:
    """A value for readers: four digits of a fraction, `missing` for None."""
    if value is None or value != value:
        return "missing"
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() and abs(value) < 1e7 else f"{value:.4g}"
    return str(value)


def features_of(
    schema: StructType,
    columns: Sequence[str],
    groups: Mapping[str, Sequence[str]] | None = None,
) -> tuple[Feature, ...]:
    """The features that `columns` make, in their order.

    Args:
        groups: columns that belong together, by the name of the feature that they shall be. Others
            belong together where a recipe made them from one and the same column.

    Raises:
        ConfigError: no columns; a column is unknown, named twice, or in two groups.
    """
    known = {info.name: info for info in columns_of(schema)}
    if not columns:
        raise ConfigError("no features are named")
    if len(set(columns)) < len(columns):
        raise ConfigError(f"columns are named twice: {list(columns)}")
    member: dict[str, str] = {}
    for name, grouped in (groups or {}).items():
        for column in grouped:
            if column not in columns:
                raise ConfigError(f"group {name}: {column} is none of the features {columns}")
            if column in member:
                raise ConfigError(f"column {column} is in the groups {member[column]} and {name}")
            member[column] = name
    missing = [name for name in columns if name not in known]
    if missing:
        raise ConfigError(f"no column {', '.join(missing)}; the columns are {schema.names}")
    found: dict[str, list[str]] = {}
    for column in columns:
        found.setdefault(member.get(column) or _source(known[column]), []).append(column)
    return tuple(
        Feature(name=name, columns=tuple(grouped), kind=_kind([known[one] for one in grouped]))
        for name, grouped in found.items()
    )


def _source(column: ColumnInfo) -> str:
    return column.source[0] if len(column.source) == 1 else column.name


def _kind(columns: list[ColumnInfo]) -> str:
    kinds = [column.kind for column in columns]
    if all(kind == ONE_HOT for kind in kinds):
        return ONE_OF
    if kinds[0] in (VECTOR, ARRAY, SPARK_VECTOR, SPARSE):
        return ARRAYS
    return VALUES if kinds[0] in ("text", "boolean", "time", "other") else NUMBERS
