"""Any estimator of scikit-learn on rows that fit a task.

One Spark task reads the features and the label of a snapshot straight from its files into one
matrix and fits the estimator there; so many candidates on many folds are as many tasks of one job,
and as wide as the cluster. What a task needs in memory is estimated before anything starts, from
the rows in the files' footers. Sparse columns make a SciPy matrix of compressed rows, for
estimators that take one. A DataFrame, or a snapshot that only Spark reads, is written once to
a scratch table. The fitted estimator comes back as bytes without pickle (`stored.py`).
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from sparkmine.errors import ConfigError
from sparkmine.expr import Expr
from sparkmine.lake.inputs import need_columns, session_of
from sparkmine.lake.scratch import scannable
from sparkmine.mine.scikit import building, job
from sparkmine.mine.scikit.model import ScikitLearnModel
from sparkmine.mine.scikit.rows import Reading, Rows, columns_of
from sparkmine.mine.scikit.stored import dumped, trust, trusted
from sparkmine.mine.supervised.rows import check_columns
from sparkmine.model import Task

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from sparkmine.lake import Snapshot

# The matrix, the rows of a fold, and what the estimator makes of them.
MEMORY_FACTOR = 3.0


@dataclass(frozen=True, kw_only=True)
class ScikitLearn:
    """A class with scikit-learn's interface, and its parameters.

    Fields:
        estimator: `module:Class`, such as `sklearn.ensemble:RandomForestClassifier`.
        parameters: Of its constructor. A value may be an estimator itself, as a mapping with
            `estimator` and `parameters`; steps of a pipeline are pairs of a name and such a
            mapping. `random_state` is the seed where it is not given, `n_jobs` always the number
            of a task's cores.
        task: `binary`, `multiclass` or `regression`. Classifiers need probabilities.
        precision: Of the matrix: float64, or float32 in half the memory.
        memory_factor: How many times the matrix a task needs.
        scratch: Folder for a scratch table; needed for a DataFrame on a cluster.
    """

    estimator: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    task: Task = "binary"
    precision: Literal["float64", "float32"] = "float64"
    memory_factor: float = MEMORY_FACTOR
    scratch: str | None = None

    def __post_init__(self) -> None:
        if self.precision not in ("float64", "float32"):
            raise ConfigError(f"precision is {self.precision}; it must be float64 or float32")
        if not self.memory_factor >= 1:
            raise ConfigError(f"memory_factor is {self.memory_factor}; it must be at least 1")
        made = building.build(self.estimator, self.parameters)
        building.check(self.estimator, made, self.task)
        trust(building.packages(self.estimator, self.parameters))

    def fit(
        self,
        train: DataFrame | Snapshot,
        features: Sequence[str],
        label: str,
        seed: int = 0,
        spark: SparkSession | None = None,
    ) -> ScikitLearnModel:
        """Fit on all rows of `train`, in the order of the table's files.

        Raises:
            ConfigError: no features, or a column is missing, repeated or of another type.
            DataError: no rows, null, NaN or infinite values, labels that the task does not know, or
                the estimator raised.
            ModelError: what was fitted cannot be stored without pickle.
            TooLittleMemoryError: the rows do not fit the memory of a task.
        """
        return fit_parts([(self, None)], train, features, label, seed, spark)[0]

    def with_parameters(self, changed: Mapping[str, Any]) -> ScikitLearn:
        """The same with some parameters changed."""
        return replace(self, parameters={**self.parameters, **changed})


def fit_parts(
    fits: Sequence[tuple[ScikitLearn, Expr | None]],
    data: DataFrame | Snapshot,
    features: Sequence[str],
    label: str,
    seed: int = 0,
    spark: SparkSession | None = None,
) -> list[ScikitLearnModel]:
    """Fit estimators of one task on parts of the same rows, all by one Spark job.

    Args:
        fits: Each estimator with the condition of the rows that it learns from; None for all. They
            have one task and one precision.

    Raises:
        As for `ScikitLearn.fit`.
    """
    first = fits[0][0]
    if any((one.task, one.precision) != (first.task, first.precision) for one, _ in fits):
        raise ConfigError("estimators that are fitted together must have one task and precision")
    parts = [part for _, part in fits if part is not None]
    numbers = iter(range(len(parts)))
    works = [
        _Fit(
            estimator=one,
            part=None if part is None else next(numbers),
            seed=seed,
            packages=trusted(),
        )
        for one, part in fits
    ]
    with opened(first, data, features, label, parts, spark) as reading:
        factor = max(one.memory_factor for one, _ in fits)
        found = job.run(reading, works, session_of(data, spark), factor)
    models = []
    for (one, _), (text, state) in zip(fits, found, strict=True):
        facts = json.loads(text)
        models.append(
            ScikitLearnModel(
                state=state,
                features=tuple(features),
                widths=tuple(facts["widths"]),
                task=one.task,
                classes=facts["classes"],
                precision=one.precision,
                details=facts["details"],
            )
        )
    return models


@contextlib.contextmanager
def opened(
    estimator: ScikitLearn,
    data: DataFrame | Snapshot,
    features: Sequence[str],
    label: str,
    parts: Sequence[Expr],
    spark: SparkSession | None,
) -> Iterator[Reading]:
    """How tasks read the rows and which of them are in the parts, while the context lasts.

    Raises:
        ConfigError: no features, or a column is missing, repeated or of another type.
    """
    if not features:
        raise ConfigError("no features are named")
    columns = columns_of(features, label, parts)
    need_columns(data, columns)
    check_columns(data, features, label, sparse=True)
    with scannable(data, columns, session_of(data, spark), estimator.scratch) as snapshot:
        yield Reading.of(snapshot, features, label, estimator.task, estimator.precision, parts)


@dataclass(frozen=True, kw_only=True)
class _Fit:
    """What a task does: fit, and give the estimator back as bytes."""

    estimator: ScikitLearn
    part: int | None
    seed: int
    packages: tuple[str, ...]

    def __call__(self, rows: Rows, threads: int) -> tuple[str, bytes]:
        import sklearn

        fitted = job.trained(self.estimator, rows, self.part, self.seed, threads)
        facts = {
            "widths": rows.widths,
            "classes": rows.classes,
            "details": {
                "method": "scikit_learn",
                "estimator": self.estimator.estimator,
                "parameters": dict(self.estimator.parameters),
                "rows": len(rows.part(self.part)[1]),
                "version": sklearn.__version__,
            },
        }
        return json.dumps(facts), dumped(fitted, self.packages)
