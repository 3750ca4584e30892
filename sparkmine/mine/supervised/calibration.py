"""Probabilities that mean frequencies: a model's, corrected by rows that it has not seen.

- sigmoid: Platt's, see `platt.py`; for few rows.
- isotonic: the non-decreasing step function that is nearest to the labels by squared error
  (Zadrozny and Elkan, "Transforming classifier scores into accurate multiclass probability
  estimates", KDD 2002), with straight lines between the steps, as scikit-learn draws them; from
  some thousand rows on.

Cost: one pass that scores the rows into a cache, and one more over the scores. For the isotonic one
it is a shuffle by score: each range pools its adjacent violators (Barlow, Bartholomew, Bremner and
Brunk 1972) and sends only the pools on, whose adjacent violators the driver pools again. The order
of pooling does not matter, so this is exact.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sparkmine.errors import ConfigError
from sparkmine.expr import Expr, col, evaluate, to_column
from sparkmine.mine.expression_model import ExpressionModel
from sparkmine.mine.supervised.held_out import HeldOut, held_out
from sparkmine.mine.supervised.platt import probability, sigmoid_of
from sparkmine.mine.supervised.wrapped import WrappedModel
from sparkmine.model import Model
from sparkmine.scoring import with_column

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from sparkmine.lake import Snapshot

Method = Literal["sigmoid", "isotonic"]
Floats = npt.NDArray[np.float64]

_STATE = "calibrated.json"
_PREDICTION = "prediction"
# Points of the curve among the details, for pictures.
_SHOWN = 50


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """How the probabilities of a binary model are calibrated; any model, networks too.

    Fields:
        method: `sigmoid` or `isotonic`.
    """

    method: Method = "isotonic"

    def __post_init__(self) -> None:
        if self.method not in get_args(Method):
            raise ConfigError(f"method is {self.method!r}; it must be sigmoid or isotonic")

    def fit(
        self,
        model: Model,
        data: DataFrame | Snapshot,
        label: str,
        spark: SparkSession | None = None,
    ) -> Model:
        """Calibrate `model` by rows that it did not learn from.

        Returns:
            A `Calibrated` model; a sigmoid of an expression is an `ExpressionModel` again.

        Raises:
            ConfigError: no such label, or a model whose predictions are classes.
            DataError: no rows, labels other than 0 and 1, or one class alone.
        """
        with held_out(model, data, label, spark) as scores:
            details: dict[str, Any] = {
                "method": self.method,
                "rows": scores.rows,
                "positives": scores.positives,
            }
            at = np.linspace(scores.low, scores.low + scores.width, _SHOWN)
            if self.method == "sigmoid":
                a, b = sigmoid_of(scores.frame, scores.width)
                curve = probability(col(_PREDICTION), a, b)
                details |= {"slope": a, "intercept": b}
            else:
                xs, ys = isotonic(scores)
                curve = col(_PREDICTION).interpolate(xs.tolist(), ys.tolist())
                details["points"] = len(xs)
                at = xs[np.unique(np.linspace(0, len(xs) - 1, _SHOWN).astype(int))]
            found = evaluate(curve, pa.table({_PREDICTION: at})).to_pylist()
            details["curve"] = [list(point) for point in zip(at.tolist(), found, strict=True)]
        if self.method == "sigmoid" and isinstance(model, ExpressionModel):
            return ExpressionModel(
                expression=curve.substitute({_PREDICTION: model.expression}),
                details={**model.details, "calibration": details},
            )
        return Calibrated(model=model, curve=curve, details=details)


@dataclass(frozen=True, kw_only=True)
class Calibrated(WrappedModel):
    """A binary model whose prediction is corrected.

    Fields:
        curve: an expression of its column `prediction`.
        details: how it was fitted; JSON values only.
    """

    curve: Expr
    details: dict[str, Any] = field(default_factory=dict)

    def changed(self, scored: DataFrame) -> DataFrame:
        return scored.withColumn(_PREDICTION, to_column(self.curve).cast("double"))

    def changed_arrow(self, scored: pa.Table) -> pa.Table:
        found = pc.cast(evaluate(self.curve, scored), pa.float64())
        return with_column(scored, _PREDICTION, found)

    def _write(self, folder: Path) -> None:
        state = {"curve": self.curve.to_json(), "details": self.details}
        (folder / _STATE).write_text(json.dumps(state, indent=1) + "\n")
        self.model.save(folder / "model")

    @classmethod
    def _read(cls, folder: Path) -> Self:
        state = json.loads((folder / _STATE).read_text())
        return cls(
            model=Model.load(folder / "model"),
            curve=Expr.from_json(state["curve"]),
            details=state["details"],
        )


def isotonic(scores: HeldOut) -> tuple[Floats, Floats]:
    """The corners of the calibration curve: ascending scores, and their probabilities."""

    def work(points: pa.Table) -> pa.Table:
        score, rows, positives = (points.column(name).to_numpy() for name in points.schema.names)
        first, last, total, ones = pooled(score, score, rows, positives)
        return pa.table({"low": first, "high": last, "rows": total, "positives": ones})

    schema = "low double, high double, rows bigint, positives bigint"
    found = scores.by_score(work, schema)
    low, high, rows, positives = pooled(*(found.column(n).to_numpy() for n in found.schema.names))
    value = positives / rows
    # Both ends of a step; those of a single score are one corner.
    wide = high > low
    xs = np.concatenate([low, high[wide]])
    ys = np.concatenate([value, value[wide]])
    order = np.argsort(xs, kind="stable")
    return xs[order], ys[order]


def pooled(
    low: Floats, high: Floats, rows: npt.NDArray[Any], positives: npt.NDArray[Any]
) -> tuple[Floats, Floats, npt.NDArray[Any], npt.NDArray[Any]]:
    """Pool adjacent blocks of scores until the share of positives rises from block to block."""
    from sklearn.isotonic import isotonic_regression

    fitted = isotonic_regression(positives / rows, sample_weight=rows.astype(np.float64))
    starts = np.flatnonzero(np.diff(fitted, prepend=-1.0))
    ends = np.append(starts[1:], len(low)) - 1
    return (
        low[starts],
        high[ends],
        np.add.reduceat(rows, starts),
        np.add.reduceat(positives, starts),
    )
