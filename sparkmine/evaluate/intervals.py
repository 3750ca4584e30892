"""Bootstrap percentile intervals where rows come in groups that are not independent.

Whole groups (households, say) are drawn with replacement, as many as there are, and every metric
is computed on each resample (Efron and Tibshirani 1993, chapters 8 and 13; the cluster bootstrap
of Field and Welsh 2007). A resample is a multiplicity per group, so nothing is copied: sums are
one product of multiplicities and sums per group, ranked metrics one weighted pass over rows that
were sorted once. All models are measured on the same resamples, so differences are paired.
Cost per resample and model: a gather and two running sums over the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from sparkmine.errors import DataError
from sparkmine.evaluate.metrics import Floats, Options, Outcomes, row_weights
from sparkmine.evaluate.tasks import measure, task_of

# Above this share of resamples without a value (one class only), an interval would mislead.
_MAX_UNDEFINED = 0.05
# Of several resamples that are looked at together: for the sums of each, BLAS would take longer to
# start than to compute.
_MULTIPLICITIES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A value with the bounds of its interval; None where it is not defined."""

    value: float | None
    low: float | None = None
    high: float | None = None

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
    predictions: npt.ArrayLike,
    groups: npt.ArrayLike,
    metrics: Sequence[str] | None = None,
    *,
    task: str = "binary",
    samples: int = 500,
    seed: int = 0,
    threshold: float = 0.5,
    weights: npt.ArrayLike | None = None,
    confidence: float = 0.95,
) -> dict[str, Interval]:
    """Each metric of one model with its interval; the arguments are those of `measure`.

    Args:
        groups: [n] ids of any sortable type; rows of one group are drawn together.
    """
    values = measure(labels, predictions, metrics, task=task, threshold=threshold, weights=weights)
    outcomes = {"model": task_of(task).of(labels, predictions, Options(threshold=threshold))}
    codes, count = group_codes(groups, len(np.asarray(labels)))
    drawn = replicate(
        outcomes, codes, count, tuple(values), samples=samples, seed=seed, weights=weights
    )["model"]
    return {name: Interval.of(value, drawn[name], confidence) for name, value in values.items()}


def compare(
    labels: npt.ArrayLike,
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    groups: npt.ArrayLike,
    metrics: Sequence[str] | None = None,
    *,
    task: str = "binary",
    samples: int = 500,
    seed: int = 0,
    threshold: float = 0.5,
    weights: npt.ArrayLike | None = None,
    confidence: float = 0.95,
) -> dict[str, Interval]:
    """First minus second, each metric, on the same resamples, with its interval."""
    both = {"first": first, "second": second}
    values = {
        name: measure(labels, p, metrics, task=task, threshold=threshold, weights=weights)
        for name, p in both.items()
    }
    options = Options(threshold=threshold)
    outcomes = {name: task_of(task).of(labels, p, options) for name, p in both.items()}
    codes, count = group_codes(groups, len(np.asarray(labels)))
    names = tuple(values["first"])
    drawn = replicate(outcomes, codes, count, names, samples=samples, seed=seed, weights=weights)
    return {
        name: Interval.of(
            values["first"][name] - values["second"][name],
            drawn["first"][name] - drawn["second"][name],
            confidence,
        )
        for name in names
    }


def replicate(
    models: Mapping[str, Outcomes],
    codes: npt.NDArray[np.intp],
    count: int,
    metrics: Sequence[str],
    *,
    samples: int,
    seed: int | Sequence[int],
    weights: npt.ArrayLike | None = None,
    draws: int | None = None,
) -> dict[str, dict[str, Floats]]:
    """Values [samples] of each metric of each model, all on the same resamples of the groups.

    The same seed and groups give the same resamples, whatever the order of the rows.

    Args:
        models: Outcomes of the same n rows.
        codes: [n] the group of each row, below `count`.
        draws: Groups that a resample has; `count` when None.

    Raises:
        DataError: too few samples or groups.
    """
    if samples < 2:
        raise DataError(f"a bootstrap needs at least 2 samples, not {samples}")
    if count < 2:
        raise DataError("a bootstrap over groups needs at least 2 groups; all rows are of one")
    used = row_weights(weights, len(codes))
    plans = {name: _Plan.of(model, metrics, codes, count, used) for name, model in models.items()}
    result = {name: {metric: np.empty(samples) for metric in metrics} for name in models}
    generator = np.random.default_rng(seed)
    several = max(_MULTIPLICITIES // count, 1)
    for first in range(0, samples, several):
        last = min(first + several, samples)
        drawn = (generator.integers(count, size=draws or count) for _ in range(first, last))
        multiplicities = np.stack([np.bincount(groups, minlength=count) for groups in drawn])
        for name, plan in plans.items():
            found = plan.measure(metrics, multiplicities.astype(np.float64))
            for sample, values in enumerate(found, first):
                for metric, value in values.items():
                    result[name][metric][sample] = value
    return result


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """What a resample of one model needs, computed once: sums by group, rows in ranked order."""

    outcomes: Outcomes
    sums: Callable[[Floats], Floats]
    ranked_codes: npt.NDArray[np.intp] | None
    ranked_weights: Floats | None

    @classmethod
    def of(
        cls,
        outcomes: Outcomes,
        metrics: Sequence[str],
        codes: npt.NDArray[np.intp],
        count: int,
        weights: Floats,
    ) -> Self:
        order = outcomes.order if outcomes.needs_ranks(metrics) else None
        return cls(
            outcomes=outcomes,
            sums=outcomes.group_sums(codes, count, weights),
            ranked_codes=None if order is None else codes[order],
            ranked_weights=None if order is None else weights[order],
        )

    def measure(self, metrics: Sequence[str], several: Floats) -> Iterator[dict[str, float]]:
        """The metrics of resamples, by the multiplicities [resamples, groups]."""
        for multiplicity, sums in zip(several, self.sums(several), strict=True):
            ranked = None
            if self.ranked_codes is not None and self.ranked_weights is not None:
                ranked = multiplicity.take(self.ranked_codes) * self.ranked_weights
            yield self.outcomes.from_sums(metrics, sums, ranked)


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


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
