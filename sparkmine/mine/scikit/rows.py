"""All rows of a fit in the memory of a task: a matrix, labels, and which rows are in which part."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sparkmine.errors import DataError
from sparkmine.expr import Expr, evaluate
from sparkmine.lake.scan import Block, Scan
from sparkmine.mine.supervised.labels import MOST_CLASSES
from sparkmine.model import Task
from sparkmine.stats.matrix import Matrix, matrix_of, refuse_gaps
from sparkmine.stats.sparse import is_sparse, sparse_rows

if TYPE_CHECKING:
    from sparkmine.lake import Snapshot

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False, kw_only=True)
class Rows:
    """What a task holds.

    Attributes:
        matrix: The features [n, d], row after row; with sparse columns SciPy's compressed rows.
        labels: [n] int64, of a regression float64.
        parts: [p, n] whether a row is in each of the parts.
        widths: Elements of each feature.
        classes: Number of classes; None for a regression.
    """

    matrix: Any
    labels: Array
    parts: Array
    widths: tuple[int, ...]
    classes: int | None

    def part(self, number: int | None) -> tuple[Array, Array]:
        """Matrix and labels of a part; of all rows for None."""
        if number is None:
            return self.matrix, self.labels
        return self.matrix[self.parts[number]], self.labels[self.parts[number]]


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Which rows are read, and as what. It travels to the tasks.

    Attributes:
        blocks: All blocks of the scan.
        most: At least as many rows as the blocks have.
        entries: Of sparse columns, the places that are not zero; None without such columns.
        parts: Conditions over columns of the scan.
    """

    scan: Scan
    blocks: tuple[Block, ...]
    most: int
    features: tuple[str, ...]
    widths: tuple[int, ...]
    label: str
    task: Task
    precision: str
    entries: int | None = None
    parts: tuple[Expr, ...] = ()

    @classmethod
    def of(
        cls,
        snapshot: Snapshot,
        features: Sequence[str],
        label: str,
        task: Task,
        precision: str,
        parts: Sequence[Expr] = (),
    ) -> Reading:
        """Plan the reading of a snapshot that the direct scan takes; reads its files' footers.

        Raises:
            DataError: there are no rows.
        """
        scan = Scan.of(snapshot, columns_of(features, label, parts))
        blocks = tuple(scan.blocks())
        return cls(
            scan=scan,
            blocks=blocks,
            most=sum(block.rows for block in blocks),
            features=tuple(features),
            widths=_widths(scan, blocks, features),
            label=label,
            task=task,
            precision=precision,
            entries=_entries(scan, blocks, features),
            parts=tuple(parts),
        )

    def read(self) -> Rows:
        """Read them.

        Raises:
            DataError: gaps in the features, or labels that the task does not know.
        """
        width = sum(self.widths)
        # Pages that are not written take no memory: `most` may be more than there are.
        dense = self.entries is None
        matrix: Any = np.empty((self.most if dense else 0, width), self.precision)
        pieces: list[Any] = []
        labels: list[Array] = []
        parts: list[Array] = []
        invalid, at = np.zeros(len(self.features), np.int64), 0
        for table in self.scan.read_many(self.blocks):
            if not table.num_rows:
                continue
            arrays = _arrays(table, self.features)
            if dense:
                found = matrix_of(self.features, arrays)
                if found.ragged is not None:
                    raise found.ragged.error()
                invalid += found.invalid()
                if not invalid.any():
                    self._fill(matrix[at : at + table.num_rows], found)
            else:
                rows = sparse_rows(self.features, self.widths, arrays, self.precision)
                invalid += rows.invalid
                pieces.append(rows.matrix)
            at += table.num_rows
            labels.append(_numbers(table.column(self.label)))
            parts.append(np.array([_true(part, table) for part in self.parts], bool))
        refuse_gaps(self.features, invalid)
        if not at:
            raise DataError("there are no rows to fit on")
        checked, classes = _checked(np.concatenate(labels), self.label, self.task)
        return Rows(
            matrix=matrix[:at] if dense else _stacked(pieces),
            labels=checked,
            parts=np.concatenate(parts, axis=1) if self.parts else np.zeros((0, at), bool),
            widths=self.widths,
            classes=classes,
        )

    def _fill(self, out: Array, found: Matrix) -> None:
        place = 0
        for name, part, width in zip(self.features, found.parts, self.widths, strict=True):
            if part.shape[1] != width:
                raise DataError(
                    f"arrays in {name} have {width} and {part.shape[1]} elements; one length is "
                    "needed"
                )
            out[:, place : place + width] = part
            place += width


