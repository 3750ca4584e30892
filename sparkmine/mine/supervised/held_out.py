"""Scores of rows that a model did not learn from, beside their labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from sparkmine.errors import ConfigError, DataError
from sparkmine.model import Model

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from sparkmine.lake import Snapshot


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """Scored rows.

    Fields:
        frame: [score: double, label: double of 0 and 1], cached.
        rows, positives: how many; rows that the model gives no score are left out.
        unscored: how many those are.
        low, width: the least score, and the largest one less it.
        above: rows with a score of 0.5 or more, and those of class 1 among them.
    """

    frame: DataFrame
    rows: int
    positives: int
    unscored: int
    low: float
    width: float
    above: tuple[int, int]

    def by_score(self, work: Callable[[pa.Table], pa.Table], schema: str) -> pa.Table:
        """What `work` makes of each range of scores, in their order; one shuffle.

        `work` gets the distinct scores [score, rows, positives] in ascending order, equal scores in
        one range. Its table has `schema` and begins with the column `low`, the least score.
        """

        def piece(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            found = list(batches)
            if sum(batch.num_rows for batch in found):
                yield from work(_distinct(pa.Table.from_batches(found))).to_batches()

        ranged = self.frame.repartitionByRange("score")
        return ranged.mapInArrow(piece, schema).toArrow().sort_by("low")


@contextmanager
def held_out(
    model: Model,
    data: DataFrame | Snapshot,
    label: str,
    spark: SparkSession | None = None,
) -> Iterator[HeldOut]:
    """Score `data` by `model`, cached while the block runs; one pass.

    Raises:
        ConfigError: no such label, or a model whose predictions are classes.
        DataError: no rows, labels other than 0 and 1, one class alone, or no row with a score.
    """
    from pyspark.sql import functions as F

    scored = model.score(data, [label], spark)
    kind = scored.schema["prediction"].dataType.simpleString()
    if kind != "double" or "probability" in scored.columns:
        raise ConfigError("a score of class 1 is needed; the model predicts classes")
    frame = scored.select(
        F.col("prediction").alias("score"), F.col(f"`{label}`").cast("double").alias("label")
    ).persist()
    try:
        score, truth = F.col("score"), F.col("label")
        known = F.coalesce(F.abs(score) < float("inf"), F.lit(False))
        above = known & (score >= 0.5)
        row = frame.agg(
            F.count("*").alias("every"),
            F.count_if(~F.coalesce(truth.isin(0.0, 1.0), F.lit(False))).alias("strange"),
            F.count_if(known).alias("rows"),
            F.count_if(known & (truth == 1)).alias("positives"),
            F.count_if(above).alias("above"),
            F.count_if(above & (truth == 1)).alias("right"),
            F.min(F.when(known, score)).alias("low"),
            F.max(F.when(known, score)).alias("high"),
        ).first()
        assert row is not None
        if not row["every"]:
            raise DataError("there are no rows to calibrate or to choose a threshold on")
        if row["strange"]:
            raise DataError(
                f"label {label} is null or neither 0 nor 1 in {row['strange']} of {row['every']} "
                "rows; leave them out"
            )
        if not row["rows"]:
            raise DataError(f"the model gives none of {row['every']} rows a score")
        if row["positives"] in (0, row["rows"]):
            raise DataError(
                f"label {label} is {int(bool(row['positives']))} in all {row['rows']} rows; "
                "two classes are needed"
            )
        yield HeldOut(
            frame=frame.where(known),
            rows=row["rows"],
            positives=row["positives"],
            unscored=row["every"] - row["rows"],
            low=row["low"],
            width=row["high"] - row["low"],
            above=(row["above"], row["right"]),
        )
    finally:
        frame.unpersist()


def _distinct(rows: pa.Table) -> pa.Table:
    """Each score once, ascending, with its rows and those of class 1 among them."""
    scores = rows.column("score").to_numpy()
    found, place = np.unique(scores, return_inverse=True)
    positives = np.bincount(place, weights=rows.column("label").to_numpy(), minlength=len(found))
    count = np.bincount(place, minlength=len(found))
    return pa.table({"score": found, "rows": count, "positives": positives.astype(np.int64)})
