"""What the metrics were on the resamples of one evaluation, so that another can be held against it.

Two evaluations over the same groups with the same labels, seed and number of resamples have drawn
the same groups each time: the differences of their values, resample by resample, are a paired
bootstrap, in which what is common to both cancels out (Efron and Tibshirani 1993, chapter 15).
Otherwise the values are put together in any order, as of independent samples; where the rows have
something in common after all, that interval is too wide rather than too narrow.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from sparkmine.evaluate.intervals import Interval
from sparkmine.evaluate.metrics import Floats

if TYPE_CHECKING:
    from sparkmine.evaluate.comparison import Evaluation


@dataclass(frozen=True, kw_only=True)
class Replicates:
    """Values of metrics on resamples.

    Fields:
        rows: digest of the groups and of their labels.
        values: by model and metric, float32 [samples] in base64.
    """

    rows: str
    values: dict[str, dict[str, str]]

    @classmethod
    def of(cls, rows: str, drawn: Mapping[str, Mapping[str, Floats]]) -> Self:
        return cls(
            rows=rows,
            values={
                model: {
                    metric: base64.b64encode(np.asarray(found, "<f4").tobytes()).decode()
                    for metric, found in metrics.items()
                }
                for model, metrics in drawn.items()
            },
        )

    def drawn(self, model: str, metric: str) -> Floats | None:
        """The values [samples], None if they are not known."""
        found = self.values.get(model, {}).get(metric)
        if found is None:
            return None
        return np.frombuffer(base64.b64decode(found), "<f4").astype(np.float64)


def change(
    a: Evaluation, b: Evaluation, metric: str, model_a: str, model_b: str
) -> tuple[Interval | None, bool]:
    """The interval of B's value minus A's, and whether it is a paired one.

    None where the resamples of one of them are not known.
    """
    if a.replicates is None or b.replicates is None:
        return None, False
    one, other = a.replicates.drawn(model_a, metric), b.replicates.drawn(model_b, metric)
    values = [e.model(m).metrics[metric].value for e, m in ((a, model_a), (b, model_b))]
    if one is None or other is None or values[0] is None or values[1] is None:
        return None, False
    paired = (a.replicates.rows, a.seed, len(one)) == (b.replicates.rows, b.seed, len(other))
    if not paired:
        # One seed may have drawn the same places of both lists of groups, which pairs nothing.
        generator, size = np.random.default_rng(0), min(len(one), len(other))
        one, other = (generator.permutation(drawn)[:size] for drawn in (one, other))
    return Interval.of(values[1] - values[0], other - one, 0.95), paired


def digest(
    groups: npt.NDArray[Any], labels: npt.NDArray[Any], weights: npt.NDArray[Any] | None
) -> str:
    """Of the groups and of the labels in each, whatever the order of the rows."""
    found = hashlib.sha256()
    key = np.zeros(len(groups), np.int64)
    for column in (groups, labels, weights):
        if column is None:
            continue
        values, places = np.unique(column, return_inverse=True)
        plain = values.dtype != object
        found.update(values.tobytes() if plain else "\0".join(map(str, values)).encode())
        # As many as there are combinations, so that the product of all does not overflow.
        key = np.unique(key * len(values) + places.reshape(-1), return_inverse=True)[1].reshape(-1)
        found.update(np.bincount(key).tobytes())
        found.update(_firsts(key, places.reshape(-1)).tobytes())
    return found.hexdigest()


def _firsts(key: npt.NDArray[Any], places: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The place of each combination's value."""
    found = np.zeros(int(key.max()) + 1 if len(key) else 0, np.int64)
    found[key] = places
    return found
