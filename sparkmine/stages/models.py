"""train, classical, baseline: stages that fit one model and score rows with it.

Each leaves a saved model and a table of scores: the keys, the label and `prediction`, the
probability of class 1.
"""

from __future__ import annotations

import shutil
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from sparkmine.errors import ConfigError
from sparkmine.lake.scan import DirectScanRefused, Scan
from sparkmine.model import Model
from sparkmine.stages.base import Block, Condition, Context, Names, Result, Stage, TableName
from sparkmine.stages.features import feature_columns


class ModelStage(Stage):
    """What all model stages have in common.

    Attributes:
        train: Rows to learn from.
        score: Rows to score; all if left out.
    """

    input: TableName
    table: TableName
    keys: Names
    label: str
    train: Condition
    score: Condition | None = None

    @property
    def writes(self) -> str:
        return self.table

    @property
    def reads(self) -> dict[str, str]:
        return {"input": self.input}

    @abstractmethod
    def fit(self, context: Context) -> tuple[Model, dict[str, Any]]:
        """The fitted model and metrics for the ledger."""

    def run(self, context: Context) -> Result:
        model, metrics = self.fit(context)
        model.save(context.artifact())
        rows = context.frame(self.input, self.score)
        scored = model.transform(rows).select(*self.keys, self.label, "prediction")
        return Result(frame=scored, metrics=metrics, artifact=True)


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
    features: str | None = None
    validation: Condition | None = None
    weight: str | None = None
    class_weight: (
        Literal["balanced"] | dict[int, Annotated[float, Field(ge=0.0, strict=False)]] | None
    ) = None
    early_stopping: Stopping | None = None
    tensorboard: bool = False
    ranks: int = Field(default=2, ge=1)
    epochs: int = Field(default=5, ge=1)
    batch_size: int = Field(default=1024, ge=1)
    learning_rate: float = Field(default=0.001, gt=0.0, strict=False)
    scale_learning_rate: Literal["none", "linear", "sqrt"] = "none"
    warmup_epochs: float = Field(default=0.0, ge=0.0, strict=False)
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    checkpoint_steps: int | None = Field(default=None, ge=1)
    gpus_per_rank: int = Field(default=0, ge=0)
    max_restarts: int = Field(default=0, ge=0)

    def fit(self, context: Context) -> tuple[Model, dict[str, Any]]:
        from sparkmine import train

        table = context.inputs[self.input]
        features = feature_columns(context, self.input, self.features)
        settings = self.model.model_dump(exclude={"kind"})
        # Index columns are no quantities, so only those are taken that are to be embedded.
        embedded = {**settings.get("embeddings", {}), **settings.get("cardinalities", {})}
        features += [name for name in embedded if name not in features]
        features = [name for name in features if name != self.weight]
        labelled = self.model.kind in ("mlp", "cnn", "rnn")
        network: train.Network
        if labelled:
            kinds = {"mlp": train.MLP, "cnn": train.CNN, "rnn": train.RNN}
            network = kinds[self.model.kind](**settings, task="binary")
        else:
            network = {"autoencoder": train.Autoencoder, "gan": train.GAN}[self.model.kind](
                **settings
            )
        logs = context.logs() if self.tensorboard else None
        pictured = isinstance(self.model, GanModel) and self.model.shape is not None
        stopping = None
        if self.early_stopping is not None:
            stopping = train.EarlyStopping(**self.early_stopping.model_dump())
        trained = train.fit(
            network,
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
            learning_rate=self.learning_rate,
            scale_learning_rate=self.scale_learning_rate,
            warmup_epochs=self.warmup_epochs,
            schedule=self.schedule,
            checkpoint_steps=self.checkpoint_steps,
            seed=context.seed,
            gpus_per_rank=self.gpus_per_rank,
            max_restarts=self.max_restarts,
            checkpoint=_checkpoint(context),
            spark=context.spark,
            progress=lambda event: _shown(context, event),
            tensorboard=logs and logs / "tensorboard" / context.stage / context.run_id,
            samples=logs / "samples" / context.stage / context.run_id
            if logs and pictured
            else None,
            scratch=f"{context.lake.root}/_scratch",
        )
        metrics = {"history": trained.history, "features": len(features), "ranks": self.ranks}
        return trained, metrics

    def run(self, context: Context) -> Result:
        result = super().run(context)
        # The model is saved: --force shall train anew, and nothing shall pile up.
        shutil.rmtree(_checkpoint(context), ignore_errors=True)
        return result


def _shown(context: Context, event: Mapping[str, Any]) -> None:
    """Progress is what fits on a screen: no pictures."""
    if event["event"] != "samples":
        context.progress(event)


def _checkpoint(context: Context) -> Path:
    """Beside the artifact, which is replaced whole when it is saved."""
    folder = context.artifact()
    return folder.with_name(f"{folder.name}.checkpoint")


class LogisticModel(Block):
    """Logistic regression: see `sparkmine.mine.LogisticRegression`."""

    kind: Literal["logistic"]
    l1: float = Field(default=0.0, ge=0.0, strict=False)
    l2: float = Field(default=0.0, ge=0.0, strict=False)
    max_iterations: int = Field(default=100, ge=1)


class TreeModel(Block):
    """Decision tree: see `sparkmine.mine.DecisionTree`."""

    kind: Literal["tree"]
    max_depth: int = Field(default=5, ge=1, le=12)
    min_rows: int = Field(default=1, ge=1)


