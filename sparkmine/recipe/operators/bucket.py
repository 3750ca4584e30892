"""Numbers to bucket indexes. Null and NaN have no bucket: null."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, ClassVar

from sparkmine.errors import RecipeError
from sparkmine.expr import Expr, col, lit, when
from sparkmine.expr.nodes import Bucket
from sparkmine.recipe.columns import BUCKET, ColumnInfo
from sparkmine.recipe.operator import ColumnOperator
from sparkmine.stats import Sketch, Stat


@dataclass(frozen=True, kw_only=True)
class BucketizeQuantile(ColumnOperator):
    """The index (from 0) of the bucket of about equal counts that a number falls into.

    Equal quantiles share a bucket, so there may be fewer than `buckets`.
    """

    buckets: int = 16
    kind: ClassVar[str] = BUCKET

    def __post_init__(self) -> None:
        if self.buckets < 2:
            raise RecipeError(f"BucketizeQuantile wants at least 2 buckets, not {self.buckets}")

    def fit(self, column: str) -> Generator[Stat, Any, Expr]:
        sketch = yield Sketch(column)
        number = col(column).cast("double")
        return when(number.is_nan(), lit(None)).otherwise(
            number.bucket(sketch.buckets(self.buckets))
        )

    def info(self, column: str, fitted: Expr) -> ColumnInfo:
        edges = next(len(c.edges) for c in fitted.children if isinstance(c, Bucket))
        return ColumnInfo(self.output_name(column), BUCKET, edges + 1, (column,))
