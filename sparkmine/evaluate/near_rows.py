"""Test rows that have a near copy among the training rows: all of them, by exact distances.

Numbers are standardised by the training rows; two rows are near when the root mean square of the
differences of their columns is at most a tolerance, in standard deviations, and everything that is
no number is equal. Rows within the distance r lie within r on any line, too: both sides are
projected onto three random orthogonal directions (Johnson and Lindenstrauss 1984) and cut into
cells some times as wide as r. A training row is in one cell; a test row looks into every cell that
its ball of radius r touches, two on average and eight at most, so no near pair is missed. What
meets in a cell is compared exactly.

Cost: a pass over the test rows for the cells they look into, a pass over both sides, and a shuffle
of the rows whose cell is looked into. Of the different training rows of a cell at most `CELL_ROWS`
are compared: where more lie closer together than the tolerance, the count is a lower bound.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sparkmine.evaluate.metrics import Floats
from sparkmine.expr.columns import content

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

Keys = npt.NDArray[np.uint64]

# Training rows of one cell that a test row is compared with, and numbers compared at a time.
CELL_ROWS = 1_000
_VALUES = 1 << 23
# Cells that are sent to all tasks, to leave out training rows that nobody looks for.
_CELLS = 4_000_000
# How much wider a cell is than the radius: wide cells are looked into alone, and hold more rows.
_WIDTH = 8.0
_DIRECTIONS = 3
_PLACED = "cell long, learned boolean, row long, point binary"


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Cells of standardised rows of d numbers.

    Fields:
        centre, scale: [d] of the training rows.
        directions: [d, m] orthonormal.
        radius: up to which distance rows are near.
    """

    centre: Floats
    scale: Floats
    directions: Floats
    radius: float

    @classmethod
    def of(cls, sample: Floats, tolerance: float) -> Self:
        """By the spread of training rows [n, d]; a column that is constant counts as it is."""
        known = np.where(np.isfinite(sample), sample, np.nan)
        some = np.isfinite(known).any(axis=0)
        centre, scale = np.zeros(sample.shape[1]), np.ones(sample.shape[1])
        centre[some] = np.nanmean(known[:, some], axis=0)
        scale[some] = np.nanstd(known[:, some], axis=0)
        scale[scale == 0] = 1.0
        width = sample.shape[1]
        drawn = np.random.default_rng(0).normal(size=(width, min(_DIRECTIONS, width)))
        return cls(
            centre=centre,
            scale=scale,
            directions=np.linalg.qr(drawn)[0],
            radius=tolerance * float(np.sqrt(width)),
        )

    def points(self, rows: Floats) -> tuple[Floats, Keys]:
        """Standardised rows, 0 where there is no number, and a key of what stands there instead."""
        finite = np.isfinite(rows)
        points = np.where(finite, (rows - self.centre) / self.scale, 0.0)
        strange = np.zeros(len(rows), np.uint64)
        for kind, of_kind in enumerate((np.isnan(rows), np.isposinf(rows), np.isneginf(rows))):
            for column in np.flatnonzero(of_kind.any(axis=0)):
                place = np.uint64(3 * int(column) + kind + 1)
                strange ^= np.where(of_kind[:, column], _mixed(place), np.uint64(0))
        return points, strange

    def cells(self, points: Floats, other: Keys) -> Keys:
        """The cell [n] of each row."""
        return _keys(np.floor(self._places(points)), other)

    def looked_into(self, points: Floats, other: Keys) -> tuple[npt.NDArray[np.intp], Keys]:
        """Rows and the cells that their balls touch; rows occur as often as they touch cells."""
        places = self._places(points)
        # Rounding must not lose a pair that is just near enough.
        reach = (1 + 1e-9) / _WIDTH + 1e-12 * (1 + np.abs(places))
        low, high = np.floor(places - reach), np.floor(places + reach)
        rows, keys = [], []
        for corner in range(1 << places.shape[1]):
            upper = (corner >> np.arange(places.shape[1])) & 1 == 1
            # A corner is another cell only where the ball crosses the wall in these directions.
            crossing = np.flatnonzero((high != low)[:, upper].all(axis=1))
            rows.append(crossing)
            keys.append(_keys(np.where(upper, high, low)[crossing], other[crossing]))
        return np.concatenate(rows), np.concatenate(keys)

    def _places(self, points: Floats) -> Floats:
        found: Floats = points @ self.directions / (_WIDTH * self.radius)
        return found


