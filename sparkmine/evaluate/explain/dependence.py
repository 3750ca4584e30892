"""Partial dependence: what a model predicts on average when a feature is set to one value.

For each value of a grid all rows of the sample get it, the rest of each row stays as it is, and the
predictions are averaged (Friedman, "Greedy function approximation: a gradient boosting machine",
Annals of Statistics 2001). The rows' own curves (individual conditional expectation: Goldstein and
others 2015) tell whether that average speaks for all: each is shifted to the same mean, and what 80
% of them lie between is the band. It has no width where the feature acts alone, whatever its shape.

The grid of a number is its quantiles, of other values the most frequent ones. Its points are rows
of the sample, and all columns of the feature are taken from that row, so that a number and its
buckets stay in step. Cost: one job for all features and points (`copies.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sparkmine.errors import ConfigError
from sparkmine.evaluate.explain.copies import Copy, score_copies
from sparkmine.evaluate.explain.features import NUMBERS, Feature, words
from sparkmine.evaluate.explain.probe import Probe
from sparkmine.evaluate.metrics import Floats
from sparkmine.evaluate.plain import PlainData

# The share of the rows' own curves that the band leaves out.
OUTSIDE = 0.2


@dataclass(frozen=True, kw_only=True)
class Point(PlainData):
    """One value of the grid.

    Fields:
        text: the value in words.
        at: where to draw it: the number, or the place among the values.
        share: of the rows that have this very value.
        mean: predictions [k], averaged over the rows.
        low, high: [k] the band.
    """

    text: str
    at: float
    share: float
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Dependence(PlainData):
    """The curve of one feature; `numeric` tells a line from values side by side."""

    feature: str
    numeric: bool
    points: tuple[Point, ...]

    @property
    def span(self) -> float:
        """How far the mean moves: of several outputs the one that moves furthest."""
        means = np.array([point.mean for point in self.points])
        return float(np.ptp(means, axis=0).max())


@dataclass(frozen=True, kw_only=True)
class PartialDependence:
    """How to look.

    Fields:
        grid: points of a number, at most.
        values: points of other features: the most frequent values.
        tails: quantiles beyond which the grid does not go, on either side.
    """

    grid: int = 20
    values: int = 12
    tails: float = 0.05

    def __post_init__(self) -> None:
        if self.grid < 2 or self.values < 2:
            raise ConfigError("a grid has 2 points or more")
        if not 0 <= self.tails < 0.5:
            raise ConfigError(f"tails is {self.tails}; it must be below 0.5, and not negative")

    def __call__(self, probe: Probe, features: Sequence[str]) -> tuple[Dependence, ...]:
        """The curves of these features, in their order.

        Raises:
            ConfigError: no such feature, or one that is an array, which has no grid.
        """
        chosen = [probe.feature(name) for name in dict.fromkeys(features)]
        for feature in chosen:
            if not feature.has_grid:
                raise ConfigError(
                    f"{feature.name} holds arrays, which have no order to draw; leave it out"
                )
        grids = [self._grid(probe, feature) for feature in chosen]
        copies = [
            Copy(part=part, columns=feature.columns, source=int(row))
            for part, (feature, (rows, _)) in enumerate(zip(chosen, grids, strict=True))
            for row in rows
        ]
        found = score_copies(probe, copies, _curves)
        return tuple(
            _dependence(probe, feature, grid, curves)
            for feature, grid, curves in zip(chosen, grids, found, strict=True)
        )

    def _grid(
        self, probe: Probe, feature: Feature
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Rows of the sample that have the values of the grid, and the share of each value."""
        codes = _codes(probe.table.select(list(feature.columns)))
        if feature.kind != NUMBERS:
            _, first, counts = np.unique(codes, return_index=True, return_counts=True)
            most = np.argsort(-counts, kind="stable")[: self.values]
            return first[most], counts[most] / len(codes)
        values = numbers(probe.table.column(feature.columns[0]))
        order = np.argsort(values, kind="stable")
        ends = np.flatnonzero(np.diff(values[order], append=np.inf))
        if len(ends) <= self.grid:
            rows = order[ends]
        else:
            shares = np.linspace(self.tails, 1 - self.tails, self.grid)
            places = np.round(shares * (len(order) - 1)).astype(np.int64)
            # Of equal values one.
            rows = order[ends[np.unique(np.searchsorted(ends, places))]]
        share = [np.mean(values == values[row]) for row in rows]
        return rows, np.array(share)


