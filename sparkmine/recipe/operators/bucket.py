"""Numbers to buckets.

The index of a bucket, from 0, as a double. A value on an edge falls into the bucket above it. Null
and NaN become null; infinities and values outside the range of the fit fall into the first or the
last bucket.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

from sparkmine.errors import RecipeError
from sparkmine.expr import Expr, col, lit, when
from sparkmine.expr.nodes import Bucket
from sparkmine.recipe.columns import BUCKET, ColumnInfo
from sparkmine.recipe.operator import ColumnOperator
from sparkmine.stats import Moments, Sketch, Stat


@dataclass(frozen=True, kw_only=True)
class _Bucketize(ColumnOperator):
    """Base of operators that give bucket indexes."""

    kind: ClassVar[str] = BUCKET

    def info(self, column: str, fitted: Expr) -> ColumnInfo:
        edges = next(len(c.edges) for c in fitted.children if isinstance(c, Bucket))
        return ColumnInfo(self.output_name(column), BUCKET, edges + 1, (column,))


def _bucket(column: str, edges: Sequence[float]) -> Expr:
    number = col(column).cast("double")
    return when(number.is_nan(), lit(None)).otherwise(number.bucket(edges))


@dataclass(frozen=True, kw_only=True)
class BucketizeQuantile(_Bucketize):
    """The index (from 0) of the bucket of about equal counts that a number falls into.

    Equal quantiles share a bucket, so there may be fewer than `buckets`: a constant column is in
    one of two, a column without finite values has one only. Null and NaN become null; infinities
    and values outside the range of the fit are in the first or the last bucket.
    """

    buckets: int = 16

    def __post_init__(self) -> None:
        if self.buckets < 2:
            raise RecipeError(f"BucketizeQuantile wants at least 2 buckets, not {self.buckets}")

    def fit(self, column: str) -> Generator[Stat, Any, Expr]:
        sketch = yield Sketch(column)
        return _bucket(column, sketch.buckets(self.buckets))


@dataclass(frozen=True, kw_only=True)
class BucketizeWidth(_Bucketize):
    """The index (from 0) of one of `buckets` equally wide parts of the range of the finite values.

    A column without finite values, or with one value only, has one bucket. Null and NaN become
    null; infinities and values outside the range of the fit are in the first or the last bucket.
    """

    buckets: int = 16

    def __post_init__(self) -> None:
        if self.buckets < 2:
            raise RecipeError(f"BucketizeWidth wants at least 2 buckets, not {self.buckets}")

    def fit(self, column: str) -> Generator[Stat, Any, Expr]:
        moments = yield Moments(column)
        if not moments.count:
            return _bucket(column, [])
        low, width = moments.minimum, moments.maximum - moments.minimum
        edges = {low + width * (i / self.buckets) for i in range(1, self.buckets)}
        return _bucket(column, sorted(edges - {low}))


@dataclass(frozen=True, kw_only=True)
class BucketizeAt(_Bucketize):
    """The index (from 0) of the bucket between the given `edges`: how many are at or below it.

    Nothing is fitted. Null and NaN become null; infinities are in the first or the last bucket.
    """

    example: ClassVar[str] = "columns: [age], edges: [18, 40, 65]"
    edges: Sequence[float] = ()

    def __post_init__(self) -> None:
        rising = all(a < b for a, b in pairwise(self.edges))
        if not self.edges or not rising or not all(map(math.isfinite, self.edges)):
            raise RecipeError(
                f"BucketizeAt wants edges= as ascending finite numbers, not {list(self.edges)}"
            )
        object.__setattr__(self, "edges", list(self.edges))  # as JSON and YAML have it

    def fit(self, column: str) -> Expr:
        return _bucket(column, self.edges)
