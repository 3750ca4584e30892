"""Metrics and comparisons of scores that are columns of a table, in one distributed pass.

`measure_table` is one scan of the statistics engine: tasks compact their rows (one for each label
and distinct probability, or sums), states are merged in a tree, metrics are exact.
`evaluate_table` adds intervals: few rows come to the driver; many are shuffled once by their group,
and each task measures and resamples the groups that it got (`bags.py`), unless the groups are too
few for that (`few_groups.py`). The driver puts the tasks' compacted rows together (`packed.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sparkmine.errors import DataError, raised_by_workers
from sparkmine.evaluate.bags import Bag, Question, Rows, bag_of
from sparkmine.evaluate.class_names import labels_of
from sparkmine.evaluate.comparison import Comparison, Evaluation, conclude
from sparkmine.evaluate.driver_memory import check_driver
from sparkmine.evaluate.few_groups import LEAST_GROUPS, bag_by_groups, sizes_of
from sparkmine.evaluate.measured import Measured, values_of
from sparkmine.evaluate.metrics import Options
from sparkmine.evaluate.packed import SCHEMA, received, sent
from sparkmine.evaluate.tasks import task_of
from sparkmine.expr import col
from sparkmine.lake.inputs import as_frame, need_columns, session_of
from sparkmine.stats.engine import StatEngine
from sparkmine.stats.task import Request

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from sparkmine.lake import Snapshot

# Predictions that one process resamples; of more, a task has about so many.
BAG_PREDICTIONS = 10_000_000
# Values of a column that are segments of their own.
MOST_SEGMENTS = 100


def measure_table(
    data: DataFrame | Snapshot,
    label: str,
    predictions: Sequence[str] | str = "prediction",
    metrics: Sequence[str] | None = None,
    *,
    task: str = "binary",
    threshold: float = 0.5,
    classes: Sequence[Any] | None = None,
    weight: str | None = None,
    by: Sequence[str] = (),
    spark: SparkSession | None = None,
) -> pa.Table:
    """Measure columns of predictions against a column of labels: one scan.

    Args:
        predictions: binary: probabilities of class 1; multiclass: classes, or arrays of
            probabilities; regression: numbers.
        metrics: names; all of the task when None.
        threshold: the least probability that is predicted positive (binary).
        classes: the labels in order (multiclass); by default 0 to k - 1 where predictions are
            arrays, and those that occur, found in a scan of their own, where they are not.
        weight: column with a weight for each row.
        by: columns; every combination of their values is measured by itself.

    Returns:
        Table [prediction: string, the columns of `by`, weight: double, one column a metric],
        ascending by `by`; `weight` is the number of rows, or the sum of their weights. A metric
        that is not defined is null.

    Raises:
        ConfigError: no such column.
        DataError: no rows, nulls, or values that the task does not know.
    """
    models = [predictions] if isinstance(predictions, str) else list(predictions)
    need_columns(data, [label, *models, *by, *([weight] if weight else [])])
    kind = task_of(task)
    names = kind.check_names(tuple(kind.metrics) if metrics is None else metrics)
    session = session_of(data, spark)
    options = Options(
        threshold=threshold,
        classes=tuple(classes) if classes else None,
        ranked=kind.needs_ranks(names),
    )
    if task == "multiclass" and options.classes is None:
        options = replace(options, classes=_classes(as_frame(data, session), label, models))
    stats = [Measured(label, model, weight, tuple(by), task, options) for model in models]
    requests = [Request(stat, tuple(col(name) for name in stat.columns)) for stat in stats]
    with raised_by_workers():
        states = StatEngine(data, session).run(requests)
    rows = [
        (model, key, sample)
        for model, state in zip(models, states, strict=True)
        for key, sample in sorted(state.items(), key=lambda item: _sortable(item[0]))
    ]
    if not rows:
        raise DataError("there are no rows to evaluate; check the period of the test rows")
    values = [sample.measure(names) for _, _, sample in rows]
    columns: dict[str, Any] = {"prediction": pa.array([model for model, _, _ in rows])}
    for place, column in enumerate(by):
        columns[column] = pa.array([key[place] for _, key, _ in rows])
    columns["weight"] = pa.array([sample.outcomes.weight(sample.weights) for _, _, sample in rows])
    for name in names:
        found = np.array([value[name] for value in values])
        columns[name] = pa.array(found, mask=np.isnan(found))
    return pa.table(columns)


def evaluate_table(
    data: DataFrame | Snapshot,
    label: str,
    group: str,
    models: Mapping[str, str],
    *,
    weight: str | None = None,
    segments: Sequence[str] = (),
    rows: int | None = None,
    spark: SparkSession | None = None,
    **how: Any,
) -> Evaluation:
    """`evaluate_models` for columns of a table of any size.

    Args:
        group: column whose equal values are resampled together.
        models: columns of predictions by the models' names, in the order to report.
        weight: column with a weight for each row.
        segments: columns by whose values the best model is measured, too.
        rows: how many there are; counted when None.
        how: fields of `Comparison`.

    Raises:
        ConfigError: no such column; classes without a name.
        DataError: as for `evaluate_models`; a segment column with too many values; too few groups
            with too many different predictions each; more different predictions than the driver
            has memory for.
    """
    comparison = Comparison(**how)
    df = as_frame(data, spark)
    wanted = [label, group, *models.values(), *segments, *([weight] if weight else [])]
    need_columns(df, wanted)
    question = comparison.question(models, segments)
    reader = _Reader(label, group, dict(models), weight, question)
    df = df.select(*dict.fromkeys(wanted))
    count = df.count() if rows is None else rows
    rankings = _rankings(df, models.values())
    bags = -(-count * len(models) * rankings // BAG_PREDICTIONS)
    if bags <= 1:
        every = reader.rows([df.toArrow()])
        question = comparison.named(question, every)
        return conclude(comparison, question, [bag_of(question, every)])
    if question.task == "multiclass":
        classes = _classes(df, label, list(models.values()))
        if comparison.classes is not None:
            length = _length(df, models.values())
            classes = labels_of(comparison.classes, length, classes)
        options = replace(question.options, classes=classes)
        question = replace(question, options=options)
        reader = replace(reader, question=question)
    sizes = sizes_of(df, label, group, models.values(), question)
    if sizes.groups < LEAST_GROUPS * bags:
        if sizes.of_groups > BAG_PREDICTIONS:
            raise DataError(
                f"{count:,} rows are of about {sizes.groups:,} groups of {group}, too few to "
                f"resample them in {bags} bags, and a model has about {sizes.of_groups:,} "
                "different predictions over them, too many for one process "
                f"({BAG_PREDICTIONS:,}): round the predictions "
                f"(to 4 digits, say), or choose a group column with at least "
                f"{LEAST_GROUPS * bags:,} values"
            )
        bag = bag_by_groups(df, label, group, models, weight, question, count, MOST_SEGMENTS)
        return conclude(comparison, question, [bag])
    check_driver(sizes.of_bags(bags), rankings, question)
    return conclude(
        comparison, question, _bags(df.repartition(bags, group), _BagTask(reader, bags))
    )


def _bags(df: DataFrame, task: _BagTask) -> list[Bag]:
    """What the tasks found out, each about its partition.

    They work at once and leave it on their disks; the driver fetches one after the other, so that
    what all send together counts neither against its heap nor spark.driver.maxResultSize.
    """
    from pyspark import StorageLevel

    found = df.mapInArrow(task, SCHEMA).persist(StorageLevel.DISK_ONLY)
    try:
        with raised_by_workers():
            found.count()
            return received(found.toLocalIterator())
    finally:
        found.unpersist()


@dataclass(frozen=True)
class _Reader:
    """Arrow tables to the columns that a bag is made of."""

    label: str
    group: str
    models: dict[str, str]
    weight: str | None
    question: Question

    def rows(self, tables: Sequence[pa.Table]) -> Rows:
        table = pa.concat_tables(tables)

        def column(name: str) -> npt.NDArray[Any]:
            return values_of(table.column(name), name)

        segments = {}
        for name in self.question.segments:
            segments[name] = np.array(table.column(name).to_pylist(), dtype=object)
            values = len(set(segments[name].tolist()))
            if values > MOST_SEGMENTS:
                raise DataError(
                    f"segment column {name} has {values} values, more than {MOST_SEGMENTS}; cut it "
                    "into buckets first"
                )
        return Rows(
            labels=column(self.label),
            groups=column(self.group),
            predictions={name: column(at) for name, at in self.models.items()},
            weights=None if self.weight is None else column(self.weight),
            segments=segments,
        )


@dataclass(frozen=True)
class _BagTask:
    """What a task does with the rows of its groups."""

    reader: _Reader
    bags: int

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from pyspark import TaskContext

        context = TaskContext.get()
        number = 0 if context is None else context.partitionId()
        tables = [pa.Table.from_batches([batch]) for batch in batches]
        if any(table.num_rows for table in tables):
            bag = bag_of(self.reader.question, self.reader.rows(tables), number, self.bags)
            yield from sent(number, bag)


def _rankings(df: DataFrame, models: Iterable[str]) -> int:
    """How many orders of the rows a resample goes through for each model: one a class."""
    return max(1, _length(df, models) or 1)


def _length(df: DataFrame, models: Iterable[str]) -> int | None:
    """Elements of predictions that are arrays, by the first there is; None of plain ones."""
    from pyspark.sql import functions as F
    from pyspark.sql.types import ArrayType

    arrays = [name for name in models if isinstance(df.schema[name].dataType, ArrayType)]
    if not arrays:
        return None
    column = F.col(f"`{arrays[0]}`")
    first = df.where(column.isNotNull()).select(F.size(column)).first()
    return 0 if first is None else int(first[0])


def _classes(df: DataFrame, label: str, models: Sequence[str]) -> tuple[Any, ...]:
    """The classes of a multiclass task: a scan, unless predictions are arrays."""
    from pyspark.sql import functions as F

    length = _length(df, models)
    if length is not None:
        return tuple(range(length))
    columns = F.array(*(F.col(f"`{name}`") for name in [label, *models]))
    found = df.select(F.explode(columns).alias("class")).distinct().collect()
    return tuple(sorted(row[0] for row in found if row[0] is not None))


def _sortable(key: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple((value is not None, value) for value in key)
