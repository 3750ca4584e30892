"""Many columns to one vector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

from sparkmine.errors import RecipeError
from sparkmine.expr import Array, Expr, col, function
from sparkmine.recipe.columns import (
    BOOLEAN,
    BUCKET,
    NUMBER,
    ONE_HOT,
    SPARK_VECTOR,
    VECTOR,
    ColumnInfo,
)
from sparkmine.recipe.operator import Fitting, Operator, Outcome
from sparkmine.recipe.selectors import Selector, features

_SCALARS = (NUMBER, BUCKET, ONE_HOT, BOOLEAN)


@dataclass(frozen=True, kw_only=True)
class Assemble(Operator):
    """Join numbers, buckets, indicators, booleans and arrays of numbers into one array column.

    The elements are in the order of the columns; the sources are removed. A null, NaN or infinite
    number is such an element; a null vector makes the whole row null. Impute before.

    Attributes:
        as_vector: Write vectors of `pyspark.ml`, which its estimators take, not arrays. In Arrow
            they are the structs that Spark makes of its vectors: `type` 1 (dense), `size` and
            `indices` null, `values`. A null number is NaN there.
    """

    columns: Selector = field(default_factory=features)
    output: str | None = "features"
    as_vector: bool = False

    def __post_init__(self) -> None:
        if not self.output or "{" in self.output:
            raise RecipeError("Assemble needs the name of its array column as output=")

    def predicted(self, picked: Sequence[ColumnInfo]) -> tuple[list[ColumnInfo], tuple[str, ...]]:
        names = tuple(column.name for column in picked)
        sizes = [column.cardinality if column.kind == VECTOR else 1 for column in picked]
        known = [size for size in sizes if size is not None]
        size = sum(known) if len(known) == len(sizes) else None
        kind = SPARK_VECTOR if self.as_vector else VECTOR
        return [ColumnInfo(str(self.output), kind, size, names)], names

    def fitting(self, picked: Sequence[ColumnInfo], label: str | None) -> Fitting:
        yield from ()
        if not picked:
            raise RecipeError(f"Assemble({self.columns}) selects no column")
        for column in picked:
            if column.kind not in (*_SCALARS, VECTOR):
                raise RecipeError(
                    f"Assemble joins numbers and vectors; {column.name!r} is of kind "
                    f"{column.kind}: encode it before, or leave it out of columns="
                )
        parts: list[Expr] = []
        for vectors, run in groupby(picked, lambda column: column.kind == VECTOR):
            values = tuple(col(column.name) for column in run)
            parts.extend(values if vectors else [Array(values)])
        (info,), dropped = self.predicted(picked)
        vector = function("concat_arrays", *parts)
        return Outcome(outputs={info.name: vector}, infos={info.name: info}, dropped=dropped)
