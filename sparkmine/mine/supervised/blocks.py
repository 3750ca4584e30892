"""Models of NumPy arrays, which score Arrow blocks in Python workers.

A model with one number a class, or with hundreds of trees, is no expression that Spark would
compile. Only the features go to the workers and only scores come back.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sparkmine.errors import ConfigError, ModelError
from sparkmine.lake.inputs import need_columns
from sparkmine.model import Model, Task

if TYPE_CHECKING:
    from pyspark.core.broadcast import Broadcast
    from pyspark.sql import DataFrame

Floats = npt.NDArray[np.float64]

STATE, ARRAYS = "model.json", "arrays.npz"
_CLASSES = "prediction int, probability array<double>"


@dataclass(frozen=True, eq=False, kw_only=True)
class BlockModel(Model):
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
        """`df` with `prediction`, and of several classes `probability`, added (or replaced).

        A row with a feature that is null, NaN or infinite, or an array of another length, gets
        null.

        Raises:
            ConfigError: a feature is missing.
        """
        from pyspark.sql import functions as F
        from pyspark.sql.pandas.functions import arrow_udf

        need_columns(df, self.features)
        sent = df.sparkSession.sparkContext.broadcast(self)
        multiclass = self.task == "multiclass"
        # pyspark's stubs know no iterators of tuples. To an optimizer that takes it for a plain
        # function, a filter by the score would be a reason to compute it twice.
        udf: Any = arrow_udf(_scorer(sent), _CLASSES if multiclass else "double")  # type: ignore[call-overload]
        scorer = udf.asNondeterministic()
        scored = df.withColumn("prediction", scorer(*(F.col(f"`{n}`") for n in self.features)))
        if not multiclass:
            return scored
        kept = [name for name in df.columns if name not in ("prediction", "probability")]
        added = ("prediction", "probability")
        return scored.select(
            *(F.col(f"`{name}`") for name in kept), *(F.col(f"prediction.{name}") for name in added)
        )

    def evaluate(self, table: pa.Table | pa.RecordBatch) -> pa.Array:
        """The scores of the rows of an Arrow table: doubles, or of classes structs.

        Raises:
            ConfigError: a feature is missing.
        """
        missing = sorted(set(self.features) - set(table.schema.names))
        if missing:
            raise ConfigError(f"there is no column {', '.join(missing)}")
        arrays = []
        for name in self.features:
            found = table.column(name)
            arrays.append(found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found)
        return self._scored(arrays)

    def _scored(self, arrays: Sequence[pa.Array]) -> pa.Array:
        rows = matrix(arrays, [width for _, width in self.columns])
        usable = np.isfinite(rows).all(axis=1)
        rows[~usable] = 0.0
        found = self.scores(rows)
        if self.task != "multiclass":
            return pa.array(found, mask=~usable)
        offsets = np.arange(len(found) + 1, dtype=np.int32) * found.shape[1]
        probability = pa.ListArray.from_arrays(
            offsets, np.ascontiguousarray(found).ravel(), mask=pa.array(~usable)
        )
        chosen = pa.array(found.argmax(axis=1).astype(np.int32), mask=~usable)
        return pa.StructArray.from_arrays(
            [chosen, probability], names=["prediction", "probability"]
        )

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


def _scorer(
    sent: Broadcast[BlockModel],
) -> Callable[[Iterator[tuple[pa.Array, ...]]], Iterator[pa.Array]]:
    """The function of the feature columns' arrays; its hints tell Spark what it takes."""

    def score(batches: Iterator[tuple[pa.Array, ...]]) -> Iterator[pa.Array]:
        for arrays in batches:
            # Spark gives a single column without a tuple.
            yield sent.value._scored(list(arrays) if isinstance(arrays, tuple) else [arrays])

    return score