def near_rows(
    learned: DataFrame,
    tested: DataFrame,
    features: Sequence[str],
    sample: pa.Table,
    tolerance: float,
) -> int:
    """How many test rows have a near training row.

    Args:
        sample: training rows with the features, by which numbers are standardised.
    """
    from pyspark.sql import functions as F

    widths = _numbers(sample, features)
    if not widths:
        return 0
    grid = Grid.of(_matrix(sample, widths), tolerance)
    rest = [name for name in features if name not in widths]

    def side(df: DataFrame, known: bool) -> DataFrame:
        other = content(rest) if rest else F.lit(0)
        return df.select(
            F.concat(*(_doubles(name, width) for name, width in widths.items())).alias("x"),
            other.cast("long").alias("other"),
            F.lit(known).alias("learned"),
        )

    wanted = side(tested, False).mapInArrow(_Place(grid), _PLACED)
    cells = wanted.select("cell").distinct().limit(_CELLS + 1).toArrow().column(0).to_numpy()
    sought = np.sort(cells) if len(cells) <= _CELLS else None
    known = side(learned, True).mapInArrow(_Place(grid, sought), _PLACED)
    pairs = known.unionByName(wanted).repartition("cell").mapInArrow(_Compare(grid), "row long")
    return int(pairs.distinct().count())


@dataclass(frozen=True)
class _Place:
    """Puts training rows into their cells, if these are sought, test rows where they look."""

    grid: Grid
    sought: npt.NDArray[np.int64] | None = None

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from pyspark import TaskContext

        context = TaskContext.get()
        number = (0 if context is None else context.partitionId()) << 33
        for batch in batches:
            if not batch.num_rows:
                continue
            width = len(self.grid.centre)
            flat = batch.column(0).flatten().to_numpy(zero_copy_only=False)
            points, strange = self.grid.points(flat.reshape(-1, width))
            other = _mixed(batch.column(1).to_numpy().view(np.uint64)) ^ strange
            learned = bool(batch.column(2)[0].as_py())
            if learned:
                rows, cells = np.arange(len(points)), self.grid.cells(points, other)
            else:
                rows, cells = self.grid.looked_into(points, other)
            keys = cells.view(np.int64)
            if learned and self.sought is not None:
                kept = np.flatnonzero(_among(self.sought, keys))
                rows, keys = rows[kept], keys[kept]
            content = np.ascontiguousarray(points[rows])
            yield pa.record_batch(
                [
                    pa.array(keys),
                    pa.array(np.full(len(rows), learned)),
                    pa.array(number + rows),
                    pa.array([row.tobytes() for row in content], pa.binary()),
                ],
                names=["cell", "learned", "row", "point"],
            )
            number += batch.num_rows


