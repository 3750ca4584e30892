"""Bootstrap percentile intervals where rows come in groups that are not independent.

Whole groups (households, say) are drawn with replacement, as many as there are, and every metric
is computed on each resample (Efron and Tibshirani 1993, chapters 8 and 13; the cluster bootstrap
of Field and Welsh 2007). A resample is a multiplicity per group, so nothing is copied: sums are
one product of multiplicities and sums per group, ranked metrics one weighted pass over rows that
were sorted once. All models are measured on the same resamples, so differences are paired.
Cost per resample and model: a gather and two running sums over the rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from sparkmine.errors import DataError
from sparkmine.evaluate.metrics import (
    METRICS,
    Floats,
    Scored,
    check_names,
    from_sums,
    measure,
    needs_ranks,
    weighted_sums,
)

# Above this share of resamples without a value (one class only), an interval would mislead.
_MAX_UNDEFINED = 0.05


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A value with the bounds of its interval; None where it is not defined."""

    value: float | None
    low: float | None
    high: float | None

    @classmethod
    def of(cls, value: float, replicates: Floats, confidence: float) -> Self:
        """Percentile interval of `replicates` [samples]; undefined ones (NaN) are left out.

        There are no bounds when more than 5 % of them are undefined.
        """
        defined = replicates[~np.isnan(replicates)]
        if len(defined) == 0 or len(defined) < (1 - _MAX_UNDEFINED) * len(replicates):
            return cls(value=_plain(value), low=None, high=None)
        low, high = np.percentile(defined, [50 * (1 - confidence), 50 * (1 + confidence)])
        return cls(value=_plain(value), low=float(low), high=float(high))


def bootstrap(
    labels: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    groups: npt.ArrayLike,
    metrics: Sequence[str] = tuple(METRICS),
    *,
    samples: int = 500,
    seed: int = 0,
    threshold: float = 0.5,
    confidence: float = 0.95,
) -> dict[str, Interval]:
    """Each metric of one model with its interval. `groups` [n] are ids of any sortable type."""
    values = measure(labels, probabilities, metrics, threshold=threshold)
    drawn = replicate(
        labels,
        {"model": probabilities},
        groups,
        metrics,
        samples=samples,
        seed=seed,
        threshold=threshold,
    )["model"]
    return {name: Interval.of(values[name], drawn[name], confidence) for name in metrics}


def compare(
    labels: npt.ArrayLike,
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    groups: npt.ArrayLike,
    metrics: Sequence[str] = tuple(METRICS),
    *,
    samples: int = 500,
    seed: int = 0,
    threshold: float = 0.5,
    confidence: float = 0.95,
) -> dict[str, Interval]:
    """First minus second, each metric, on the same resamples, with its interval."""
    one = measure(labels, first, metrics, threshold=threshold)
    other = measure(labels, second, metrics, threshold=threshold)
    drawn = replicate(
        labels,
        {"first": first, "second": second},
        groups,
        metrics,
        samples=samples,
        seed=seed,
        threshold=threshold,
    )
    return {
        name: Interval.of(
            one[name] - other[name], drawn["first"][name] - drawn["second"][name], confidence
        )
        for name in metrics
    }


def replicate(
    labels: npt.ArrayLike,
    predictions: Mapping[str, npt.ArrayLike],
    groups: npt.ArrayLike,
    metrics: Sequence[str],
    *,
    samples: int,
    seed: int,
    threshold: float = 0.5,
) -> dict[str, dict[str, Floats]]:
    """Values [samples] of each metric of each model, all on the same resamples of the groups.

    The same seed and groups give the same resamples, whatever the order of the rows.
    """
    names = check_names(metrics)
    if samples < 2:
        raise DataError(f"a bootstrap needs at least 2 samples, not {samples}")
    models = {name: Scored.of(labels, p, threshold) for name, p in predictions.items()}
    codes, count = group_codes(groups, len(np.asarray(labels)))
    if count < 2:
        raise DataError("a bootstrap over groups needs at least 2 groups; all rows are of one")
    ranked_codes = {name: codes[scored.order] for name, scored in models.items()}
    sums = {name: _sums_by_group(codes, count, scored.terms) for name, scored in models.items()}
    result = {name: {metric: np.empty(samples) for metric in names} for name in models}
    generator = np.random.default_rng(seed)
    for sample in range(samples):
        drawn = generator.integers(count, size=count)
        multiplicity = np.bincount(drawn, minlength=count).astype(np.float64)
        for name, scored in models.items():
            weights = multiplicity.take(ranked_codes[name]) if needs_ranks(names) else None
            values = from_sums(names, weighted_sums(multiplicity, sums[name]), scored, weights)
            for metric, value in values.items():
                result[name][metric][sample] = value
    return result


def group_codes(groups: npt.ArrayLike, rows: int) -> tuple[npt.NDArray[np.intp], int]:
    """Number the groups from 0 in the order of their ids: codes [n] and how many there are."""
    ids = np.asarray(groups)
    if ids.shape != (rows,):
        raise DataError(f"groups must be one id for each of the {rows} rows, not {ids.shape}")
    try:
        distinct, codes = np.unique(ids, return_inverse=True)
    except TypeError:
        raise DataError("group ids must be of one sortable type, without nulls") from None
    return codes.reshape(rows), len(distinct)


def _sums_by_group(codes: npt.NDArray[np.intp], count: int, terms: Floats) -> Floats:
    columns = [np.bincount(codes, weights=column, minlength=count) for column in terms.T]
    return np.stack(columns, axis=1)


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
