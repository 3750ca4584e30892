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

import contextlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sparkmine.errors import ConfigError, DataError, raised_by_workers
from sparkmine.expr import col
from sparkmine.lake.inputs import as_frame, need_columns
from sparkmine.mine.drawn import drawn, told_apart
from sparkmine.mine.forest import Floats, Forest, grow, joined
from sparkmine.python_model import PythonModel, Scorer
from sparkmine.stats.engine import StatEngine
from sparkmine.stats.gram import Gram, GramState
from sparkmine.stats.matrix import matrix_of, refuse_gaps
from sparkmine.stats.task import Request

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from sparkmine.lake import Snapshot

METHODS = ("isolation_forest", "mahalanobis", "pca", "univariate")
# Training rows whose scores make the percentiles, and points of the curve that is kept of them.
PERCENTILE_ROWS = 100_000
POINTS = 2_001
_FOREST = ("left", "right", "feature", "threshold", "length", "roots")


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
        scores = {**model.scores(model.matrix(table)), **model.given_scores(table)}
        points = np.linspace(0, 1, POINTS)
        return {name: np.quantile(found, points) for name, found in scores.items()}


def _grower(features: tuple[str, ...], sample: int, seed: int) -> Any:
    """What an executor does with the rows that were dealt to a tree."""

    def tree(key: tuple[pa.Scalar, ...], rows: pa.Table) -> pa.Table:
        number = key[0].as_py()
        taken = rows.sort_by("_order").slice(0, sample).select(list(features))
        state = io.BytesIO()
        np.savez(state, **grow(_matrix(features, taken), seed * 1_000_003 + number))
        return pa.table(
            {"tree": pa.array([number], pa.int32()), "state": pa.array([state.getvalue()])}
        )

    return tree


