"""Bags on their way from tasks to the driver.

What bags found out is small. The compacted rows from which the metrics over all bags are computed
are not: they travel as Arrow columns (of two classes a bit, a probability and a weight: at most 17
bytes a row), compressed, in pieces of a few MB, so that no value comes near the 2 GiB that one may
have. The driver keeps them so, and unpacks the rows of one model at a time.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sparkmine.evaluate.metrics import Options, Outcomes, Sample

if TYPE_CHECKING:
    from sparkmine.evaluate.bags import Bag

# A bag's figures are its row without part; each other row has some of the rows of a model in a part
# of the bag (all of it, or a segment).
SCHEMA = "bag int, part int, model string, piece binary"
_ARROW = pa.schema(
    [("bag", pa.int32()), ("part", pa.int32()), ("model", pa.string()), ("piece", pa.binary())]
)
PIECE_BYTES = 1 << 22
# Numbers without order, such as probabilities, do not shrink; labels and equal weights vanish.
_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")


@dataclass(frozen=True)
class Packed:
    """The rows of a sample as Arrow streams."""

    pieces: tuple[bytes, ...]

    @classmethod
    def of(cls, sample: Sample) -> Packed:
        columns = sample.columns()
        rows = len(sample.weights)
        size = sum(column.nbytes for column in columns.values())
        step = max(1, rows * PIECE_BYTES // size)
        return cls(tuple(_stream(columns, slice(at, at + step)) for at in range(0, rows, step)))


def unpacked(kind: type[Outcomes], options: Options, packed: Sequence[Packed]) -> Sample:
    """All rows of the packed samples."""
    pieces = [piece for one in packed for piece in one.pieces]
    tables = [pa.ipc.open_stream(piece).read_all() for piece in pieces]
    columns = {
        name: np.concatenate([_values(table.column(name)) for table in tables])
        for name in tables[0].column_names
    }
    return Sample.of_columns(kind, columns, options)


def sent(number: int, bag: Bag) -> Iterator[pa.RecordBatch]:
    """A bag as rows of `SCHEMA`, each a batch of its own."""
    parts = [bag.whole, *bag.segments.values()]
    bare = [replace(part, samples={}) for part in parts]
    segments = dict(zip(bag.segments, bare[1:], strict=True))
    # Our own bytes between our own processes of one job.
    figures = pickle.dumps(replace(bag, whole=bare[0], segments=segments), protocol=5)
    yield _row(number, None, None, figures)
    for place, part in enumerate(parts):
        for model, sample in part.samples.items():
            packed = sample if isinstance(sample, Packed) else Packed.of(sample)
            for piece in packed.pieces:
                yield _row(number, place, model, piece)


def received(rows: Iterable[Any]) -> list[Bag]:
    """The bags of rows that were sent, which come in the order of their sending."""
    bags: dict[int, Bag] = {}
    pieces: dict[int, dict[int, dict[str, list[bytes]]]] = {}
    for number, part, model, piece in rows:
        if part is None:
            bags[number] = pickle.loads(piece)
        else:
            models = pieces.setdefault(number, {}).setdefault(part, {})
            models.setdefault(model, []).append(bytes(piece))
    found = []
    for number, bag in sorted(bags.items()):
        parts = [
            replace(part, samples={name: Packed(tuple(p)) for name, p in models.items()})
            for part, models in zip(
                [bag.whole, *bag.segments.values()],
                (pieces[number][place] for place in sorted(pieces[number])),
                strict=True,
            )
        ]
        segments = dict(zip(bag.segments, parts[1:], strict=True))
        found.append(replace(bag, whole=parts[0], segments=segments))
    return found


def _row(number: int, part: int | None, model: str | None, piece: bytes) -> pa.RecordBatch:
    values = (number, part, model, piece)
    columns = [pa.array([value], kind) for value, kind in zip(values, _ARROW.types, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=_ARROW)


def _stream(columns: Mapping[str, npt.NDArray[Any]], rows: slice) -> bytes:
    table = pa.table({name: _array(column[rows]) for name, column in columns.items()})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=_OPTIONS) as stream:
        stream.write_table(table)
    found: bytes = sink.getvalue().to_pybytes()
    return found


def _array(values: npt.NDArray[Any]) -> pa.Array:
    if values.ndim == 1:
        return pa.array(values)
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])


def _values(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    found = column.combine_chunks()
    if pa.types.is_fixed_size_list(found.type):
        flat: npt.NDArray[Any] = found.flatten().to_numpy(zero_copy_only=False)
        return flat.reshape(-1, found.type.list_size)
    values: npt.NDArray[Any] = found.to_numpy(zero_copy_only=False)
    return values
