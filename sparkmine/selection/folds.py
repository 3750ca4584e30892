"""Folds of cross-validation as conditions over columns.

A fold is two expressions, one for the rows to train on and one for the rows to test on. So every
estimator gets the same folds, for any partitioning of the rows and in every run: a task that holds
the rows evaluates them on Arrow, `snapshot.where` and Spark filter by them, and nothing is copied.

Which fold a row is in follows from a hash of the keys that name it (Spark's Murmur3), so the sizes
of k folds are not equal: of n rows each gets n/k, give or take the square root of that. Folds of a
class are cut at equal counts of its rows instead (`StratifiedKFold`), those in time at quantiles.

Cost: none for `KFold` and `GroupKFold`, one scan of one column for the others.
"""

from __future__ import annotations

import datetime
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from sparkmine.errors import ConfigError, DataError, raised_by_workers
from sparkmine.expr import Expr, col, function, lit, place_of, when
from sparkmine.lake.inputs import need_columns, session_of
from sparkmine.stats.counts import Counts
from sparkmine.stats.engine import StatEngine
from sparkmine.stats.sketch import Sketch
from sparkmine.stats.task import Request

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from sparkmine.lake import Snapshot

# Cells of the hash in which the rows of a class are counted, and classes that are counted.
CELLS = 1 << 13
MOST_CLASSES = 100
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


@dataclass(frozen=True, kw_only=True)
class Fold:
    """Which rows a model is trained on, and on which others it is tested."""

    train: Expr
    test: Expr


class Folds(ABC):
    """How rows are split."""

    @abstractmethod
    def split(
        self, data: DataFrame | Snapshot, label: str, spark: SparkSession | None = None
    ) -> tuple[Fold, ...]:
        """The folds of these rows.

        Raises:
            ConfigError: no such column, or one of another type.
            DataError: the rows do not suffice for so many folds.
        """


@dataclass(frozen=True, kw_only=True)
class KFold(Folds):
    """Each row is in the test rows of one of k folds, drawn by the hash of its keys.

    Fields:
        keys: columns that name a row: integers, texts, dates or booleans.
        seed: another seed, other folds.
    """

    keys: tuple[str, ...]
    k: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "keys", _names(self.keys))
        _at_least_two(self.k)

    def split(
        self, data: DataFrame | Snapshot, label: str, spark: SparkSession | None = None
    ) -> tuple[Fold, ...]:
        """No scan."""
        _check_keys(data, self.keys)
        return _folds(place_of(self.keys, f"fold {self.seed}").bucket(_edges(self.k)), self.k)


@dataclass(frozen=True, kw_only=True)
class GroupKFold(Folds):
    """All rows with the same value of a column are in the test rows of the same one of k folds.

    Rows without a value are one group. The folds have about equally many groups, whatever their
    sizes.
    """

    column: str
    k: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        _at_least_two(self.k)

    def split(
        self, data: DataFrame | Snapshot, label: str, spark: SparkSession | None = None
    ) -> tuple[Fold, ...]:
        """No scan."""
        return KFold(keys=(self.column,), k=self.k, seed=self.seed).split(data, label, spark)


@dataclass(frozen=True, kw_only=True)
class StratifiedKFold(Folds):
    """Every fold has an equal share of each class's rows.

    The rows of a class, in the order of their hashes, are cut into k parts of equal counts. Counts
    are known for each of 8192 cells of the hash, so a part may be off by the rows of one cell: one
    row, rarely two, in classes of some thousand rows and less, else 1/8192 of the class.

    Fields: see `KFold`; the label is a column of integers or booleans.
    """

    keys: tuple[str, ...]
    k: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "keys", _names(self.keys))
        _at_least_two(self.k)

    def split(
        self, data: DataFrame | Snapshot, label: str, spark: SparkSession | None = None
    ) -> tuple[Fold, ...]:
        """One scan of keys and label."""
        _check_keys(data, self.keys)
        need_columns(data, [label])
        place = place_of(self.keys, f"fold {self.seed}")
        number = col(label).cast("long")
        cell = function("floor", place * CELLS)
        request = Request(Counts("cell"), ((number * CELLS + cell).cast("long"),))
        with raised_by_workers():
            (found,) = StatEngine(data, session_of(data, spark)).run([request])
        classes, cells = np.divmod(np.asarray(found.keys.to_pylist(), np.int64), CELLS)
        codes, homes = np.unique(classes, return_inverse=True)
        if len(codes) > MOST_CLASSES:
            raise DataError(f"label {label} has {len(codes)} values; to stratify is for classes")
        if not len(codes):
            raise DataError(f"there are no rows with a label {label} to split")
        fold = place.bucket(_edges(self.k))
        for code, value in enumerate(codes.tolist()):
            mine = homes == code
            counts = np.bincount(cells[mine], found.counts[mine], CELLS)
            if counts.sum() < self.k:
                raise DataError(
                    f"class {value} of {label} has {int(counts.sum())} rows, fewer than "
                    f"k={self.k} folds; set a smaller k"
                )
            fold = when(number == value, place.bucket(_even(counts, self.k))).otherwise(fold)
        return _folds(fold, self.k)