def _stacked(pieces: list[Any]) -> Any:
    from scipy import sparse

    return sparse.vstack(pieces, format="csr")


def columns_of(features: Sequence[str], label: str, parts: Iterable[Expr]) -> list[str]:
    """The columns that are read, each once."""
    conditions = sorted({name for part in parts for name in part.columns})
    return list(dict.fromkeys([*features, label, *conditions]))


def _widths(scan: Scan, blocks: Sequence[Block], features: Sequence[str]) -> tuple[int, ...]:
    """Elements of each feature in the first row there is."""
    kinds = {name: scan.schema.field(name).type for name in features}
    vectors = [name for name in features if is_sparse(kinds[name])]
    lists = [name for name in features if pa.types.is_list(kinds[name])]
    widths = dict.fromkeys(features, 1)
    if lists or vectors:
        some = Scan.of(scan.snapshot, [*lists, *vectors])
        wanted = {(block.path, block.row_group) for block in blocks}
        own = (block for block in some.blocks() if (block.path, block.row_group) in wanted)
        for table in some.read_many(own, limit=1 << 20):
            known = table.slice(0, 1)
            given = (known.column(name).null_count == 0 for name in (*lists, *vectors))
            if len(known) and all(given):
                widths |= {name: len(known.column(name)[0]) for name in lists}
                widths |= {name: known.column(name)[0]["size"].as_py() for name in vectors}
                break
    return tuple(widths[name] for name in features)


def _entries(scan: Scan, blocks: Sequence[Block], features: Sequence[str]) -> int | None:
    """Values of the sparse columns, by the files' footers."""
    leaves = {f"{name}.values.list.element" for name in features}
    if not any(is_sparse(scan.schema.field(name).type) for name in features):
        return None
    found = 0
    for path, some in groupby(blocks, lambda block: block.path):
        metadata = pq.ParquetFile(path).metadata
        for block in some:
            group = metadata.row_group(block.row_group)
            columns = (group.column(place) for place in range(group.num_columns))
            found += sum(one.num_values for one in columns if one.path_in_schema in leaves)
    return found


def _checked(labels: Array, name: str, task: Task) -> tuple[Array, int | None]:
    """The labels as the task knows them, and the number of classes."""
    rows = len(labels)
    if task == "regression":
        bad = int(np.count_nonzero(~np.isfinite(labels)))
        if bad:
            raise DataError(f"label {name} is null, NaN or infinite in {bad} of {rows} rows")
        return labels, None
    known = np.isin(labels, (0.0, 1.0)) if task == "binary" else _are_classes(labels)
    bad = rows - int(np.count_nonzero(known))
    if bad:
        wanted = "neither 0 nor 1" if task == "binary" else "no class from 0 on"
        raise DataError(f"label {name} is null or {wanted} in {bad} of {rows} rows")
    codes = labels.astype(np.int64)
    if codes.min() == codes.max():
        raise DataError(f"label {name} is {codes[0]} in all {rows} rows; two classes are needed")
    classes = 2 if task == "binary" else int(codes.max()) + 1
    if classes > MOST_CLASSES:
        raise DataError(f"label {name} goes up to {classes - 1}; at most {MOST_CLASSES} classes")
    return codes, classes


def _are_classes(labels: Array) -> Array:
    with np.errstate(invalid="ignore"):
        found: Array = (labels >= 0) & (labels == np.floor(labels)) & np.isfinite(labels)
    return found


def _numbers(column: pa.ChunkedArray) -> Array:
    """As float64, nulls as NaN."""
    found: Array = pc.cast(column, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return found


def _true(part: Expr, table: pa.Table) -> Array:
    found = pc.fill_null(evaluate(part, table), False)
    return np.asarray(found.to_numpy(zero_copy_only=False), bool)


def _arrays(table: pa.Table, names: Sequence[str]) -> list[pa.Array]:
    found = [table.column(name).combine_chunks() for name in names]
    return [pa.concat_arrays(a.chunks) if isinstance(a, pa.ChunkedArray) else a for a in found]
