"""How models that compute in Python score the rows of a DataFrame: Arrow arrays in, scores out.

Only the features go to the workers and only scores come back; the other columns stay in the JVM.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sparkmine.errors import ConfigError
from sparkmine.lake.inputs import need_columns

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# From the arrays of the features to the scores, as `packed` makes them.
Score = Callable[[list[pa.Array]], pa.Array]
# Tasks with several numbers a row, and the type of their prediction.
_KINDS = {"multiclass": "int", "multilabel": "array<double>"}


def add_scores(
    df: DataFrame,
    features: Sequence[str],
    task: str,
    opened: Callable[[], AbstractContextManager[Score]],
) -> DataFrame:
    """`df` with `prediction`, and of several classes `probability`.

    Args:
        opened: What a task uses while it scores its rows; it travels to the workers.

    Raises:
        ConfigError: a feature is missing, or an added column is there.
    """
    columns = {"prediction": _KINDS.get(task, "double")}
    if task == "multiclass":
        columns["probability"] = "array<double>"
    return add_columns(df, features, columns, opened)


def add_columns(
    df: DataFrame,
    features: Sequence[str],
    columns: Mapping[str, str],
    opened: Callable[[], AbstractContextManager[Score]],
) -> DataFrame:
    """`df` with what Python makes of the features.

    Args:
        columns: the added columns and their types; of several, scores are structs of them.
        opened: as for `add_scores`.

    Raises:
        ConfigError: a feature is missing, or an added column is there.
    """
    from pyspark.sql import functions as F
    from pyspark.sql.pandas.functions import arrow_udf

    need_columns(df, features)
    _free(columns, df.columns)

    # Its hints tell Spark what it takes.
    def score(batches: Iterator[tuple[pa.Array, ...]]) -> Iterator[pa.Array]:
        scores: Score | None = None
        with contextlib.ExitStack() as until_the_end:
            for arrays in batches:
                if scores is None:  # a task without rows need not load a model
                    scores = until_the_end.enter_context(opened())
                # Spark gives a single column without a tuple.
                yield scores(list(arrays) if isinstance(arrays, tuple) else [arrays])

    (first, kind), *more = columns.items()
    if more:
        kind = ", ".join(f"{name} {kind}" for name, kind in columns.items())
    # pyspark's stubs know no iterators of tuples.
    udf: Any = arrow_udf(score, kind)  # type: ignore[call-overload]
    # To an optimizer that takes it for a plain function, a filter by the score would be a reason
    # to compute it twice.
    found = udf.asNondeterministic()(*(F.col(f"`{name}`") for name in features))
    scored = df.withColumn(first, found)
    if not more:
        return scored
    kept = (F.col(f"`{name}`") for name in df.columns)
    return scored.select(*kept, *(F.col(f"{first}.{name}") for name in columns))


def packed(found: npt.NDArray[Any], usable: npt.NDArray[np.bool_], task: str) -> pa.Array:
    """Scores as Arrow, null where a row is not usable: [n, k] of classes or labels, else [n] or
    [n, 1]."""
    if task not in _KINDS:
        return pa.array(found.reshape(len(usable)).astype(np.float64), mask=~usable)
    offsets = np.arange(len(found) + 1, dtype=np.int32) * found.shape[1]
    probability = pa.ListArray.from_arrays(
        offsets, found.astype(np.float64).ravel(), mask=pa.array(~usable)
    )
    if task == "multilabel":
        return probability
    chosen = pa.array(found.argmax(axis=1).astype(np.int32), mask=~usable)
    return pa.StructArray.from_arrays([chosen, probability], names=["prediction", "probability"])


def with_scores(table: pa.Table, scores: pa.Array) -> pa.Table:
    """`table` with what `packed` made of its rows as columns.

    Raises:
        ConfigError: an added column is there.
    """
    columns = {"prediction": scores}
    if pa.types.is_struct(scores.type):
        columns = dict(zip((field.name for field in scores.type), scores.flatten(), strict=True))
    _free(columns, table.column_names)
    for name, column in columns.items():
        table = table.append_column(name, column)
    return table


def with_column(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    """`table` with a column added, or replaced."""
    place = table.schema.get_field_index(name)
    if place < 0:
        return table.append_column(name, values)
    return table.set_column(place, name, values)


def arrays_of(table: pa.Table | pa.RecordBatch, names: Sequence[str]) -> list[pa.Array]:
    """Columns of a table, each as one array.

    Raises:
        ConfigError: one is missing.
    """
    missing = sorted(set(names) - set(table.schema.names))
    if missing:
        raise ConfigError(f"no column {', '.join(missing)}; the columns are {table.schema.names}")
    columns = [table.column(name) for name in names]
    return [c.combine_chunks() if isinstance(c, pa.ChunkedArray) else c for c in columns]


def _free(added: Iterable[str], columns: Sequence[str]) -> None:
    taken = [name for name in added if name in columns]
    if taken:
        raise ConfigError(f"the table already has {', '.join(taken)}; drop or rename it first")
