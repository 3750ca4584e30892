"""What outliers were told by: the scores of new rows, and the columns that make them strange."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import pyarrow as pa

from sparkmine.mine.outliers.forest import Floats, Forest
from sparkmine.python_model import PythonModel, Scorer
from sparkmine.stats.gram import GramState
from sparkmine.stats.matrix import matrix_of, refuse_gaps

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from sparkmine.mine.outliers.fitting import Outliers

_LINEAR = ("mean", "scale", "precision", "components")
_FOREST = ("left", "right", "feature", "threshold", "length", "roots")


class OutlierModel(PythonModel):
    """Adds `score`, a column of percentiles `score_METHOD` for each method, and `reasons`.

    `reasons` are the columns that contribute most to what the methods find, "sales high (+5.2 sd)";
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

    def rows_of(self, table: pa.Table | pa.RecordBatch) -> Floats:
        """The features [n, d].

        Raises:
            DataError: null, NaN or infinite values, or arrays of other lengths.
        """
        found = matrix(self.features, table)
        return found if len(found) else np.zeros((0, len(self.mean)))

    def scores(self, rows: Floats) -> dict[str, Floats]:
        """The raw score [n] of each method; more is stranger."""
        return self._scores(rows, self._summands(self._centred(rows)))

    def _centred(self, rows: Floats) -> Floats:
        found: Floats = (rows - self.mean) / self.scale
        return found

    def _summands(self, centred: Floats) -> dict[str, Floats]:
        """What each column adds [n, d] to each method's squared distance.

        Of Mahalanobis z (P z), of the residual of PCA its square, else z squared, for a method that
        looks at single columns: the univariate one, and the trees, whose cuts are along the axes.
        """
        found: dict[str, Floats] = {}
        for method in self.methods:
            if method == "mahalanobis":
                found[method] = centred * (centred @ self.precision)
            elif method == "pca":
                rest = centred - (centred @ self.components) @ self.components.T
                found[method] = rest * rest
            else:
                found[method] = centred * centred
        return found

    def _scores(self, rows: Floats, summands: dict[str, Floats]) -> dict[str, Floats]:
        found: dict[str, Floats] = {}
        for method, parts in summands.items():
            if method == "isolation_forest":
                assert self.forest is not None
                found[method] = self.forest.scores(rows)
            elif method == "mahalanobis":
                found[method] = np.sqrt(np.clip(parts.sum(axis=1), 0.0, None))
            elif method == "pca":
                found[method] = parts.sum(axis=1)
            else:
                found[method] = np.sqrt(parts.max(axis=1, initial=0.0))
        return found

    def given_scores(self, table: pa.Table | pa.RecordBatch) -> dict[str, Floats]:
        """The columns that are scores already, each [n].

        Raises:
            DataError: null, NaN or infinite values.
        """
        return {name: matrix([name], table).reshape(-1) for name in self.given}

    def evaluate(self, table: pa.Table | pa.RecordBatch) -> pa.Table:
        """`score`, the percentiles and `reasons` of the rows of an Arrow table."""
        rows = self.rows_of(table)
        centred = self._centred(rows)
        summands = self._summands(centred)
        scores = {**self._scores(rows, summands), **self.given_scores(table)}
        shares = {
            f"score_{name}": _percentile(found, self.percentiles[name])
            for name, found in scores.items()
        }
        score = np.mean(list(shares.values()), axis=0)
        return pa.table({"score": score, **shares, "reasons": self._reasons(centred, summands)})

    def _reasons(self, centred: Floats, summands: dict[str, Floats]) -> pa.Array:
        """The columns of the largest shares, the mean of the methods' own."""
        part = np.zeros_like(centred)
        for parts in summands.values():
            added = np.clip(parts, 0.0, None)
            whole = added.sum(axis=1, keepdims=True)
            part += np.divide(added, whole, out=np.zeros_like(added), where=whole > 0)
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


def matrix(features: Sequence[str], table: pa.Table | pa.RecordBatch) -> Floats:
    """The columns side by side [n, d]; see `OutlierModel.rows_of`."""
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
