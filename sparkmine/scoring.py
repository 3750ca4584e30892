"""Scores as Arrow: how models that compute in Python pack them, and put them beside rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sparkmine.errors import ConfigError

# Tasks with several numbers a row, and the type of their prediction.
_KINDS = {"multiclass": "int", "multilabel": "array<double>"}


def score_columns(task: str) -> dict[str, str]:
    """What a model of the task adds, as names and SQL types."""
    columns = {"prediction": _KINDS.get(task, "double")}
    if task == "multiclass":
        columns["probability"] = "array<double>"
    return columns


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
    check_free(columns, table.column_names)
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


def check_free(added: Iterable[str], columns: Sequence[str]) -> None:
    """Raise ConfigError if a column that is to be added is there."""
    taken = [name for name in added if name in columns]
    if taken:
        raise ConfigError(f"the table already has {', '.join(taken)}; drop or rename it first")
