"""A fitted estimator that scores rows in Arrow blocks, loaded once in each Python worker."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sparkmine.errors import ModelError
from sparkmine.mine.scikit.stored import loaded, trusted
from sparkmine.model import Task
from sparkmine.python_model import PythonModel, Score, Scorer
from sparkmine.scoring import arrays_of, packed, score_columns, with_scores
from sparkmine.sessions import task_cores
from sparkmine.stats.matrix import usable_rows
from sparkmine.stats.sparse import is_sparse, sparse_rows

if TYPE_CHECKING:
    from pyspark.core.broadcast import Broadcast
    from pyspark.sql import DataFrame, SparkSession

_STATE, _FACTS = "estimator.skops", "model.json"

# Estimators that a Python worker keeps; an ensemble has several.
MOST_LOADED = 16

Array = npt.NDArray[Any]

_loaded: dict[str, Any] = {}


@dataclass(frozen=True, eq=False, kw_only=True)
class ScikitLearnModel(PythonModel):
    """What an estimator has learnt.

    Attributes:
        state: The fitted estimator in skops's format.
        features: The columns, numbers or lists of numbers.
        widths: Elements of each of them.
        task: What it predicts.
        classes: Number of classes; None for a regression.
        precision: Of the matrix that it is given, float64 or float32.
        details: What was fitted, for reports (estimator, parameters, rows, version of
            scikit-learn); JSON values only.
    """

    state: bytes = field(repr=False)
    features: tuple[str, ...]
    widths: tuple[int, ...]
    task: Task
    classes: int | None
    precision: str = "float64"
    details: dict[str, Any] = field(default_factory=dict)

    def transform(self, df: DataFrame) -> DataFrame:
        """`df` with `prediction`, and of several classes `probability`.

        Rows with a null, NaN or infinite feature get null, whether the estimator takes them or not.

        Raises:
            ConfigError: a feature is missing, or an added column is there.
            DataError: lists of another length than those of the fit.
        """
        return super().transform(df)

    def scorer(self, spark: SparkSession) -> Scorer:
        self.fitted()  # refuses what is not trusted, here and not in a task
        sent = spark.sparkContext.broadcast(self)
        opened = _opened(sent, self.digest, task_cores(spark), trusted())
        return Scorer(features=self.features, columns=score_columns(self.task), opened=opened)

    def transform_arrow(self, table: pa.Table) -> pa.Table:
        fitted = _here(self.digest, self.state, trusted())
        return with_scores(table, self._scores(fitted, arrays_of(table, self.features)))

    def evaluate(self, table: pa.Table | pa.RecordBatch) -> pa.Array:
        """The scores of the rows of an Arrow table or batch, without Spark."""
        return self._scores(self.fitted(), arrays_of(table, self.features))

    def predict(self, rows: Array) -> Array:
        """For rows [n, d]: probabilities of class 1 [n], of all classes [n, k], or values [n]."""
        return predicted(self.fitted(), rows, self.task, self.classes)

    def fitted(self) -> Any:
        """The fitted estimator itself.

        Raises:
            ModelError: it holds types that are not trusted.
        """
        return loaded(self.state, trusted(), f"the {self.details.get('estimator', 'estimator')}")

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the state."""
        return hashlib.sha256(self.state).hexdigest()

    def _scores(self, fitted: Any, arrays: Sequence[pa.Array]) -> pa.Array:
        values: Any
        if any(is_sparse(array.type) for array in arrays):
            rows = sparse_rows(self.features, self.widths, arrays, self.precision)
            usable, values = rows.usable, rows.matrix
        else:
            usable, values = usable_rows(self.features, self.widths, arrays, self.precision)
        size = len(usable)
        found = np.zeros((size, self.classes or 0) if self.task == "multiclass" else size)
        if values.shape[0]:
            found[usable] = predicted(fitted, values, self.task, self.classes)
        return packed(found, usable, self.task)

    def _write(self, folder: Path) -> None:
        (folder / _STATE).write_bytes(self.state)
        facts = {
            "features": list(self.features),
            "widths": list(self.widths),
            "task": self.task,
            "classes": self.classes,
            "precision": self.precision,
            "details": self.details,
        }
        (folder / _FACTS).write_text(json.dumps(facts, indent=1) + "\n")

    @classmethod
    def _read(cls, folder: Path) -> Self:
        try:
            facts = json.loads((folder / _FACTS).read_text())
            model = cls(
                state=(folder / _STATE).read_bytes(),
                features=tuple(facts.pop("features")),
                widths=tuple(facts.pop("widths")),
                **facts,
            )
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ModelError(f"{folder}: {type(error).__name__}: {error}") from None
        loaded(model.state, trusted(), str(folder / _STATE))
        return model


def predicted(fitted: Any, rows: Array, task: Task, classes: int | None) -> Array:
    """What an estimator of the task says of rows [n, d]; see `ScikitLearnModel.predict`."""
    if task == "regression":
        return np.asarray(fitted.predict(rows), np.float64).reshape(rows.shape[0])
    assert classes is not None
    found = np.asarray(fitted.predict_proba(rows), np.float64)
    # A class that was not among the training rows has no column.
    probabilities = np.zeros((rows.shape[0], classes))
    probabilities[:, np.asarray(fitted.classes_, np.int64)] = found
    return probabilities[:, 1] if task == "binary" else probabilities


def _opened(
    sent: Broadcast[ScikitLearnModel], digest: str, threads: int, packages: tuple[str, ...]
) -> Callable[[], AbstractContextManager[Score]]:
    """What a task scores its rows by: the estimator, loaded where it is used."""

    @contextlib.contextmanager
    def opened() -> Iterator[Score]:
        from threadpoolctl import threadpool_limits

        model = sent.value
        fitted = _here(digest, model.state, packages)
        # Only libraries that are loaded by now can be limited.
        with threadpool_limits(limits=threads):
            yield lambda arrays: model._scores(fitted, arrays)

    return opened


def _here(digest: str, state: bytes, packages: tuple[str, ...]) -> Any:
    """The estimator of this digest, loaded at most once in this process while it is in use."""
    if digest not in _loaded:
        if len(_loaded) >= MOST_LOADED:
            del _loaded[next(iter(_loaded))]
        _loaded[digest] = loaded(state, packages)
    return _loaded[digest]
