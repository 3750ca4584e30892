"""What one column alone tells: the answer, or the name of the row. On a sample of the rows.

A feature is cut into bins, quantiles of numbers and categories of texts, and a row is predicted by
the other rows of its bin: the shares of the classes among them, or the mean of the label's ranks.
That is a one-feature tree without its search, so a relation need not be monotone to be found; that
a row does not count for itself leaves many small bins knowing nothing. What is measured is chance-
corrected: the ROC-AUC, of several classes each against the rest and weighted by their rows; for
numbers the correlation ratio (Pearson 1905) of ranks. Numbers are also taken as they are, by
ROC-AUC or rank correlation (Spearman 1904), which bins would blur.

Cost: a sort and a count of the sample for each feature.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sparkmine.evaluate.measured import values_of
from sparkmine.evaluate.metrics import Floats
from sparkmine.evaluate.near_rows import numeric
from sparkmine.evaluate.tasks import measure

# Bins of a number that has more different values.
BINS = 64
# Whole numbers and texts with at most so many different values are classes.
MOST_CLASSES = 50
# How far numbers may be from a grid, in its unit; and how many repetitions chance must have for
# their absence to say something.
_OFF_GRID, _TELLING = 0.01, 20

Codes = npt.NDArray[np.intp]


@dataclass(frozen=True, kw_only=True)
class Answers:
    """The label of a sample.

    Fields:
        known: [n] whether it is there.
        numbers: [n] the label as numbers; None for texts.
        codes: [n] the place of its class, -1 where it is not known; None where it is no class.
    """

    known: npt.NDArray[np.bool_]
    numbers: Floats | None
    codes: Codes | None

    @classmethod
    def of(cls, column: pa.ChunkedArray) -> Answers | None:
        """None where the label is neither a class nor a number."""
        if pa.types.is_boolean(column.type) or numeric(column.type):
            numbers = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
            known = np.isfinite(numbers)
            found = np.unique(numbers[known])
            whole = len(found) <= MOST_CLASSES and bool(np.all(found == np.floor(found)))
            codes = np.where(known, np.searchsorted(found, numbers), -1) if whole else None
            return cls(known=known, numbers=numbers, codes=codes)
        if not _is_text(column.type):
            return None
        places = column.combine_chunks().dictionary_encode()
        if len(places.dictionary) > MOST_CLASSES:
            return None
        codes = pc.fill_null(places.indices, -1).to_numpy().astype(np.intp)
        return cls(known=codes >= 0, numbers=None, codes=codes)


def strongest(sample: pa.Table, features: Sequence[str], label: str) -> Iterator[tuple[Any, ...]]:
    """(feature, how well it predicts the label alone, what that is called), of an array for each
    element; 1 is perfect. A feature or label with a single value has none."""
    answers = Answers.of(sample.column(label))
    if answers is None:
        return
    for name, numbers, bins in _features(sample, features):
        known = answers.known & (bins >= 0)
        places = bins[known]
        if len(np.unique(places)) < 2:
            continue
        values = None if numbers is None else numbers[known]
        measured = list(_measured(answers, known, places, values))
        if measured:
            yield name, *max(measured, key=lambda found: found[0])


def _measured(
    answers: Answers, known: npt.NDArray[np.bool_], bins: Codes, values: Floats | None
) -> Iterator[tuple[float, str]]:
    if answers.codes is not None:
        classes, codes = np.unique(answers.codes[known], return_inverse=True)
        if len(classes) < 2:
            return
        yield _area(_counts(bins, codes, len(classes))), "ROC-AUC"
        if len(classes) == 2:
            if values is not None:
                area = measure(codes, _ranks(values), ["roc_auc"])["roc_auc"]
                yield max(area, 1 - area), "ROC-AUC"
            return
    if answers.numbers is None:
        return
    ranks = _ranks(answers.numbers[known])
    if np.all(ranks == ranks[0]):
        return
    if values is not None:
        yield abs(float(np.corrcoef(_ranks(values), ranks)[0, 1])), "rank correlation"
    if answers.codes is None:
        yield _ratio(bins, ranks), "correlation ratio of ranks"


def _area(counts: Floats) -> float:
    """The mean ROC-AUC of the classes, from the rows [b, k] of each bin and class."""
    rows = counts.sum(axis=1)
    shares = counts.sum(axis=0) / rows.sum()
    sides = np.repeat([1, 0], len(rows))
    areas = []
    # Of two classes, one is the other turned round.
    for place in range(1 if len(shares) == 2 else len(shares)):
        hits = counts[:, place]
        others = np.maximum(rows - 1, 1)
        # A row alone in its bin is told nothing by it.
        positive = np.where(rows > 1, (hits - 1) / others, shares[place]).clip(0, 1)
        negative = np.where(rows > 1, hits / others, shares[place]).clip(0, 1)
        found = measure(
            sides,
            np.concatenate([positive, negative]),
            ["roc_auc"],
            weights=np.concatenate([hits, rows - hits]),
        )
        areas.append(found["roc_auc"])
    weights = shares[: len(areas)]
    return float(np.dot(areas, weights) / weights.sum())


def _ratio(bins: Codes, ranks: Floats) -> float:
    """The square root of the share of the variance that the other rows of a bin explain."""
    rows, sums = np.bincount(bins), np.bincount(bins, ranks)
    here, others = rows[bins], np.maximum(rows[bins] - 1, 1)
    predicted = np.where(here > 1, (sums[bins] - ranks) / others, ranks.mean())
    explained = 1 - np.sum((ranks - predicted) ** 2) / np.sum((ranks - ranks.mean()) ** 2)
    return float(np.sqrt(max(0.0, explained)))


def _counts(bins: Codes, codes: Codes, classes: int) -> Floats:
    """The rows [b, k] of each bin and class, without empty bins."""
    _, places = np.unique(bins, return_inverse=True)
    size = int(places.max()) + 1
    found = np.bincount(places * classes + codes, minlength=size * classes)
    return found.reshape(size, classes).astype(np.float64)


def _features(
    sample: pa.Table, features: Sequence[str]
) -> Iterator[tuple[str, Floats | None, Codes]]:
    """Each feature, of an array each element: as numbers, None for a text, and as bins."""
    for name in features:
        column = sample.column(name)
        if pa.types.is_list(column.type) and not column.null_count:
            for place in range(len(column[0]) if len(column) else 0):
                values = values_of(pc.list_element(column, place), name)
                yield f"{name}[{place}]", values, _bins(values)
        elif pa.types.is_boolean(column.type) or numeric(column.type):
            values = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
            yield name, values, _bins(values)
        elif _is_text(column.type):
            places = column.combine_chunks().dictionary_encode(null_encoding="encode")
            yield name, None, places.indices.to_numpy().astype(np.intp)


def _bins(values: Floats) -> Codes:
    """The bin [n] of each number, -1 where there is none."""
    known = np.isfinite(values)
    edges = np.unique(values[known])
    if len(edges) > BINS:
        edges = np.unique(np.quantile(values[known], np.linspace(0, 1, BINS + 1)[1:]))
    return np.where(known, np.searchsorted(edges, values), -1)


def names_rows(column: pa.ChunkedArray) -> float | None:
    """The share of different values where they could be ids: texts, whole numbers, scaled ones."""
    column = column.drop_null()
    if len(column) < 2 or not _could_be_ids(column):
        return None
    return len(column.unique()) / len(column)


def _could_be_ids(column: pa.ChunkedArray) -> bool:
    if _is_text(column.type) or pa.types.is_integer(column.type):
        return True
    if not pa.types.is_floating(column.type):
        return False
    values = column.cast(pa.float64()).to_numpy()
    if not np.all(np.isfinite(values)):
        return False
    return bool(np.all(values == np.floor(values))) or _counted(values)


@np.errstate(all="ignore")  # of numbers near the largest, gaps overflow: they are no ids
def _counted(values: Floats) -> bool:
    """Whether numbers lie on a grid, as whole numbers that were shifted and scaled do, and repeat
    there far less than chance would have it.

    Measures lie on a grid too, that of their last digit. But they are drawn from it, ids are given
    out one by one: of n draws from m places n - m (1 - (1 - 1/m)^n) repeat an earlier one.
    """
    # Clipped numbers meet at the ends, and gaps in what fills them.
    inside = values[(values > values.min()) & (values < values.max())]
    found, counts = np.unique(inside, return_counts=True)
    single = found[counts == 1]
    if len(single) < 3:
        return False
    gaps = np.diff(single)
    steps = np.round(gaps / gaps.min())
    unit = (single[-1] - single[0]) / steps.sum()
    if np.any(np.abs(gaps - steps * unit) > _OFF_GRID * unit):
        return False
    rows, places = len(inside), steps.sum() + 1
    repeats = rows + places * np.expm1(rows * np.log1p(-1 / places))
    return bool(repeats >= _TELLING and rows - len(found) <= repeats / 4)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _ranks(values: Floats) -> Floats:
    """Average ranks, scaled to [0, 1]."""
    from scipy.stats import rankdata

    found: Floats = (rankdata(values) - 1) / max(1, len(values) - 1)
    return found
