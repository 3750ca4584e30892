"""A new champion beside the one in use, on the rows that the new one was measured on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparkmine.errors import DataError, SparkmineError
from sparkmine.evaluate import TASKS, Evaluation, evaluate_table
from sparkmine.evaluate.tasks import metric_label
from sparkmine.expr import parse
from sparkmine.lake import Snapshot
from sparkmine.model import DECISION, SCORES, Model
from sparkmine.stages.base import Context
from sparkmine.stages.learnt import counted, learnt
from sparkmine.stages.scored import score_column, side_by_side

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

CHAMPION, CHALLENGER = "champion", "challenger"


def challenged(
    context: Context, evaluation: str, challenger: str, champion: Mapping[str, Any]
) -> tuple[bool, str]:
    """Whether the champion is better than the challenger with 95 % confidence, and a sentence.

    The champion scores the rows of the evaluation as `predict` would score them: from the table
    that it learnt from, in the version that the challenger learnt from. Where it cannot, or has
    learnt from some of them, the sentence says why, and the champion is not said to be better.

    Args:
        evaluation: The table of the evaluation; its best model is the `challenger`.
        champion: The row of the model in use.
    """
    from pyspark.errors import PySparkException

    in_use = f"the champion, {champion['model']} (version {champion['version']})"
    try:
        found = _compared(context, evaluation, challenger, champion)
    except (SparkmineError, PySparkException) as error:
        why = " ".join(str(error).split())[:200]
        return (
            False,
            f"{challenger} was not compared with {in_use}, which cannot be asked: {why}",
        )
    metric, difference = metric_label(found.primary), found.difference
    if difference is None or difference.value is None or difference.low is None:
        return False, f"{challenger} was not compared with {in_use}: {metric} is not defined."
    worse, better = found.outcome == "worse", found.outcome == "beats"
    says = "better" if better else "worse" if worse else "no worse"
    return worse, (
        f"{challenger} is {says} than {in_use}, on the same rows: difference in {metric} "
        f"{difference.value:+.3f} (95\u00a0% interval {difference.low:+.3f} to "
        f"{difference.high:+.3f})."
    )


def _compared(
    context: Context, evaluation: str, challenger: str, champion: Mapping[str, Any]
) -> Evaluation:
    lake, spark = context.lake, context.spark
    data = context.commits[evaluation].metadata or {}
    config, table = data["config"], data["config"]["models"][challenger]
    where, label = config["where"], config["label"]
    made = lake.table(table).commit(data["followed"][table])
    tables = {name.partition("@")[0] for name in champion["data"].split(", ")}
    sources = [one for one in learnt(lake, made) if one.data and one.table in tables]
    if len(tables) != 1 or not sources:
        raise DataError(f"the champion learnt from {champion['data']}, {challenger} did not")
    scores = lake.table(table).snapshot(data["read"][table]).where(where)
    keys = [name for name in scores.schema.names if name not in (*SCORES, DECISION)]
    rows = lake.table(sources[0].table).snapshot(sources[0].version)
    for condition in (sources[0].score, where):
        rows = rows.where(condition) if condition else rows
    _check_unseen(context, rows, champion.get("learnt") or ())
    model = Model.load(Path(lake.root) / champion["folder"])
    frames: dict[str, DataFrame] = {
        CHALLENGER: scores.dataframe(spark),
        CHAMPION: model.score(rows, keys, spark),
    }
    both = side_by_side(
        {
            name: df.select(*keys, score_column(df.columns).alias(name))
            for name, df in frames.items()
        },
        keys,
    ).persist()
    try:
        count, expected = both.count(), frames[CHALLENGER].count()
        if count != expected:
            raise DataError(f"it scores {count:,} of {expected:,} rows")
        return evaluate_table(
            both,
            label,
            config["group"],
            {name: name for name in frames},
            rows=count,
            baselines=(CHAMPION,),
            chosen=CHALLENGER,
            task=config["task"],
            metric=config["metric"] or TASKS[config["task"]].primary,
            samples=config["samples"],
            seed=context.seed,
            threshold=config["threshold"],
        )
    finally:
        both.unpersist()


def _check_unseen(context: Context, rows: Snapshot, learnt: Sequence[str]) -> None:
    """Raise DataError if the champion learnt from the rows: it would know what it is asked."""
    for condition in learnt:
        if parse(condition).columns <= set(rows.schema.names):
            count = counted(context, rows.where(condition))
            if count:
                raise DataError(f"it learnt from {count:,} of these rows ({condition})")
