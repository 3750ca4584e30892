"""Columns of labels and predictions as NumPy, and the statistic that measures them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sparkmine.errors import DataError
from sparkmine.evaluate.metrics import Floats, Options, Sample, row_weights
from sparkmine.evaluate.tasks import task_of
from sparkmine.stats.base import Stat


@dataclass(frozen=True)
class Measured(Stat):
    """The compacted rows of one model, by the values of some columns.

    The state is a dict from these values to a `Sample`.
    """

    label: str
    prediction: str
    weight: str | None = None
    by: tuple[str, ...] = ()
    task: str = "binary"
    options: Options = field(default_factory=Options)

    @property
    def columns(self) -> tuple[str, ...]:
        weight = () if self.weight is None else (self.weight,)
        return (self.label, self.prediction, *weight, *self.by)

    def zero(self) -> dict[tuple[Any, ...], Sample]:
        return {}

    def update(self, state: dict[tuple[Any, ...], Sample], arrays: list[pa.Array]) -> Any:
        if not len(arrays[0]):
            return state
        labels = values_of(arrays[0], self.label)
        found = values_of(arrays[1], self.prediction)
        rest = arrays[2:]
        weights = np.ones(len(labels))
        if self.weight is not None:
            weights = row_weights(values_of(rest.pop(0), self.weight), len(labels))
        codes, keys = _codes(rest, len(labels))
        here = {}
        for place, key in enumerate(keys):
            mine = codes == place if len(keys) > 1 else slice(None)
            outcomes = task_of(self.task).of(labels[mine], found[mine], self.options)
            here[key] = outcomes.compact(weights[mine])
        return self.merge(state, here)

    def merge(self, a: dict[tuple[Any, ...], Sample], b: dict[tuple[Any, ...], Sample]) -> Any:
        merged = dict(a)
        for key, sample in b.items():
            both = [merged[key], sample] if key in merged else [sample]
            merged[key] = task_of(self.task).join(both)
        return merged


def values_of(array: pa.Array | pa.ChunkedArray, name: str) -> npt.NDArray[Any]:
    """A column as NumPy: numbers [n], objects [n], or arrays of one length [n, k].

    Raises:
        DataError: nulls, or arrays of several lengths.
    """
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if array.null_count:
        raise DataError(
            f"column {name} is null in {array.null_count} of {len(array)} rows; leave them out by "
            "a condition"
        )
    if pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        lengths = pc.unique(pc.list_value_length(array)).to_pylist()
        if len(lengths) != 1:
            raise DataError(f"arrays in {name} have {min(lengths)} to {max(lengths)} elements")
        flat: Floats = array.flatten().to_numpy(zero_copy_only=False)
        return flat.reshape(len(array), -1)
    if pa.types.is_boolean(array.type):
        array = array.cast(pa.int8())
    found: npt.NDArray[Any] = array.to_numpy(zero_copy_only=False)
    return found


def _codes(columns: Sequence[pa.Array], rows: int) -> tuple[npt.NDArray[np.intp], list[Any]]:
    """The number of each row's combination of values, and the combinations."""
    if not columns:
        return np.zeros(rows, dtype=np.intp), [()]
    codes = np.zeros(rows, dtype=np.int64)
    for column in columns:
        encoded = column.dictionary_encode(null_encoding="encode")
        codes = codes * len(encoded.dictionary) + encoded.indices.to_numpy(zero_copy_only=False)
        _, codes = np.unique(codes, return_inverse=True)
    _, first, numbers = np.unique(codes, return_index=True, return_inverse=True)
    return numbers, [tuple(column[int(place)].as_py() for column in columns) for place in first]
