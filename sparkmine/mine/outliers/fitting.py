"""Outliers by several methods, their scores as percentiles, and what makes a row one.

- isolation_forest: how few random cuts set a row apart (`forest.py`);
- mahalanobis: the distance from the mean in units of the covariance (Mahalanobis 1936), by its
  pseudo-inverse where columns determine others;
- pca: the squared distance from the space of the principal components that explain `explained` of
  the variance of the standardised columns;
- univariate: the largest distance of a column from its mean, in standard deviations;
- columns that are scores already, such as the reconstruction error of an autoencoder.

A method's score becomes its percentile among the training rows, and `score` is the mean of the
percentiles: 0.99 is stranger than 99 % of the rows, by the methods' average. Cost: one scan for
the covariance, one for the samples of the trees, one for the percentiles; transforming is one Arrow
pass.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sparkmine.errors import ConfigError, DataError, raised_by_workers
from sparkmine.expr import col
from sparkmine.lake.inputs import as_frame, need_columns
from sparkmine.mine.drawn import drawn, told_apart
from sparkmine.mine.outliers.forest import Floats, Forest, grow, joined
from sparkmine.mine.outliers.model import OutlierModel, matrix
from sparkmine.stats.engine import StatEngine
from sparkmine.stats.gram import Gram
from sparkmine.stats.task import Request

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from sparkmine.lake import Snapshot

METHODS = ("isolation_forest", "mahalanobis", "pca", "univariate")
# Training rows whose scores make the percentiles, and points of the curve that is kept of them.
PERCENTILE_ROWS = 100_000
POINTS = 2_001


@dataclass(frozen=True, kw_only=True)
class Outliers:
    """What to fit.

    Fields:
        methods: some of `METHODS`.
        scores: columns of numbers that are scores by other methods; more is stranger.
        trees, sample: isolation trees, and the rows that each is grown from.
        explained: share of the variance that the principal components explain.
        reasons: columns that are named for each row.
        seed: of the trees' samples and cuts.
    """

    methods: tuple[str, ...] = METHODS
    scores: tuple[str, ...] = ()
    trees: int = 100
    sample: int = 256
    explained: float = 0.9
    reasons: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "methods", tuple(self.methods))
        object.__setattr__(self, "scores", tuple(self.scores))
        taken = [name for name in self.scores if name in METHODS or self.scores.count(name) > 1]
        if taken:
            raise ConfigError(f"scores {list(self.scores)}: {taken[0]} is there already")
        unknown = [name for name in self.methods if name not in METHODS]
        if unknown or not self.methods or len(set(self.methods)) < len(self.methods):
            raise ConfigError(f"methods {list(self.methods)} must be some of {', '.join(METHODS)}")
        for name, least in (("trees", 1), ("sample", 2), ("reasons", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be {least} or more")
        if not 0 < self.explained < 1:
            raise ConfigError(f"explained is {self.explained}; it must be between 0 and 1")

    def fit(
        self,
        data: DataFrame | Snapshot,
        features: Sequence[str],
        spark: SparkSession | None = None,
    ) -> OutlierModel:
        """Learn what ordinary rows are.

        Args:
            features: columns of numbers, or arrays of numbers of one length.

        Raises:
            ConfigError: no features, or no such column.
            DataError: no rows, or null, NaN or infinite values.
        """
        df = as_frame(data, spark)
        need_columns(df, [*features, *self.scores])
        if not features:
            raise ConfigError("no features are named")
        gram = Gram(tuple(features))
        with raised_by_workers():
            engine = StatEngine(data, df.sparkSession)
            (state,) = engine.run([Request(gram, tuple(col(name) for name in features))])
        if not state.count:
            raise DataError("there are no rows to fit on")
        model = OutlierModel.of(self, tuple(features), state)
        forest = "isolation_forest" in self.methods
        # Where nothing is drawn, equal rows need not be counted.
        draws = forest or state.count > PERCENTILE_ROWS
        rows = told_apart(df, [*features, *self.scores], state.count) if draws else df
        if forest:
            model.forest = self._forest(rows, features, state.count)
        model.percentiles = self._percentiles(rows, model, state.count)
        return model

    def _forest(self, df: DataFrame, features: Sequence[str], rows: int) -> Forest:
        from pyspark.sql import functions as F

        columns = [F.col(f"`{name}`") for name in features]
        # A row is drawn, and dealt to a tree, by its content: the same for any partitioning. Some
        # more are drawn than wanted, because trees do not get equally many.
        share = min(1.0, 1.5 * self.trees * self.sample / rows)
        copies = max(1, -(-self.trees * self.sample // rows)) if share >= 1.0 else 1
        some = drawn(df, share, F.xxhash64(F.lit(self.seed), *columns, "_same"))
        # Few rows are in several trees.
        some = some.withColumn("_copy", F.explode(F.sequence(F.lit(1), F.lit(copies))))
        content = [F.col("_copy"), *columns, F.col("_same")]
        dealt = F.xxhash64(F.lit(self.seed + 1), *content)
        some = some.withColumn("_tree", F.pmod(dealt, F.lit(self.trees)).cast("int"))
        some = some.withColumn("_order", F.xxhash64(F.lit(self.seed + 2), *content))
        task = _grower(tuple(features), self.sample, self.seed)
        with raised_by_workers():
            found = some.groupBy("_tree").applyInArrow(task, "tree int, state binary").toArrow()
        trees = sorted(zip(*(column.to_pylist() for column in found.columns), strict=True))
        return joined([_arrays(state) for _, state in trees], min(self.sample, rows))

    def _percentiles(self, df: DataFrame, model: OutlierModel, rows: int) -> dict[str, Floats]:
        from pyspark.sql import functions as F

        columns = [F.col(f"`{name}`") for name in model.features]
        share = min(1.0, PERCENTILE_ROWS / rows)
        some = drawn(df, share, F.xxhash64(F.lit(self.seed + 3), *columns, "_same"))
        table = some.select(*columns, *(F.col(f"`{name}`") for name in model.given)).toArrow()
        scores = {**model.scores(model.rows_of(table)), **model.given_scores(table)}
        points = np.linspace(0, 1, POINTS)
        return {name: np.quantile(found, points) for name, found in scores.items()}


def _grower(features: tuple[str, ...], sample: int, seed: int) -> Any:
    """What an executor does with the rows that were dealt to a tree."""

    def tree(key: tuple[pa.Scalar, ...], rows: pa.Table) -> pa.Table:
        number = key[0].as_py()
        taken = rows.sort_by("_order").slice(0, sample).select(list(features))
        state = io.BytesIO()
        np.savez(state, **grow(matrix(features, taken), seed * 1_000_003 + number))
        return pa.table(
            {"tree": pa.array([number], pa.int32()), "state": pa.array([state.getvalue()])}
        )

    return tree


def _arrays(state: bytes) -> dict[str, npt.NDArray[Any]]:
    with np.load(io.BytesIO(state), allow_pickle=False) as file:
        return dict(file)
