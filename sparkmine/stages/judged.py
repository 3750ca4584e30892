"""What decisions cost on rows that neither the model nor its threshold was chosen by.

A model stage with `costs:` writes a column `decision`, by the threshold that was cheapest on other
rows. An evaluation measures all models at one threshold; here each model is judged by its own
decisions, and beside them by that threshold. Cost: one aggregation of the scores a model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sparkmine.model import DECISION, SCORES
from sparkmine.stages.base import Context

if TYPE_CHECKING:
    from pyspark.sql import Row

    from sparkmine.mine import Costs


def judged_decisions(
    context: Context, models: Mapping[str, str], where: str, label: str, threshold: float
) -> list[dict[str, Any]]:
    """The confusion matrix [was][taken for] and the mean cost of each model that decides.

    Args:
        models: Tables of scores by name, which the stage reads.
        where: The rows that are evaluated; those without a score are left out.
        threshold: From which probability the evaluation takes a row for class 1.

    Returns:
        JSON values; empty where no model has decisions and costs.
    """
    from pyspark.sql import functions as F

    from sparkmine import mine

    found = []
    for name, table in models.items():
        metadata = context.commits[table].metadata or {}
        block = metadata.get("config", {}).get("costs")
        if not block or DECISION not in context.inputs[table].schema.names:
            continue
        prices = {key: value for key, value in block.items() if key != "where"}
        score = F.col(SCORES[0])
        rows = (
            context.frame(table, where)
            .where(score.isNotNull())
            .groupBy(
                (F.col(f"`{label}`") == 1).cast("int").alias("was"),
                F.col(DECISION).alias("chosen"),
                (score >= threshold).cast("int").alias("common"),
            )
            .count()
            .collect()
        )
        costs, chosen = mine.Costs(**prices), metadata["metrics"]["decision"]
        found.append(
            {
                "model": name,
                "costs": prices,
                "expected_cost": chosen["expected_cost"],
                "chosen": _judged(rows, "chosen", chosen["threshold"], costs),
                "common": _judged(rows, "common", threshold, costs),
            }
        )
    return found


def _judged(rows: list[Row], which: str, threshold: float, costs: Costs) -> dict[str, Any]:
    counts = [[0, 0], [0, 0]]
    for row in rows:
        counts[row["was"]][row[which]] += row["count"]
    every = sum(map(sum, counts))
    (spared, false), (missed, right) = counts
    cost = costs.of((spared, missed), (false, right)) / every if every else None
    return {"threshold": threshold, "counts": counts, "cost": cost}
