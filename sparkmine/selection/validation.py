"""Candidates on folds: by one Spark job of many tasks, or one after the other."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from sparkmine.errors import DataError, SparkmineError, worker_error
from sparkmine.evaluate.tables import measure_table
from sparkmine.evaluate.tasks import measure
from sparkmine.lake.inputs import part_of
from sparkmine.mine.scikit import ScikitLearn, job, opened
from sparkmine.mine.scikit.building import class_of
from sparkmine.mine.scikit.model import predicted
from sparkmine.mine.scikit.rows import Rows
from sparkmine.model import Estimator
from sparkmine.selection.folds import Fold
from sparkmine.selection.trials import Measured

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from sparkmine.lake import Snapshot

# Characters of an error that a trial keeps.
ERROR_LENGTH = 500


@dataclass(frozen=True, kw_only=True)
class Validated:
    """Rows in folds, and the metric of their test rows."""

    data: DataFrame | Snapshot
    features: tuple[str, ...]
    label: str
    folds: tuple[Fold, ...]
    metric: str
    seed: int
    spark: SparkSession


def outcomes(
    rows: Validated, candidates: Mapping[int, Estimator]
) -> Iterator[tuple[int, list[Measured]]]:
    """How each candidate does on every fold, in their order."""
    scikit = [one for one in candidates.values() if isinstance(one, ScikitLearn)]
    if scikit and len(scikit) == len(candidates):
        found = _by_tasks(rows, scikit)
        size = len(rows.folds)
        for place, number in enumerate(candidates):
            yield number, found[place * size : (place + 1) * size]
        return
    for number, candidate in candidates.items():
        yield number, [_here(rows, candidate, fold) for fold in rows.folds]


def _by_tasks(rows: Validated, candidates: Sequence[ScikitLearn]) -> list[Measured]:
    """One Spark job: a task for each candidate and fold."""
    parts = [part for fold in rows.folds for part in (fold.train, fold.test)]
    works = [
        _Validate(
            estimator=candidate, train=2 * n, test=2 * n + 1, metric=rows.metric, seed=rows.seed
        )
        for candidate in candidates
        for n in range(len(rows.folds))
    ]
    first = candidates[0]
    with opened(first, rows.data, rows.features, rows.label, parts, rows.spark) as reading:
        factor = max(candidate.memory_factor for candidate in candidates)
        found = job.run(reading, works, rows.spark, factor)
    return [Measured(**json.loads(facts)) for facts, _ in found]


@dataclass(frozen=True, kw_only=True)
class _Validate:
    """What a task does for a candidate and a fold. Only a score leaves it."""

    estimator: ScikitLearn
    train: int
    test: int
    metric: str
    seed: int

    def __call__(self, rows: Rows, threads: int) -> tuple[str, bytes]:
        class_of(self.estimator.estimator)  # the first import is no time of the candidate
        start = time.perf_counter()
        try:
            score, error = self._score(rows, threads), None
        except Exception as failure:  # a candidate that fails is a trial, not the end
            score, error = float("nan"), _text(failure)
        seconds = time.perf_counter() - start
        return json.dumps(asdict(Measured(score=score, seconds=seconds, error=error))), b""

    def _score(self, rows: Rows, threads: int) -> float:
        from threadpoolctl import threadpool_limits

        fitted = job.trained(self.estimator, rows, self.train, self.seed, threads)
        matrix, labels = rows.part(self.test)
        if not len(labels):
            raise DataError("a fold has no rows to test on; set a smaller k")
        with threadpool_limits(limits=threads):
            scores = predicted(fitted, matrix, self.estimator.task, rows.classes)
        return measure(labels, scores, (self.metric,), task=self.estimator.task)[self.metric]


def _here(rows: Validated, candidate: Estimator, fold: Fold) -> Measured:
    """One fit and one measurement, by Spark or ranks."""
    start = time.perf_counter()
    score, error = float("nan"), None
    try:
        model = candidate.fit(
            part_of(rows.data, fold.train),
            rows.features,
            rows.label,
            seed=rows.seed,
            spark=rows.spark,
        )
        scored = model.score(part_of(rows.data, fold.test), [rows.label], rows.spark)
        table = measure_table(
            scored,
            rows.label,
            "probability" if candidate.task == "multiclass" else "prediction",
            [rows.metric],
            task=candidate.task,
            spark=rows.spark,
        )
        found = table.column(rows.metric)[0].as_py()
        score = float("nan") if found is None else found
    except Exception as failure:  # a candidate that fails is a trial, not the end
        error = _text(failure)
    return Measured(score=score, seconds=time.perf_counter() - start, error=error)


def _text(failure: Exception) -> str:
    # Errors of Python workers arrive as text inside Spark's.
    known = failure if isinstance(failure, SparkmineError) else worker_error(failure)
    text = str(known) if known is not None else f"{type(failure).__name__}: {failure}"
    return " ".join(text.split())[:ERROR_LENGTH]