class OutlierModel(PythonModel):
    """Adds `score`, a column of percentiles `score_METHOD` for each method, and `reasons`.

    `reasons` are the columns that contribute most to the distance of a row, "sales high (+5.2 sd)";
    of arrays the elements. Columns that were given as scores must be there when rows are scored.
    """

    def __init__(
        self,
        *,
        features: tuple[str, ...],
        methods: tuple[str, ...],
        given: tuple[str, ...],
        reasons: int,
        mean: Floats,
        scale: Floats,
        precision: Floats,
        components: Floats,
        widths: tuple[int, ...],
        forest: Forest | None = None,
        percentiles: dict[str, Floats] | None = None,
    ) -> None:
        self.features, self.methods, self.reasons = features, methods, reasons
        self.given = given
        self.mean, self.scale = mean, scale
        self.precision, self.components, self.widths = precision, components, widths
        self.forest = forest
        self.percentiles = percentiles or {}

    @classmethod
    def of(cls, how: Outliers, features: tuple[str, ...], state: GramState) -> Self:
        """All but the forest and the percentiles."""
        spread = np.sqrt(state.variance)
        # What rounding leaves of a constant column is no spread.
        flat = spread <= 1e-12 * np.maximum(np.abs(state.mean), 1e-300)
        scale = np.where(flat, 1.0, spread)
        correlation = np.where(flat[:, None] | flat, 0.0, state.covariance / np.outer(scale, scale))
        values, vectors = np.linalg.eigh(correlation)
        order = np.argsort(-values)
        values, vectors = np.clip(values[order], 0.0, None), vectors[:, order]
        kept = values > 1e-10 * max(values[0], 1e-300)
        # Of standardised rows: (V / λ) V' on the columns that vary.
        precision = (vectors[:, kept] / values[kept]) @ vectors[:, kept].T
        whole = max(float(values.sum()), 1e-300)
        count = int(np.searchsorted(np.cumsum(values) / whole, how.explained) + 1)
        return cls(
            features=features,
            methods=how.methods,
            given=how.scores,
            reasons=how.reasons,
            mean=state.mean,
            scale=scale,
            precision=precision,
            components=vectors[:, : min(count, len(values))],
            widths=tuple(width or 0 for width in state.widths),
        )

    @property
    def names(self) -> list[str]:
        """What reasons call each element of the matrix."""
        found = []
        for name, width in zip(self.features, self.widths, strict=True):
            found += [name] if width == 1 else [f"{name}[{place}]" for place in range(width)]
        return found

    def matrix(self, table: pa.Table | pa.RecordBatch) -> Floats:
        """The features [n, d].

        Raises:
            DataError: null, NaN or infinite values, or arrays of other lengths.
        """
        found = _matrix(self.features, table)
        return found if len(found) else np.zeros((0, len(self.mean)))

    def scores(self, rows: Floats) -> dict[str, Floats]:
        """The raw score [n] of each method; more is stranger."""
        centred = (rows - self.mean) / self.scale
        found: dict[str, Floats] = {}
        for method in self.methods:
            if method == "isolation_forest":
                assert self.forest is not None
                found[method] = self.forest.scores(rows)
            elif method == "mahalanobis":
                squares = np.einsum("ij,ij->i", centred @ self.precision, centred)
                found[method] = np.sqrt(np.clip(squares, 0.0, None))
            elif method == "pca":
                rest = centred - (centred @ self.components) @ self.components.T
                found[method] = np.einsum("ij,ij->i", rest, rest)
            else:
                found[method] = np.abs(centred).max(axis=1, initial=0.0)
        return found

    def given_scores(self, table: pa.Table | pa.RecordBatch) -> dict[str, Floats]:
        """The columns that are scores already, each [n].

        Raises:
            DataError: null, NaN or infinite values.
        """
        return {name: _matrix([name], table).reshape(-1) for name in self.given}

    def evaluate(self, table: pa.Table | pa.RecordBatch) -> pa.Table:
        """`score`, the percentiles and `reasons` of the rows of an Arrow table."""
        rows = self.matrix(table)
        scores = {**self.scores(rows), **self.given_scores(table)}
        shares = {
            f"score_{name}": _percentile(found, self.percentiles[name])
            for name, found in scores.items()
        }
        score = np.mean(list(shares.values()), axis=0)
        return pa.table({"score": score, **shares, "reasons": self._reasons(rows)})

    def _reasons(self, rows: Floats) -> pa.Array:
        centred = (rows - self.mean) / self.scale
        # A column's part in the squared Mahalanobis distance.
        part = centred * (centred @ self.precision)
        count = min(self.reasons, part.shape[1])
        largest = np.argsort(-part, axis=1, kind="stable")[:, :count]
        names = self.names
        texts = [
            [
                f"{names[place]} {'high' if centred[row, place] > 0 else 'low'} "
                f"({centred[row, place]:+.1f} sd)"
                for place in places
                if part[row, place] > 0
            ]
            for row, places in enumerate(largest)
        ]
        return pa.array(texts, pa.list_(pa.string()))

    def scorer(self, spark: SparkSession) -> Scorer:
        names = (*self.features, *self.given)
        numbers = ["score", *(f"score_{name}" for name in (*self.methods, *self.given))]
        sent = spark.sparkContext.broadcast(self)

        def scores(arrays: list[pa.Array]) -> pa.StructArray:
            found = sent.value.evaluate(pa.RecordBatch.from_arrays(arrays, names=names))
            return found.combine_chunks().to_struct_array().combine_chunks()

        return Scorer(
            features=names,
            columns={**dict.fromkeys(numbers, "double"), "reasons": "array<string>"},
            opened=lambda: contextlib.nullcontext(scores),
        )

    def _write(self, folder: Path) -> None:
        state = {
            "features": list(self.features),
            "methods": list(self.methods),
            "given": list(self.given),
            "reasons": self.reasons,
            "widths": list(self.widths),
            "expected": self.forest.expected if self.forest else None,
        }
        (folder / "model.json").write_text(json.dumps(state, indent=1) + "\n")
        arrays = {name: getattr(self, name) for name in _LINEAR}
        arrays |= {f"percentiles_{name}": found for name, found in self.percentiles.items()}
        if self.forest is not None:
            arrays |= {f"forest_{name}": getattr(self.forest, name) for name in _FOREST}
        np.savez(folder / "arrays.npz", **arrays)

    @classmethod
    def _read(cls, folder: Path) -> Self:
        state = json.loads((folder / "model.json").read_text())
        with np.load(folder / "arrays.npz", allow_pickle=False) as file:
            arrays = dict(file)
        forest = None
        if state["expected"] is not None:
            trees = {name: arrays[f"forest_{name}"] for name in _FOREST}
            forest = Forest(**trees, expected=state["expected"])
        return cls(
            features=tuple(state["features"]),
            methods=tuple(state["methods"]),
            given=tuple(state["given"]),
            reasons=state["reasons"],
            widths=tuple(state["widths"]),
            **{name: arrays[name] for name in _LINEAR},
            forest=forest,
            percentiles={
                name: arrays[f"percentiles_{name}"] for name in (*state["methods"], *state["given"])
            },
        )


_LINEAR = ("mean", "scale", "precision", "components")


def _matrix(features: Sequence[str], table: pa.Table | pa.RecordBatch) -> Floats:
    if isinstance(table, pa.RecordBatch):
        table = pa.Table.from_batches([table])
    arrays = [table.column(name).combine_chunks() for name in features]
    found = matrix_of(features, arrays)
    if found.ragged is not None:
        raise found.ragged.error()
    refuse_gaps(features, found.invalid())
    if not found.rows:
        return np.zeros((0, 0))
    return np.hstack([part.astype(np.float64, copy=False) for part in found.parts])


def _percentile(scores: Floats, points: Floats) -> Floats:
    """The share of the training rows below each score; of equal ones, half."""
    low = np.searchsorted(points, scores, side="left")
    high = np.searchsorted(points, scores, side="right")
    last = len(points) - 1
    inside = (low == high) & (low > 0) & (low <= last)
    before = np.clip(low - 1, 0, last)
    after = np.clip(low, 0, last)
    width = np.where(inside, points[after] - points[before], 1.0)
    between = np.where(inside, (scores - points[before]) / np.where(width > 0, width, 1.0), 0.0)
    place = np.where(inside, before + between, (low + np.clip(high - 1, low, None)) / 2)
    found: Floats = np.clip(place / last, 0.0, 1.0)
    return found


def _arrays(state: bytes) -> dict[str, npt.NDArray[Any]]:
    with np.load(io.BytesIO(state), allow_pickle=False) as file:
        return dict(file)
