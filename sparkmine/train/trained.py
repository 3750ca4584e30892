"""A trained network as a `Model`: scores tables, saves and loads without pickle."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa

from sparkmine.errors import ConfigError, ModelError
from sparkmine.python_model import PythonModel, Score, Scorer
from sparkmine.recipe import FittedRecipe
from sparkmine.scoring import arrays_of, packed, score_columns, with_scores
from sparkmine.sessions import task_cores
from sparkmine.train import loaded
from sparkmine.train.dense import DenseChain
from sparkmine.train.layout import Layout, check_columns

if TYPE_CHECKING:
    import keras
    from numpy.typing import NDArray
    from pyspark.core.broadcast import Broadcast
    from pyspark.sql import DataFrame, SparkSession

    from sparkmine.lake import Snapshot
    from sparkmine.train.loaded import Forward

_DENSE = "dense.npz"
_GENERATOR = "generator.keras"
_FACTS = "trained.json"
_RECIPE = "recipe"


@dataclass(frozen=True, kw_only=True)
class TrainedModel(PythonModel):
    """A trained Keras model with what is needed to use and to judge it.

    Attributes:
        keras_file: The model in Keras's `.keras` format.
        dense_file: The same as a `DenseChain`, where it is one; then scoring needs no TensorFlow.
        generator_file: Of a GAN, the generator in Keras's format; then `keras_file` holds the
            discriminator.
        layout: Feature columns in order, the numbers each gives, and the label.
        task: `binary`, `multiclass`, `multilabel`, `regression`, `reconstruction` or
            `generation`.
        classes: Number of classes (of each label), None for the last three.
        history: One dictionary per epoch: `epoch`, `loss`, `val_loss`, `val_auc` and the like,
            `learning_rate`, `seconds`, `rows_per_second`.
        epoch: The epoch whose weights the model has: the last, or the best by early stopping.
        data: Table path, version and predicate of the training data, and its rows.
        settings: Network, ranks, epochs, batch size, optimizer, learning rate, seed,
            weights of rows and classes, early stopping.
        weights_hash: SHA-256 of the final variables, equal on all ranks.
        custom: The user's own classes and functions in the network, by the names under which Keras
            knows them, and their modules; these are imported before the network is loaded.
        recipe: What made the features, and the numbers of the labels, if the fit was given it: new
            rows are scored by `trained.transform(trained.recipe.transform(df))`.
    """

    keras_file: bytes = field(repr=False)
    dense_file: bytes | None = field(repr=False)
    generator_file: bytes | None = field(repr=False)
    layout: Layout
    task: str
    classes: int | None
    history: list[dict[str, Any]]
    epoch: int
    data: dict[str, Any]
    settings: dict[str, Any]
    weights_hash: str
    custom: dict[str, str] = field(default_factory=dict)
    recipe: FittedRecipe | None = field(default=None, repr=False)

    @property
    def features(self) -> tuple[str, ...]:
        """The feature columns, in the model's order."""
        return self.layout.features

    @property
    def metrics(self) -> dict[str, Any]:
        """The figures of the epoch whose weights the model has."""
        return {k: v for k, v in self.history[self.epoch - 1].items() if k != "epoch"}

    def transform(self, df: DataFrame) -> DataFrame:
        """Return `df` with `prediction` added.

        Binary: the probability of class 1 (double). Regression: the value (double). Multiclass:
        the class (int), and `probability`, an array with one double per class. Multilabel: an array
        with the probability of every label, in the order of `layout.labels`. Reconstruction:
        the mean squared error of the row's features (double), an outlier score. Generation: the
        discriminator's probability that the row is real (double). Rows with a missing or infinite
        feature get null.

        Raises:
            ConfigError: a feature is missing or not a number, or an output column is there.
        """
        check_columns(df.schema, self.layout.features)
        return super().transform(df)

    def score_by_spark(
        self, data: DataFrame | Snapshot, keep: Sequence[str], spark: SparkSession | None
    ) -> DataFrame:
        check_columns(data.schema, self.layout.features)
        return super().score_by_spark(data, keep, spark)

    def scorer(self, spark: SparkSession) -> Scorer:
        sent = spark.sparkContext.broadcast(self._files())
        opened = _opened(sent, self.layout, self.task, task_cores(spark))
        return Scorer(features=self.features, columns=score_columns(self.task), opened=opened)

    def transform_arrow(self, table: pa.Table) -> pa.Table | None:
        """As `transform`, of a chain of dense layers; other networks need TensorFlow."""
        if self.dense_file is None:
            return None
        forward = DenseChain.from_bytes(self.dense_file)
        scores = _scores(forward, self.layout, self.task)
        return with_scores(table, scores(arrays_of(table, self.features)))

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """The network's output [rows, outputs] for a matrix [rows, width], in this process."""
        if features.ndim != 2 or features.shape[1] != self.layout.width:
            raise ConfigError(
                f"the matrix is {features.shape}; the model needs [rows, {self.layout.width}]"
            )
        forward = self._files().forward(threads=None)
        return forward(np.ascontiguousarray(features, dtype=np.float32))

    def generate(self, rows: int, seed: int = 0) -> NDArray[np.float32]:
        """Return new rows [rows, width] of a GAN's generator, features in their order.

        Raises:
            ConfigError: the model is no GAN.
        """
        if self.generator_file is None:
            raise ConfigError(f"generate() is for a GAN; this model's task is {self.task}")
        generator = loaded.read(self.generator_file, self.custom)
        noise = np.random.default_rng(seed).normal(size=(rows, generator.input_shape[-1]))
        made: NDArray[np.float32] = generator.predict(noise.astype(np.float32), verbose=0)
        return made

    def network(self) -> keras.Model:
        """Return the Keras model (imports TensorFlow)."""
        return loaded.read(self.keras_file, self.custom)

    def _files(self) -> loaded.Files:
        return loaded.Files(
            keras=self.keras_file,
            dense=self.dense_file,
            custom=self.custom,
            digest=hashlib.sha256(self.keras_file).hexdigest(),
            width=self.layout.width,
        )

    def _write(self, folder: Path) -> None:
        (folder / loaded.NETWORK).write_bytes(self.keras_file)
        if self.dense_file is not None:
            (folder / _DENSE).write_bytes(self.dense_file)
        if self.generator_file is not None:
            (folder / _GENERATOR).write_bytes(self.generator_file)
        facts = {
            "layout": self.layout.to_json(),
            "task": self.task,
            "classes": self.classes,
            "history": self.history,
            "epoch": self.epoch,
            "metrics": self.metrics,
            "data": self.data,
            "settings": self.settings,
            "weights_hash": self.weights_hash,
            "custom": self.custom,
        }
        (folder / _FACTS).write_text(json.dumps(facts, indent=2) + "\n")
        if self.recipe is not None:
            self.recipe.save(folder / _RECIPE)

    @classmethod
    def _read(cls, folder: Path) -> Self:
        try:
            facts = json.loads((folder / _FACTS).read_text())
            dense, generator = folder / _DENSE, folder / _GENERATOR
            return cls(
                keras_file=(folder / loaded.NETWORK).read_bytes(),
                dense_file=dense.read_bytes() if dense.is_file() else None,
                layout=Layout.from_json(facts["layout"]),
                task=facts["task"],
                classes=facts["classes"],
                generator_file=generator.read_bytes() if generator.is_file() else None,
                history=facts["history"],
                epoch=facts["epoch"],
                data=facts["data"],
                settings=facts["settings"],
                weights_hash=facts["weights_hash"],
                custom=dict(facts.get("custom", {})),
                recipe=FittedRecipe.load(folder / _RECIPE) if (folder / _RECIPE).is_dir() else None,
            )
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ModelError(f"{folder}: {type(error).__name__}: {error}") from None


def _opened(
    sent: Broadcast[loaded.Files], layout: Layout, task: str, threads: int
) -> Callable[[], AbstractContextManager[Score]]:
    """Return what a task scores its rows by: the network, loaded where it is used."""

    def opened() -> AbstractContextManager[Score]:
        scores = _scores(sent.value.forward(threads=threads), layout, task)
        return contextlib.nullcontext(scores)

    return opened


def _scores(forward: Forward, layout: Layout, task: str) -> Score:
    """From the arrays of the features to the scores."""

    def scores(columns: list[pa.Array]) -> pa.Array:
        matrix = layout.matrix(pa.RecordBatch.from_arrays(columns, names=layout.features))
        usable = np.isfinite(matrix).all(axis=1)
        matrix[~usable] = 0.0  # a missing index is no row of an embedding
        output = forward(matrix)
        if task == "reconstruction":
            output = np.mean((output - matrix) ** 2, axis=1, keepdims=True)
        return packed(output, usable, task)

    return scores
