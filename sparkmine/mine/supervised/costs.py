"""The threshold of least cost, and the decisions it makes.

A wrong decision costs something else when a row of class 0 is taken for class 1 than the other way
round (Elkan, "The foundations of cost-sensitive learning", IJCAI 2001). Of perfectly calibrated
probabilities the best threshold follows from the costs alone; here it is the one that would have
been cheapest on rows with known labels, whatever the scores mean.

Cost: one pass that scores the rows into a cache, and one shuffle of the scores: each range of
scores finds its own best place and sends that on, with how many rows of each class it has.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkmine.errors import ConfigError
from sparkmine.mine.supervised.held_out import HeldOut, held_out
from sparkmine.mine.supervised.wrapped import WrappedModel
from sparkmine.model import DECISION, Model
from sparkmine.scoring import with_column

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from sparkmine.lake import Snapshot

_STATE = "decided.json"


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What decisions cost; a gain is a negative cost.

    Fields:
        false_positive: of a row of class 0 that is taken for class 1.
        false_negative: of a row of class 1 that is taken for class 0.
        true_positive, true_negative: of the right decisions.
    """

    false_positive: float
    false_negative: float
    true_positive: float = 0.0
    true_negative: float = 0.0

    def __post_init__(self) -> None:
        for name, cost in asdict(self).items():
            if not math.isfinite(cost):
                raise ConfigError(f"cost {name} is {cost}; it must be a number")
        for wrong, right in (
            ("false_positive", "true_negative"),
            ("false_negative", "true_positive"),
        ):
            if getattr(self, wrong) <= getattr(self, right):
                raise ConfigError(
                    f"{wrong} costs {getattr(self, wrong)}, {right} {getattr(self, right)}; "
                    "a wrong decision must cost more than the right one"
                )

    def of(self, below: tuple[int, int], above: tuple[int, int]) -> float:
        """The cost of rows (of class 0 and of class 1) below and above a threshold."""
        return (
            self.true_negative * below[0]
            + self.false_negative * below[1]
            + self.false_positive * above[0]
            + self.true_positive * above[1]
        )

    def choose(
        self,
        model: Model,
        data: DataFrame | Snapshot,
        label: str,
        spark: SparkSession | None = None,
    ) -> Decided:
        """The model with the threshold that is cheapest on rows that it did not learn from.

        A row is taken for class 1 from the threshold on, which is a score of one of the rows, or
        just above the largest one, where it is cheapest to take none. Of several that cost the
        same it is the lowest.

        Errors: see `Calibration.fit`.
        """
        with held_out(model, data, label, spark) as scores:
            threshold, least = self._best(scores)
            above, right = scores.above
            negatives = scores.rows - scores.positives
            half = self.of(
                (negatives - (above - right), scores.positives - right), (above - right, right)
            )
            details = {
                "threshold": threshold,
                "expected_cost": least / scores.rows,
                "expected_cost_at_half": half / scores.rows,
                "rows": scores.rows,
                "positives": scores.positives,
            }
        return Decided(model=model, threshold=threshold, costs=self, details=details)

    def _best(self, scores: HeldOut) -> tuple[float, float]:
        """The threshold and what it costs, over all rows."""
        # By how much one row more below the threshold changes the cost.
        miss = self.false_negative - self.true_positive
        spare = self.true_negative - self.false_positive

        def work(points: pa.Table) -> pa.Table:
            score, rows, ones = (points.column(name).to_numpy() for name in points.schema.names)
            zeros = rows - ones
            before_ones, before_zeros = np.cumsum(ones) - ones, np.cumsum(zeros) - zeros
            best = int(np.argmin(miss * before_ones + spare * before_zeros))  # the first of equals
            found = {
                "low": score[0],
                "high": score[-1],
                "best": score[best],
                "zeros_before": before_zeros[best],
                "ones_before": before_ones[best],
                "zeros": zeros.sum(),
                "ones": ones.sum(),
            }
            return pa.table({name: [value] for name, value in found.items()})

        schema = (
            "low double, high double, best double, "
            "zeros_before bigint, ones_before bigint, zeros bigint, ones bigint"
        )
        pieces = scores.by_score(work, schema).to_pylist()
        every = (scores.rows - scores.positives, scores.positives)
        zeros = ones = 0
        threshold, least = math.nan, math.inf
        for piece in pieces:
            below = (zeros + piece["zeros_before"], ones + piece["ones_before"])
            cost = self.of(below, (every[0] - below[0], every[1] - below[1]))
            if cost < least:
                threshold, least = piece["best"], cost
            zeros, ones = zeros + piece["zeros"], ones + piece["ones"]
        none = self.of(every, (0, 0))
        if none < least:
            threshold, least = math.nextafter(pieces[-1]["high"], math.inf), none
        return threshold, least


@dataclass(frozen=True, kw_only=True)
class Decided(WrappedModel):
    """A binary model that decides: `decision`, an int, is 1 from the threshold on.

    Fields:
        details: what the threshold costs a row, and what 0.5 would; JSON values only.
    """

    threshold: float
    costs: Costs
    details: dict[str, Any]

    def changed(self, scored: DataFrame) -> DataFrame:
        from pyspark.sql import functions as F

        decision = (F.col("prediction") >= self.threshold).cast("int")
        return scored.withColumn(DECISION, decision)

    def changed_arrow(self, scored: pa.Table) -> pa.Table:
        taken = pc.greater_equal(scored.column("prediction"), self.threshold)
        return with_column(scored, DECISION, pc.cast(taken, pa.int32()))

    def _write(self, folder: Path) -> None:
        state = {
            "threshold": self.threshold,
            "costs": asdict(self.costs),
            "details": self.details,
        }
        (folder / _STATE).write_text(json.dumps(state, indent=1) + "\n")
        self.model.save(folder / "model")

    @classmethod
    def _read(cls, folder: Path) -> Self:
        state = json.loads((folder / _STATE).read_text())
        return cls(
            model=Model.load(folder / "model"),
            threshold=state["threshold"],
            costs=Costs(**state["costs"]),
            details=state["details"],
        )
