"""Models of NumPy arrays, which score Arrow blocks in Python workers.

A model with one number a class, or with hundreds of trees, is no expression that Spark would
compile. Only the features go to the workers and only scores come back.
"""

from __future__ import annotations

import contextlib
import json
from abc import abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sparkmine.errors import ModelError
from sparkmine.model import Task
from sparkmine.python_model import PythonModel, Score, Scorer
from sparkmine.scoring import arrays_of, packed, score_columns, with_scores
from sparkmine.stats.sparse import is_sparse, sparse_rows

if TYPE_CHECKING:
    from pyspark.core.broadcast import Broadcast
    from pyspark.sql import DataFrame, SparkSession

Floats = npt.NDArray[np.float64]

STATE, ARRAYS = "model.json", "arrays.npz"


@dataclass(frozen=True, eq=False, kw_only=True)
class BlockModel(PythonModel):
    """A model of arrays. Subclasses add fields that are arrays, and `scores`.

    Fields:
        columns: the features with the number of elements of each, 1 for a plain column.
        details: what was fitted, for reports; JSON values only.
    """

    # Fields that are JSON; all others are arrays.
    plain: ClassVar[tuple[str, ...]] = ("columns", "details")

    columns: tuple[tuple[str, int], ...]
    details: dict[str, Any] = field(default_factory=dict)

    @property
    @abstractmethod
    def task(self) -> Task:
        """What is predicted."""

    @abstractmethod
    def scores(self, rows: Floats) -> Floats:
        """The prediction for each of the `rows` [n, d], all finite: [n], or [n, k] of k classes."""

    @property
    def features(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.columns)

    def transform(self, df: DataFrame) -> DataFrame:
        """`df` with `prediction`, and of several classes `probability`.

        A row with a feature that is null, NaN or infinite, or an array of another length, gets
        null.

        Raises:
            ConfigError: a feature is missing, or an added column is there.
        """
        return super().transform(df)

    def scorer(self, spark: SparkSession) -> Scorer:
        opened = _opened(spark.sparkContext.broadcast(self))
        return Scorer(features=self.features, columns=score_columns(self.task), opened=opened)

    def transform_arrow(self, table: pa.Table) -> pa.Table:
        return with_scores(table, self.evaluate(table))

    def evaluate(self, table: pa.Table | pa.RecordBatch) -> pa.Array:
        """The scores of the rows of an Arrow table: doubles, or of classes structs.

        Raises:
            ConfigError: a feature is missing.
        """
        return self._scored(arrays_of(table, self.features))

    def _scored(self, arrays: Sequence[pa.Array]) -> pa.Array:
        widths = [width for _, width in self.columns]
        if any(is_sparse(array.type) for array in arrays):
            found = sparse_rows(self.features, widths, arrays)
            return packed(spread(self.scores(found.matrix), found.usable), found.usable, self.task)
        rows = matrix(arrays, widths)
        usable = np.isfinite(rows).all(axis=1)
        rows[~usable] = 0.0
        return packed(self.scores(rows), usable, self.task)

    def _write(self, folder: Path) -> None:
        state = {name: getattr(self, name) for name in self.plain}
        (folder / STATE).write_text(json.dumps(state, indent=1) + "\n")
        arrays = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in self.plain}
        np.savez(folder / ARRAYS, **arrays)

    @classmethod
    def _read(cls, folder: Path) -> Self:
        try:
            state = json.loads((folder / STATE).read_text())
            with np.load(folder / ARRAYS, allow_pickle=False) as file:
                arrays = dict(file)
            state["columns"] = tuple((name, width) for name, width in state["columns"])
            return cls(**state, **arrays)
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ModelError(f"{folder}: {type(error).__name__}: {error}") from None


def spread(scores: Floats, usable: npt.NDArray[np.bool_]) -> Floats:
    """Scores of the usable rows among all rows; 0 for the others."""
    found = np.zeros((len(usable), *scores.shape[1:]))
    found[usable] = scores
    return found


def matrix(arrays: Sequence[pa.Array], widths: Sequence[int]) -> Floats:
    """Columns side by side [n, d]; NaN where a value is null or an array of another length."""
    rows = len(arrays[0])
    found = np.empty((rows, sum(widths)))
    place = 0
    for array, width in zip(arrays, widths, strict=True):
        part = found[:, place : place + width]
        place += width
        kind = array.type
        if not pa.types.is_nested(kind):
            part[:, 0] = _floats(array)
            continue
        lengths = pc.fill_null(pc.list_value_length(array), -1).to_numpy(zero_copy_only=False)
        good = lengths == width
        taken = array if good.all() else array.filter(pa.array(good))
        values = _floats(pc.list_flatten(taken)).reshape(-1, width)
        part[good] = values
        part[~good] = np.nan
    return found


def _floats(array: pa.Array) -> Floats:
    values = pc.cast(array, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return np.asarray(values, np.float64)


def _opened(sent: Broadcast[BlockModel]) -> Callable[[], AbstractContextManager[Score]]:
    return lambda: contextlib.nullcontext(sent.value._scored)
