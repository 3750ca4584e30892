"""train: a network, trained by Horovod ranks, that scores rows."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from sparkmine.errors import ConfigError, DataError
from sparkmine.model import Model
from sparkmine.stages.base import Block, Condition, Context, FeatureSelector, Result
from sparkmine.stages.features import feature_columns, recipe_of
from sparkmine.stages.needs import Need, asked, named
from sparkmine.stages.scored import ModelStage

# Keys of YAML are texts: {"0": 1, "1": 5}.
ClassWeights = (
    Literal["balanced"]
    | dict[Annotated[int, Field(strict=False)], Annotated[float, Field(ge=0.0, strict=False)]]
    | None
)


class MlpModel(Block):
    """A multi-layer perceptron: see `sparkmine.train.MLP`."""

    kind: Literal["mlp"]
    hidden: list[Annotated[int, Field(ge=1)]] = Field(default_factory=lambda: [64])
    activation: str = "relu"
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0, strict=False)
    batch_normalisation: bool = False
    l1: float = Field(default=0.0, ge=0.0, strict=False)
    l2: float = Field(default=0.0, ge=0.0, strict=False)
    embeddings: Mapping[str, int] = {}
    cardinalities: Mapping[str, int] = {}


class CnnModel(Block):
    """A convolutional network over images or signals: see `sparkmine.train.CNN`."""

    kind: Literal["cnn"]
    shape: list[Annotated[int, Field(ge=1)]] = Field(min_length=2, max_length=3)
    filters: list[Annotated[int, Field(ge=1)]] = Field(default_factory=lambda: [32, 64])
    kernel: int = Field(default=3, ge=1)
    pool: int = Field(default=2, ge=1)
    hidden: list[Annotated[int, Field(ge=1)]] = Field(default_factory=lambda: [64])
    activation: str = "relu"
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0, strict=False)
    batch_normalisation: bool = False


class RnnModel(Block):
    """A recurrent network over array columns: see `sparkmine.train.RNN`."""

    kind: Literal["rnn"]
    cell: Literal["lstm", "gru"] = "lstm"
    units: list[Annotated[int, Field(ge=1)]] = Field(default_factory=lambda: [32])
    bidirectional: bool = False
    max_length: int | None = Field(default=None, ge=1)
    hidden: list[Annotated[int, Field(ge=1)]] = Field(default_factory=list)
    activation: str = "relu"
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0, strict=False)
    embeddings: Mapping[str, int] = {}
    cardinalities: Mapping[str, int] = {}


class AutoencoderModel(Block):
    """Reconstruction error as an outlier score; the label is only kept beside the score.

    See `sparkmine.train.Autoencoder`.
    """

    kind: Literal["autoencoder"]
    hidden: list[Annotated[int, Field(ge=1)]] = Field(default_factory=lambda: [32, 8])
    activation: str = "relu"
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0, strict=False)
    batch_normalisation: bool = False


class GanModel(Block):
    """Invents rows; the score is the probability that a row is real, the label is only kept.

    See `sparkmine.train.GAN`.
    """

    kind: Literal["gan"]
    latent: int = Field(default=64, ge=1)
    hidden: list[Annotated[int, Field(ge=1)]] = Field(default_factory=lambda: [128, 256])
    output: Literal["linear", "sigmoid", "tanh"] = "linear"
    shape: list[Annotated[int, Field(ge=1)]] | None = Field(
        default=None, min_length=3, max_length=3
    )
    filters: list[Annotated[int, Field(ge=1)]] = Field(default_factory=list)
    dropout: float = Field(default=0.3, ge=0.0, lt=1.0, strict=False)
    smoothing: float = Field(default=0.1, ge=0.0, lt=0.5, strict=False)


class Stopping(Block):
    """When training ends before `epochs`: see `sparkmine.train.EarlyStopping`."""

    monitor: str = "val_loss"
    patience: int = Field(default=3, ge=1)
    min_delta: float = Field(default=0.0, ge=0.0, strict=False)
    restore_best: bool = True


class Train(ModelStage):
    """Train a Keras model on Horovod ranks in one Spark barrier stage.

    Attributes:
        classes: Of `task: multiclass`, how many; the largest label among the training rows plus one
            when left out.
        optimizer: A name, or `{name: adam, clipnorm: 1.0}` and other settings of Keras's; clipping
            acts on the mean gradient of all ranks.
        weight: A column that says how much a training row counts; it is no feature.
        class_weight: How much the rows of a class count, or `balanced`.
        tensorboard: Whether `_logs/tensorboard/STAGE/RUN` in the warehouse gets what TensorBoard
            shows, and `_logs/samples/STAGE/RUN` the pictures of a `gan` that has a shape.
    """

    kind: ClassVar[str] = "train"
    stage: Literal["train"]
    model: Annotated[
        MlpModel | CnnModel | RnnModel | AutoencoderModel | GanModel, Field(discriminator="kind")
    ]
    features: FeatureSelector | None = None
    classes: int | None = Field(default=None, ge=2)
    validation: Condition | None = None
    weight: str | None = None
    class_weight: ClassWeights = None
    early_stopping: Stopping | None = None
    tensorboard: bool = False
    ranks: int = Field(default=2, ge=1)
    epochs: int = Field(default=5, ge=1)
    batch_size: int = Field(default=1024, ge=1)
    optimizer: str | dict[str, bool | float | str] = "adam"
    learning_rate: float = Field(default=0.001, gt=0.0, strict=False)
    scale_learning_rate: Literal["none", "linear", "sqrt"] = "none"
    warmup_epochs: float = Field(default=0.0, ge=0.0, strict=False)
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    checkpoint_steps: int | None = Field(default=None, ge=1)
    gpus_per_rank: int = Field(default=0, ge=0)
    max_restarts: int = Field(default=0, ge=0)
    stall_seconds: float = Field(default=600.0, gt=0.0, strict=False)

    @property
    def needs(self) -> Iterable[Need]:
        yield from super().needs
        yield named("weight", self.input, self.weight)
        yield asked("validation", self.input, self.validation)

    def check(self, base: Path) -> None:
        super().check(base)
        if self.classes is not None and self.task != "multiclass":
            raise ConfigError(f"stage {self.name}: classes are for task: multiclass")
        from sparkmine.train.optimizer_choice import chosen

        try:
            chosen(self.optimizer, self.learning_rate)
        except ConfigError as error:
            raise ConfigError(f"stage {self.name}: {error.args[0]}") from None

    @property
    def _labelled(self) -> bool:
        """Whether the network learns the label."""
        return self.model.kind in ("mlp", "cnn", "rnn")

    def learned(self, context: Context, embedded: Collection[str] = ()) -> list[str]:
        """The columns that the network sees, `embedded` ones among them."""
        named = [*self.keys, self.label]
        features = feature_columns(context, self.input, self.features, named, embedded)
        features += [name for name in embedded if name not in features]
        # A recipe may have changed the label; where it is learned, that is an error of its own.
        unseen = {self.weight} if self._labelled else {self.weight, self.label}
        return [name for name in features if name not in unseen]

    def fit(self, context: Context) -> tuple[Model, dict[str, Any]]:
        from sparkmine import train

        table = context.inputs[self.input]
        settings = self.model.model_dump(exclude={"kind"})
        # Index columns are no quantities, so only those are taken that are to be embedded.
        embedded = {**settings.get("embeddings", {}), **settings.get("cardinalities", {})}
        features = self.learned(context, embedded)
        labelled = self._labelled
        if labelled:
            settings["task"] = self.task
            if self.task == "multiclass":
                settings["classes"] = self.classes or self._classes(context)
        networks: dict[str, Callable[..., train.Network]] = {
            "mlp": train.MLP,
            "cnn": train.CNN,
            "rnn": train.RNN,
            "autoencoder": train.Autoencoder,
            "gan": train.GAN,
        }
        logs = context.logs() if self.tensorboard else None
        pictured = isinstance(self.model, GanModel) and self.model.shape is not None
        stopping = None
        if self.early_stopping is not None:
            stopping = train.EarlyStopping(**self.early_stopping.model_dump())
        trained = train.fit(
            networks[self.model.kind](**settings),
            train=table.where(self.train),
            validation=table.where(self.validation) if self.validation else None,
            features=features,
            label=self.label if labelled else None,
            weight=self.weight,
            class_weight=self.class_weight,
            early_stopping=stopping,
            ranks=self.ranks,
            epochs=self.epochs,
            batch_size=self.batch_size,
            optimizer=self.optimizer,
            learning_rate=self.learning_rate,
            scale_learning_rate=self.scale_learning_rate,
            warmup_epochs=self.warmup_epochs,
            schedule=self.schedule,
            checkpoint_steps=self.checkpoint_steps,
            seed=context.seed,
            gpus_per_rank=self.gpus_per_rank,
            max_restarts=self.max_restarts,
            stall_seconds=self.stall_seconds,
            checkpoint=_checkpoint(context),
            spark=context.spark,
            progress=lambda event: _shown(context, event),
            tensorboard=logs and logs / "tensorboard" / context.stage / context.run_id,
            samples=logs / "samples" / context.stage / context.run_id
            if logs and pictured
            else None,
            scratch=f"{context.target.root}/_scratch",
            recipe=recipe_of(context, self.input),
        )
        metrics = {"history": trained.history, "features": len(features), "ranks": self.ranks}
        return trained, metrics

    def run(self, context: Context) -> Result:
        result = super().run(context)
        # The model is saved: --force shall train anew, and nothing shall pile up.
        shutil.rmtree(_checkpoint(context), ignore_errors=True)
        return result

    def _classes(self, context: Context) -> int:
        from pyspark.sql import functions as F
        from pyspark.sql.types import BooleanType, NumericType

        rows = context.frame(self.input, self.train)
        if not isinstance(rows.schema[self.label].dataType, NumericType | BooleanType):
            kind = rows.schema[self.label].dataType.simpleString()
            raise ConfigError(
                f"stage {self.name}: label {self.label} is {kind}, not a class from 0 to k - 1: "
                "encode it in a recipe (OrdinalIndex)"
            )
        largest = rows.select(F.max(F.col(f"`{self.label}`").cast("double"))).first()
        if largest is None or largest[0] is None or largest[0] < 1:
            raise DataError(
                f"stage {self.name}: label {self.label} of the training rows is no class from 0 to "
                "k - 1; several classes are needed"
            )
        return int(largest[0]) + 1


def _shown(context: Context, event: Mapping[str, Any]) -> None:
    """Progress is what fits on a screen: no pictures."""
    if event["event"] != "samples":
        context.progress(event)


def _checkpoint(context: Context) -> Path:
    """Beside the artifact, which is replaced whole when it is saved."""
    folder = context.artifact()
    return folder.with_name(f"{folder.name}.checkpoint")
