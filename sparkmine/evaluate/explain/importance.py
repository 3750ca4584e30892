"""Permutation importance: how much worse a model is when the values of a feature are shuffled.

A feature's values are permuted over the rows, so that they say nothing of the label and still occur
as often as before, and the metric is measured again; the importance is the mean fall over several
permutations (Breiman, "Random forests", 2001; Fisher, Rudin and Dominici, "All models are wrong,
but many are useful", JMLR 2019). A column that the model does not read has importance 0.

The interval is a percentile bootstrap of both sources of chance: groups of rows are drawn with
replacement, and so are the permutations. Cost: one pass for the sample (`probe.py`), and one job
for all features and permutations (`copies.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sparkmine.errors import ConfigError, DataError
from sparkmine.evaluate.explain.copies import Copy, permutation, score_copies
from sparkmine.evaluate.explain.probe import Probe
from sparkmine.evaluate.intervals import Interval, group_codes, replicate
from sparkmine.evaluate.metrics import LOWER_IS_BETTER, Floats, Options, Outcomes, Sample
from sparkmine.evaluate.plain import PlainData
from sparkmine.evaluate.tasks import task_of


@dataclass(frozen=True, kw_only=True)
class Importance(PlainData):
    """What the model loses without one feature.

    Fields:
        importance: how much worse the metric becomes: its fall, or its rise where lower is better.
        low, high: 95 % interval; None where the metric is not defined on the resamples.
        repeats: the loss in each permutation.
    """

    feature: str
    columns: tuple[str, ...]
    importance: float
    low: float | None
    high: float | None
    repeats: tuple[float, ...]

    @property
    def deviation(self) -> float:
        """The standard deviation over the permutations."""
        return float(np.std(self.repeats))


@dataclass(frozen=True, kw_only=True)
class Importances(PlainData):
    """Of all features, the largest first, and the metric's value on the sample as it is."""

    metric: str
    value: float
    rows: int
    features: tuple[Importance, ...]


@dataclass(frozen=True, kw_only=True)
class PermutationImportance:
    """How to measure.

    Fields:
        metric: of the task; its primary one when None.
        repeats: permutations of each feature.
        samples: of the bootstrap.
        threshold: from which probability on the prediction is class 1 (binary).
    """

    metric: str | None = None
    repeats: int = 5
    samples: int = 200
    threshold: float = 0.5
    confidence: float = 0.95

    def __post_init__(self) -> None:
        for name, least in (("repeats", 1), ("samples", 2)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be {least} or more")

    def __call__(self, probe: Probe) -> Importances:
        """Measure every feature of the probe.

        Raises:
            ConfigError: the probe has no labels.
            DataError: a metric of another task, or one that is not defined on the sample; labels
                that the task does not know.
        """
        kind = task_of(probe.task)
        (metric,) = kind.check_names([self.metric or kind.primary])
        if probe.labels is None:
            raise ConfigError("importance needs the label's column: name it for the probe")
        groups = np.arange(len(probe)) if probe.groups is None else probe.groups
        codes, count = group_codes(groups, len(probe))
        loss = _Loss(
            metric=metric,
            task=probe.task,
            labels=probe.labels,
            codes=codes,
            count=count,
            options=Options(threshold=self.threshold),
            probabilities=probe.probabilities,
            base=probe.outputs,
            samples=self.samples,
            seed=probe.seed,
        )
        value = loss.value(probe.outputs)
        if np.isnan(value):
            raise DataError(
                f"{metric} is not defined on the {len(probe)} rows of the sample; has it rows of "
                "every class?"
            )
        copies = [
            Copy(
                part=part,
                columns=feature.columns,
                source=permutation(probe.seed, feature.name, repeat),
            )
            for part, feature in enumerate(probe.features)
            for repeat in range(self.repeats)
        ]
        found = []
        results = score_copies(probe, copies, loss)
        for feature, (losses, replicates) in zip(probe.features, results, strict=True):
            interval = Interval.of(float(np.mean(losses)), replicates, self.confidence)
            found.append(
                Importance(
                    feature=feature.name,
                    columns=feature.columns,
                    importance=float(np.mean(losses)),
                    low=interval.low,
                    high=interval.high,
                    repeats=tuple(losses.tolist()),
                )
            )
        found.sort(key=lambda one: (-one.importance, one.feature))
        return Importances(metric=metric, value=value, rows=len(probe), features=tuple(found))


@dataclass(frozen=True, kw_only=True)
class _Loss:
    """What permutations of one feature lose, and that on resamples of the rows."""

    metric: str
    task: str
    labels: npt.NDArray[Any]
    codes: npt.NDArray[np.intp]
    count: int
    options: Options
    probabilities: bool
    base: Floats
    samples: int
    seed: int

    def __call__(self, part: int, scores: Floats) -> tuple[Floats, Floats]:
        """Losses [repeats] and their means on resamples [samples]."""
        value = self.value(self.base)
        losses = self._sign * np.array([self.value(one) - value for one in scores])
        if np.array_equal(scores, np.broadcast_to(self.base, scores.shape)):
            return np.zeros(len(scores)), np.zeros(self.samples)
        models = {"base": self._outcomes(self.base)}
        models |= {str(place): self._outcomes(one) for place, one in enumerate(scores)}
        drawn = replicate(
            models, self.codes, self.count, [self.metric], samples=self.samples, seed=self.seed
        )
        base = drawn["base"][self.metric]
        each = np.stack([drawn[str(place)][self.metric] - base for place in range(len(scores))])
        generator = np.random.default_rng(self.seed)
        picks = generator.integers(len(scores), size=(len(scores), self.samples))
        return losses, self._sign * np.take_along_axis(each, picks, axis=0).mean(axis=0)

    def value(self, outputs: Floats) -> float:
        sample = Sample(outcomes=self._outcomes(outputs), weights=np.ones(len(outputs)))
        return sample.measure([self.metric])[self.metric]

    @property
    def _sign(self) -> float:
        return 1.0 if self.metric in LOWER_IS_BETTER else -1.0

    def _outcomes(self, outputs: Floats) -> Outcomes:
        predictions: npt.NDArray[Any] = outputs[:, 0]
        options = self.options
        if self.task == "multiclass":
            options = Options(classes=tuple(range(outputs.shape[1])))
            predictions = outputs if self.probabilities else outputs.argmax(axis=1)
        return task_of(self.task).of(self.labels, predictions, options)