@dataclass(frozen=True, kw_only=True)
class TimeSeriesSplit(Folds):
    """Train on the past, test on what follows: k times, each time with more of the past.

    The rows, in the order of `column`, are cut into k + 1 blocks of about equal counts (rows of one
    moment stay together; the cuts are quantiles with a rank error of at most 0.5 %). Fold i tests
    on block i + 1 and trains on all blocks before; the first block is never tested.

    Fields:
        column: numbers, dates or timestamps.
        gap: what lies between training and test rows is in neither: in units of the numbers, in
            days for dates, in seconds for timestamps.
    """

    column: str
    k: int = 5
    gap: float = 0

    def __post_init__(self) -> None:
        _at_least_two(self.k)
        if not self.gap >= 0:
            raise ConfigError(f"gap is {self.gap}; it must be at least 0")

    def split(
        self, data: DataFrame | Snapshot, label: str, spark: SparkSession | None = None
    ) -> tuple[Fold, ...]:
        """One scan of the column, two where many rows have nearly the same time."""
        need_columns(data, [self.column])
        kind = data.schema[self.column].dataType.typeName()
        moment = kind.startswith(("date", "timestamp"))
        if not moment and kind not in ("byte", "short", "integer", "long", "float", "double"):
            raise ConfigError(f"column {self.column} is {kind}; it must be a number, date or time")
        time = col(self.column)
        number = function("seconds", time.cast("timestamp")) if moment else time.cast("double")
        with raised_by_workers():
            (sketch,) = StatEngine(data, session_of(data, spark)).run(
                [Request(Sketch("time"), (number,))]
            )
        cuts = [sketch.quantile(i / (self.k + 1)) for i in range(1, self.k + 1)]
        edges = [_whole(cut, kind) for cut in cuts if cut is not None]
        last = sketch.quantile(1.0)
        if not edges or any(a >= b for a, b in pairwise([*edges, last])):
            raise DataError(
                f"column {self.column} has too few different values for k={self.k} folds with rows "
                "in each; set a smaller k"
            )
        folds = []
        for place, edge in enumerate(edges):
            train = time <= _value(edge - self.gap * _unit(kind), kind)
            test = time > _value(edge, kind)
            if place + 1 < len(edges):
                test = test & (time <= _value(edges[place + 1], kind))
            elif kind in ("float", "double"):
                test = test & ~time.is_nan()  # which is larger than every number
            folds.append(Fold(train=train, test=test))
        return tuple(folds)


def _names(keys: Sequence[str]) -> tuple[str, ...]:
    if isinstance(keys, str) or not keys:
        raise ConfigError("keys must be a list of one or more columns that name a row")
    return tuple(keys)


def _at_least_two(k: int) -> None:
    if k < 2:
        raise ConfigError(f"k is {k}; it must be at least 2")


def _check_keys(data: DataFrame | Snapshot, keys: Sequence[str]) -> None:
    need_columns(data, keys)
    for name in keys:
        kind = data.schema[name].dataType.typeName()
        if kind not in ("byte", "short", "integer", "long", "string", "date", "boolean"):
            raise ConfigError(
                f"column {name} is {kind}; folds are drawn by the hash of integers, texts, dates "
                "or booleans"
            )


def _edges(k: int) -> list[float]:
    return [i / k for i in range(1, k)]


def _even(counts: np.ndarray, k: int) -> list[float]:
    """Where [0, 1) is cut so that the k parts have equal counts, as nearly as cells allow."""
    ends = np.cumsum(counts)
    wanted = ends[-1] * np.arange(1, k) / k
    after = np.searchsorted(ends, wanted)
    before = np.where(after > 0, ends[after - 1], 0)
    cuts = after + (wanted - before > ends[after] - wanted)
    # A part has a cell at least, even if several cuts are nearest to the end of one cell.
    return [float(cut) / CELLS for cut in np.unique(cuts)]


def _folds(fold: Expr, k: int) -> tuple[Fold, ...]:
    return tuple(Fold(train=~(fold == float(i)), test=fold == float(i)) for i in range(k))


def _unit(kind: str) -> float:
    return 86_400.0 if kind == "date" else 1.0


def _whole(cut: float, kind: str) -> float:
    """The largest value of the column's type at or below the cut."""
    if kind in ("float", "double") or kind.startswith("timestamp"):
        return cut
    return math.floor(cut / _unit(kind)) * _unit(kind)


def _value(number: float, kind: str) -> Expr:
    """The number, in seconds for moments, as a constant of the column's type."""
    value: Any = number
    if kind in ("byte", "short", "integer", "long"):
        value = math.floor(number)
    elif kind == "date":
        value = (_EPOCH + datetime.timedelta(seconds=number)).date()
    elif kind.startswith("timestamp"):
        value = _EPOCH + datetime.timedelta(microseconds=round(number * 1e6))
    return lit(value)