@dataclass(frozen=True)
class _Compare:
    """From whole cells to the test rows that have a near row there."""

    grid: Grid

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        found = [batch for batch in batches if batch.num_rows]
        if not found:
            return
        table = pa.Table.from_batches(found)
        cells, learned, rows = (
            table.column(place).to_numpy(zero_copy_only=False) for place in range(3)
        )
        content = table.column(3).combine_chunks()
        points = np.frombuffer(b"".join(content.to_pylist())).reshape(len(rows), -1)
        near = self.near(cells[learned], points[learned], cells[~learned], points[~learned])
        yield pa.record_batch([pa.array(rows[~learned][near])], names=["row"])

    def near(
        self,
        known_cells: npt.NDArray[np.int64],
        known: Floats,
        cells: npt.NDArray[np.int64],
        points: Floats,
    ) -> npt.NDArray[np.bool_]:
        """Which test rows [n] have a training row within the radius in their cell."""
        known_cells, known = _ordered(known_cells, known)
        first = np.searchsorted(known_cells, cells)
        counts = np.minimum(np.searchsorted(known_cells, cells, "right") - first, CELL_ROWS)
        near = np.zeros(len(cells), bool)
        ends = np.cumsum(counts)
        step = max(1, _VALUES // len(self.grid.centre))
        for begin in range(0, int(ends[-1]) if len(ends) else 0, step):
            pairs = np.arange(begin, min(begin + step, int(ends[-1])))
            test = np.searchsorted(ends, pairs, "right")
            training = first[test] + pairs - (ends[test] - counts[test])
            distances = np.sqrt(((points[test] - known[training]) ** 2).sum(axis=1))
            near[test[distances <= self.grid.radius]] = True
        return near


def _ordered(cells: npt.NDArray[np.int64], points: Floats) -> tuple[Any, Floats]:
    """By cell; where one has more rows than are compared, equal rows are kept once."""
    order = np.argsort(cells, kind="stable")
    cells, points = cells[order], points[order]
    if len(cells) and np.unique(cells, return_counts=True)[1].max() > CELL_ROWS:
        both = np.column_stack([cells.view(np.float64), points]).view(np.uint64)
        first = np.sort(np.unique(both, axis=0, return_index=True)[1])
        cells, points = cells[first], points[first]
    return cells, points


def _keys(cells: Floats, other: Keys) -> Keys:
    """One key for the cells' numbers and what is no number. Two of a billion rows may share one."""
    found = other
    # Adding 0 makes one zero of both.
    for column in (cells + 0.0).T:
        found = _mixed(found ^ np.ascontiguousarray(column).view(np.uint64))
    return found


def _mixed(values: Any) -> Any:
    """Steele, Lea and Flood's finaliser of 64 bits ("Fast splittable pseudorandom number
    generators", OOPSLA 2014)."""
    with np.errstate(over="ignore"):
        values = values + np.uint64(0x9E3779B97F4A7C15)
        values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return values ^ (values >> np.uint64(31))


def _among(ordered: npt.NDArray[np.int64], values: npt.NDArray[np.int64]) -> Any:
    if not len(ordered):
        return np.zeros(len(values), bool)
    places = np.searchsorted(ordered, values).clip(0, len(ordered) - 1)
    return ordered[places] == values


def _numbers(sample: pa.Table, features: Sequence[str]) -> dict[str, int]:
    """The features that are numbers, with 0, or arrays of them of one length, with that length."""
    found = {}
    for name in features:
        column = sample.column(name)
        if numeric(column.type):
            found[name] = 0
        elif pa.types.is_list(column.type) and numeric(column.type.value_type):
            lengths = pc.unique(pc.list_value_length(column)).drop_null().to_pylist()
            if len(lengths) == 1 and lengths[0]:
                found[name] = lengths[0]
    return found


def numeric(kind: pa.DataType) -> bool:
    """Whether a type of Arrow is one of numbers."""
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    )


def _matrix(sample: pa.Table, widths: Mapping[str, int]) -> Floats:
    """The numbers of a table [n, d], NaN where there are none."""
    parts = []
    for name, width in widths.items():
        column = sample.column(name)
        if width:
            nothing = pa.scalar([None] * width, pa.list_(column.type.value_type))
            column = pc.list_flatten(pc.coalesce(column.cast(nothing.type), nothing))
        flat = column.cast(pa.float64()).to_numpy()
        parts.append(flat.reshape(sample.num_rows, -1))
    return np.concatenate(parts, axis=1)


def _doubles(name: str, width: int) -> Column:
    """A number, or an array of `width` of them, as an array of doubles; nulls where it has none."""
    from pyspark.sql import functions as F

    column = F.col(f"`{name}`")
    if not width:
        return F.array(column.cast("double"))
    nothing = F.array(*[F.lit(None).cast("double")] * width)
    return F.when(F.size(column) == width, column.cast("array<double>")).otherwise(nothing)