class Classical(ModelStage):
    """Fit a classical model by Spark ML."""

    kind: ClassVar[str] = "classical"
    stage: Literal["classical"]
    model: Annotated[LogisticModel | TreeModel, Field(discriminator="kind")]
    features: str | None = None

    def fit(self, context: Context) -> tuple[Model, dict[str, Any]]:
        from sparkmine import mine

        settings = self.model.model_dump(exclude={"kind"})
        estimator = (
            mine.LogisticRegression(**settings)
            if self.model.kind == "logistic"
            else mine.DecisionTree(**settings)
        )
        features = feature_columns(context, self.input, self.features)
        training = context.inputs[self.input].where(self.train)
        model = estimator.fit(
            training, features, self.label, seed=context.seed, spark=context.spark
        )
        return model, {"features": len(features)}


class MajorityModel(Block):
    """The share of class 1 among the training rows, for every row."""

    kind: Literal["majority"]


class PersistenceModel(Block):
    """A 0/1 column of the row itself, such as last week's answer."""

    kind: Literal["persistence"]
    column: str


class Baseline(ModelStage):
    """What any model must beat."""

    kind: ClassVar[str] = "baseline"
    stage: Literal["baseline"]
    model: Annotated[MajorityModel | PersistenceModel, Field(discriminator="kind")]

    def fit(self, context: Context) -> tuple[Model, dict[str, Any]]:
        from sparkmine import mine

        training = context.inputs[self.input].where(self.train)
        if isinstance(self.model, MajorityModel):
            return mine.MajorityClass().fit(training, self.label, spark=context.spark), {}
        persistence = mine.Persistence(column=self.model.column)
        return persistence.fit(training, spark=context.spark), {}


class Ensemble(Stage):
    """Combine the scores of fitted models: `averaging` of probabilities, or `voting`."""

    kind: ClassVar[str] = "ensemble"
    stage: Literal["ensemble"]
    method: Literal["averaging", "voting"]
    members: Mapping[str, TableName] = Field(min_length=2)
    weights: list[Annotated[float, Field(gt=0.0, strict=False)]] | None = None
    threshold: float = Field(default=0.5, gt=0.0, lt=1.0, strict=False)
    keys: Names
    label: str
    table: TableName

    @property
    def writes(self) -> str:
        return self.table

    @property
    def reads(self) -> dict[str, str]:
        return {f"members.{name}": table for name, table in self.members.items()}

    def check(self, base: Path) -> None:
        if self.weights is not None and len(self.weights) != len(self.members):
            raise ConfigError(
                f"stage {self.name}: {len(self.weights)} weights for {len(self.members)} members"
            )
        if self.weights is not None and self.method == "voting":
            raise ConfigError(f"stage {self.name}: voting takes no weights")

    def run(self, context: Context) -> Result:
        from sparkmine import mine
        from sparkmine.mine.combined import CombinedModel

        names = tuple(self.members)
        combiner = (
            mine.Averaging(names, None if self.weights is None else tuple(self.weights))
            if self.method == "averaging"
            else mine.Voting(names, self.threshold)
        ).model()
        folders = {name: context.artifact_of(table) for name, table in self.members.items()}
        CombinedModel(
            combiner=combiner, members={n: Model.load(f) for n, f in folders.items()}
        ).save(context.artifact())
        scores = joined_scores(context, self.members, [*self.keys, self.label])
        return Result(
            frame=combiner.transform(scores).select(*self.keys, self.label, "prediction"),
            rows_in=context.inputs[next(iter(self.members.values()))].rows,
            quarantined=0,
            removed=0,
            accounted=True,
            mismatch=MISMATCH,
            metrics={"members": list(names), "method": self.method},
            artifact=True,
        )


def joined_scores(
    context: Context, tables: Mapping[str, str], keys: list[str], where: str | None = None
) -> Any:
    """Scores of several models side by side: the keys and one column a model.

    Raises:
        ConfigError: the models did not score the same rows.
    """
    frames = {
        name: context.frame(table, where).select(*keys, _prediction(name))
        for name, table in tables.items()
    }
    counts = {name: context.inputs[table].rows for name, table in tables.items()}
    if len(set(counts.values())) > 1:
        raise ConfigError(
            f"stage {context.stage}: the models scored different rows ({counts}); "
            "give their stages the same `score:`"
        )
    first, *others = frames.values()
    for other in others:
        # The label is null in rows that are scored for the future: null must equal null.
        condition = [first[key].eqNullSafe(other[key]) for key in keys]
        first = first.join(other, condition).drop(*(other[key] for key in keys))
    return first


MISMATCH = (
    "the models' scores do not join one to one; give their stages the same `score:`, and `keys:` "
    "that name a row"
)


def check_joined(context: Context, tables: Mapping[str, str], rows: int, where: str) -> None:
    """Raise ConfigError unless each model's rows were joined one to one."""
    first = next(iter(tables.values()))
    snapshot = context.inputs[first].where(where)
    try:
        scan = Scan.of(snapshot, [])
        expected = sum(scan.count(block) for block in scan.blocks())
    except DirectScanRefused:
        expected = snapshot.dataframe(context.spark).count()
    if rows != expected:
        raise ConfigError(
            f"stage {context.stage}: {expected} rows of {first} became {rows}: {MISMATCH}"
        )


def _prediction(name: str) -> Any:
    from pyspark.sql import functions as F

    return F.col("prediction").alias(name)