def _curves(part: int, scores: Floats) -> tuple[Floats, Floats, Floats]:
    """Of scores [points, rows, k] the mean and the band [points, k]."""
    mean = scores.mean(axis=1)
    # Each row's curve, less what makes it higher or lower than the others all along.
    level = scores.mean(axis=0)
    moved = scores - level[None] + level.mean(axis=0)
    low, high = np.quantile(moved, [OUTSIDE / 2, 1 - OUTSIDE / 2], axis=1)
    return mean, low, high


def _dependence(
    probe: Probe,
    feature: Feature,
    grid: tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]],
    curves: tuple[Floats, Floats, Floats],
) -> Dependence:
    rows, shares = grid
    numeric = feature.kind == NUMBERS
    if numeric:
        places, texts = _places(probe, feature, rows)
    else:
        places = np.arange(len(rows), dtype=np.float64)
        texts = [probe.value(feature, int(row)) for row in rows]
    points = [
        Point(
            text=texts[number],
            at=float(places[number]),
            share=float(shares[number]),
            mean=tuple(curves[0][number].tolist()),
            low=tuple(curves[1][number].tolist()),
            high=tuple(curves[2][number].tolist()),
        )
        for number in range(len(rows))
    ]
    return Dependence(feature=feature.name, numeric=numeric, points=tuple(points))


def _places(
    probe: Probe, feature: Feature, rows: npt.NDArray[np.int64]
) -> tuple[Floats, list[str]]:
    """Where the points are, and their words: by the values that are shown, where that can be."""
    own = numbers(probe.table.column(feature.columns[0]))
    shown = probe.shown.get(feature.name)
    if shown is not None and is_number(shown.type):
        found = _translated(own, numbers(shown), own[rows])
        if found is not None:
            return found, [words(float(f"{value:.4g}")) for value in found]
    return own[rows], [feature.text(probe.table, int(row)) for row in rows]


def _translated(own: Floats, shown: Floats, wanted: Floats) -> Floats | None:
    """The shown values of some own ones, where one goes up, or down, with the other.

    A scaled, clipped and imputed column does; of others, one axis cannot have both.
    """
    known = np.isfinite(shown)
    for sign in (1, -1):
        order = np.lexsort((sign * shown[known], own[known]))
        at, values = own[known][order], shown[known][order]
        if len(at) and (sign * np.diff(values) >= 0).all():
            places, first, counts = np.unique(at, return_index=True, return_counts=True)
            # What was clipped to one value is drawn at its middle.
            found: Floats = np.interp(wanted, places, values[first + counts // 2])
            return found if (sign * np.diff(found) > 0).all() else None
    return None


def is_number(kind: pa.DataType) -> bool:
    """Whether values of this type are numbers."""
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    return any(test(kind) for test in tests)


def numbers(column: pa.ChunkedArray) -> Floats:
    """A column of numbers or truth values as doubles [n]; NaN for null."""
    found: Floats = pc.cast(column, pa.float64(), safe=False).to_numpy()
    return found


def _codes(table: pa.Table) -> npt.NDArray[np.int64]:
    """A number [n] for each combination of values."""
    codes = np.zeros(table.num_rows, np.int64)
    for column in table.columns:
        encoded = column.combine_chunks().dictionary_encode(null_encoding="encode")
        here = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        _, codes = np.unique(codes * len(encoded.dictionary) + here, return_inverse=True)
    return codes
