"""`fit`: from a snapshot and a network to a trained model, on ranks in one barrier stage."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparkmine.errors import ConfigError, RankFailedError
from sparkmine.lake import Snapshot
from sparkmine.train import preflight, source, weighting
from sparkmine.train.channel import Event
from sparkmine.train.checkpoint import KEEP
from sparkmine.train.job import Job
from sparkmine.train.launcher import Limits, Placing, check_executors, launch
from sparkmine.train.layout import check_columns
from sparkmine.train.models.base import FunctionNetwork, Network, Task
from sparkmine.train.models.gan import GAN
from sparkmine.train.optimizer_choice import OptimizerChoice, chosen
from sparkmine.train.rate import LearningRate, Scale, Schedule
from sparkmine.train.restarts import REPLACED_SECONDS, with_restarts
from sparkmine.train.stopping import EarlyStopping
from sparkmine.train.trained import TrainedModel
from sparkmine.train.watching import watchers
from sparkmine.train.weighting import ClassWeight

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from sparkmine.recipe import FittedRecipe
    from sparkmine.recipe.columns import ColumnInfo

log = logging.getLogger(__name__)

_DEFAULT_LEARNING_RATE = 1e-3


def fit(
    model: Network | Callable[..., Any] | str,
    *,
    train: Snapshot | DataFrame,
    validation: Snapshot | DataFrame | None = None,
    features: Sequence[str],
    label: str | Sequence[str] | None = None,
    weight: str | None = None,
    class_weight: ClassWeight | None = None,
    ranks: int = 2,
    epochs: int = 5,
    batch_size: int = 1024,
    optimizer: OptimizerChoice = "adam",
    learning_rate: float | None = None,
    scale_learning_rate: Scale = "none",
    warmup_epochs: float = 0.0,
    schedule: Schedule = "constant",
    early_stopping: EarlyStopping | None = None,
    seed: int = 0,
    task: Task | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_steps: int | None = None,
    checkpoint_keep: int = KEEP,
    max_restarts: int = 0,
    gpus_per_rank: int = 0,
    network_interface: str | None = None,
    spark: SparkSession | None = None,
    progress: Callable[[Event], None] | None = None,
    tensorboard: str | Path | None = None,
    samples: str | Path | None = None,
    scratch: str | Path | None = None,
    start_seconds: float = 300.0,
    silence_seconds: float = 30.0,
    stall_seconds: float = 600.0,
    window_rows: int | None = None,
    recipe: FittedRecipe | None = None,
) -> TrainedModel:
    """Train a Keras model on `ranks` processes that average their gradients at every step.

    Args:
        model: A network configuration such as `MLP(...)`, or a function (or its name as
            `package.module:function`) that returns a Keras model and takes no argument or the
            number of input columns. A compiled model keeps its loss and optimizer.
        train: Rows to train on. A DataFrame is first written to a scratch table.
        validation: Rows for the figures after every epoch, all of them, on all ranks.
        features: Columns of numbers, booleans, or arrays of numbers of one length.
        label: A column of numbers: 0 and 1, classes from 0, or values. Several columns of 0 and 1
            for `multilabel`. `y` if left out; an `Autoencoder` and a `GAN` have none.
        weight: A column of numbers of at least 0: how much a training row counts.
        class_weight: How much the rows of a class count, such as `{0: 1.0, 1: 5.0}`; `balanced`
            counts the training rows, in one pass, and lets all classes count the same.
        ranks: Processes, each one task of the barrier stage.
        batch_size: Rows per rank and step.
        optimizer: Name of a Keras optimizer; or with settings, `{"name": "adam", "clipnorm": 1.0}`
            or `keras.optimizers.serialize(...)`. It clips the ranks' mean gradient.
        learning_rate: The rate for one rank. None is 0.001, or what a compiled model has.
        scale_learning_rate: `none`, or times the number of ranks (`linear`) or its root (`sqrt`).
        warmup_epochs: Over these the rate grows from `learning_rate` to the scaled one, or from 0.
        schedule: Then it is `constant`, or falls to 0 at the end: `linear` or `cosine`.
        early_stopping: When to end before `epochs`, and with which epoch's weights.
        seed: Of initial weights, order and dropout.
        task: For a function only: `binary`, `multiclass`, `multilabel`, `regression` or
            `reconstruction` (of the features, without a label); else by the last layer.
        checkpoint: Folder for the state after every epoch, on a file system that all executors
            see. A fit with equal configuration and data continues there with the rows not yet
            read, also with other `ranks`; a finished one returns its model.
        checkpoint_steps: Also after so many steps within an epoch.
        checkpoint_keep: How many of the newest are kept.
        max_restarts: How often to start again from the last checkpoint after a rank has failed.
        gpus_per_rank: GPUs of each task (cluster only; never run on a real GPU).
        network_interface: Through which the ranks talk. None is what the executor's variable
            HOROVOD_GLOO_IFACE says, else the one on the way to rank 0.
        spark: The session; the active one by default.
        progress: Called in this thread with events: `started`, `imported`, `ready` of every
            rank, `checkpoint` (one was taken up, or passed over: `text`), `step`, `epoch` and
            `samples` (a GAN's picture) of rank 0, `restart`.
        tensorboard: Folder of the driver's machine for what TensorBoard shows.
        samples: Folder of the driver's machine for a GAN's picture after every epoch.
        scratch: Folder for a scratch table; needed for a DataFrame on a cluster.
        start_seconds: How long ranks may take until they have found each other.
        silence_seconds: How long a rank may give no sign of life before all are ended.
        stall_seconds: How long a living rank may do nothing (read no batch, end no step, save
            nothing) before all are ended. Building the model and one step must take less.
        window_rows: Rows that are shuffled together, and the measure of memory. None is 65,536, or
            as many as 128 MiB hold, but at least two batches.
        recipe: What made the features; it is saved with the model.

    Raises:
        ConfigError: a setting or a column is wrong.
        DataError: too few rows, missing or infinite values, labels outside their classes.
        TooFewSlotsError: fewer slots than ranks. DynamicAllocationError: it is on.
        ExecutorsDifferError, GpuMissingError, PathNotSharedError: found on the executors in the
            first seconds. RankUnreachableError: when the ranks meet.
        TableDamagedError: a data file is missing or cannot be read.
        RankFailedError: a rank raised, died or fell silent; all have ended.
    """
    network = _network(model, task)
    spark = spark or _active_session()
    columns = tuple(features)
    labels = _labels(network, label)
    check_columns(train.schema, columns, labels, weight)
    _check_generation(network, validation, weight, samples)
    if validation is not None:
        check_columns(validation.schema, columns, labels)
    if batch_size < 1 or epochs < 1:
        raise ConfigError(f"batch_size={batch_size}, epochs={epochs}: both at least 1")
    if checkpoint_keep < 1 or (checkpoint_steps is not None and checkpoint_steps < 1):
        raise ConfigError(
            f"checkpoint_steps={checkpoint_steps}, checkpoint_keep={checkpoint_keep}: at least 1"
        )
    if window_rows is not None and window_rows < 1:
        raise ConfigError(f"window_rows={window_rows}: at least 1")
    if checkpoint_steps is not None and checkpoint is None:
        raise ConfigError("checkpoint_steps needs checkpoint=, the folder")
    optimizer_name, optimizer_settings, learning_rate = chosen(optimizer, learning_rate)
    if learning_rate is None and not isinstance(network, FunctionNetwork):
        learning_rate = _DEFAULT_LEARNING_RATE
    rate = None
    if learning_rate is not None:
        rate = LearningRate(
            base=learning_rate,
            scale=scale_learning_rate,
            warmup_epochs=warmup_epochs,
            schedule=schedule,
        )
    elif scale_learning_rate != "none" or warmup_epochs or schedule != "constant":
        raise ConfigError("give learning_rate=, so that it can be scaled, warmed up or scheduled")
    if min(start_seconds, silence_seconds, stall_seconds) <= 0:
        raise ConfigError("start_seconds, silence_seconds and stall_seconds must be more than 0")
    if max_restarts < 0 or (max_restarts and checkpoint is None):
        raise ConfigError(f"max_restarts={max_restarts}: at least 0, and it needs checkpoint=")
    strange = [] if recipe is None else sorted(set(columns) - set(recipe.outputs))
    if strange:
        raise ConfigError(f"the recipe makes no column {', '.join(strange)}; leave recipe= out")
    preflight.check_cluster(spark, ranks=ranks, gpus_per_rank=gpus_per_rank)
    placing = Placing(
        ranks=ranks,
        gpus_per_rank=gpus_per_rank,
        threads=int(spark.sparkContext.getConf().get("spark.task.cpus") or 1),
        checkpoint=None if checkpoint is None else str(Path(checkpoint).absolute()),
        network_interface=network_interface,
    )
    check_executors(spark, placing, source.first_files(train, validation))
    with contextlib.ExitStack() as stack:

        def opened(data: Snapshot | DataFrame, *more: str) -> source.Source:
            return stack.enter_context(
                source.opened(
                    data,
                    (*columns, *labels, *more),
                    spark,
                    scratch=None if scratch is None else str(scratch),
                    digest=checkpoint is not None,
                )
            )

        training = opened(train, *([weight] if weight else []))
        validating = None if validation is None else opened(validation)
        preflight.check_rows(training, validating, ranks=ranks, batch_size=batch_size)
        for source_of_rows in (training, validating):
            if source_of_rows is not None:
                preflight.check_labels(spark, source_of_rows, labels)
        job = Job(
            network=network,
            network_identity=network.identity(),
            layout=source.layout(
                training,
                columns,
                labels,
                weight=weight,
                max_length=network.max_length,
                cardinalities=network.indices(_infos(train, columns)),
            ),
            train=training,
            validation=validating,
            ranks=ranks,
            epochs=epochs,
            batch_size=batch_size,
            optimizer=optimizer_name,
            optimizer_settings=optimizer_settings,
            learning_rate=rate,
            seed=seed,
            checkpoint=placing.checkpoint,
            checkpoint_steps=checkpoint_steps,
            checkpoint_keep=checkpoint_keep,
            threads=placing.threads,
            class_weight=weighting.resolved(class_weight, training, labels, network.task, spark),
            early_stopping=early_stopping,
            window_rows=window_rows,
        )
        network.check(job.layout)
        if early_stopping is not None and network.task is not None:
            early_stopping.check(job.figures(network.task))
        on_event = stack.enter_context(watchers(progress, tensorboard=tensorboard, samples=samples))
        log.info(
            "training on %d rows x %d columns with %d ranks",
            training.total,
            job.layout.width,
            ranks,
        )
        files = with_restarts(
            partial(
                launch,
                spark,
                _packed(job),
                placing,
                data=source.first_files(
                    training.scan.snapshot, validating.scan.snapshot if validating else None
                ),
                limits=Limits(
                    start_seconds=start_seconds,
                    silence_seconds=silence_seconds,
                    stall_seconds=stall_seconds,
                ),
                on_event=on_event,
            ),
            most=max_restarts,
            check=partial(
                preflight.check_cluster,
                spark,
                ranks=ranks,
                gpus_per_rank=gpus_per_rank,
                wait_seconds=REPLACED_SECONDS,
            ),
            on_event=on_event,
        )
    return _trained(job, files, None if recipe is None else recipe.frozen())


def _trained(
    job: Job, files: dict[int, dict[str, bytes]], recipe: FittedRecipe | None
) -> TrainedModel:
    results = {rank: json.loads(of_rank["result.json"]) for rank, of_rank in files.items()}
    hashes = {result["weights_hash"] for result in results.values()}
    if set(results) != set(range(job.ranks)) or len(hashes) != 1:
        raise RankFailedError(
            f"results came from ranks {sorted(results)} of {job.ranks} with {len(hashes)} "
            "different sets of weights"
        )
    first = results[0]
    return TrainedModel(
        keras_file=files[0]["model.keras"],
        dense_file=files[0].get("dense.npz"),
        generator_file=files[0].get("generator.keras"),
        layout=job.layout,
        task=first["task"],
        classes=first["classes"],
        history=first["history"],
        epoch=first["epoch"],
        data=job.train.identity,
        settings={
            "network": job.network_identity,
            "ranks": job.ranks,
            "epochs": job.epochs,
            "batch_size": job.batch_size,
            "optimizer": job.optimizer,
            "optimizer_settings": job.optimizer_settings,
            "learning_rate": None if job.learning_rate is None else asdict(job.learning_rate),
            "seed": job.seed,
            "weight": job.layout.weight,
            # Keys of JSON are texts.
            "class_weight": job.class_weight and {str(k): v for k, v in job.class_weight.items()},
            "validation": None if job.validation is None else job.validation.identity,
            "early_stopping": None if job.early_stopping is None else asdict(job.early_stopping),
        },
        weights_hash=first["weights_hash"],
        custom=first["custom"],
        recipe=recipe,
    )


def _network(model: Network | Callable[..., Any] | str, task: Task | None) -> Network:
    if isinstance(model, Network):
        if task is not None and task != model.task:
            raise ConfigError(f"task={task!r}, but the network says {model.task!r}; leave it out")
        return model
    if isinstance(model, str) or callable(model):
        return FunctionNetwork(function=model, task=task)
    raise ConfigError(f"model is a {type(model).__name__}; give an MLP or a function")


def _labels(network: Network, label: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the names of the labels, as many as the task wants."""
    if network.task in ("reconstruction", "generation"):
        if label is not None:
            kind = "an autoencoder" if network.task == "reconstruction" else "a GAN"
            raise ConfigError(f"label={label!r}, but {kind} learns without; leave it out")
        return ()
    label = "y" if label is None else label
    labels = (label,) if isinstance(label, str) else tuple(label)
    if not labels:
        raise ConfigError("label is empty: name at least one column")
    if len(labels) > 1 and network.task not in (None, "multilabel"):
        raise ConfigError(
            f"{len(labels)} labels, but the task is {network.task}; several labels of 0 and 1 are "
            "task='multilabel'"
        )
    return labels


def _check_generation(
    network: Network, validation: object, weight: str | None, samples: object
) -> None:
    if samples is not None and not (isinstance(network, GAN) and network.shape):
        raise ConfigError("samples= needs a GAN with a shape, whose rows are pictures")
    if network.task != "generation":
        return
    if validation is not None:
        raise ConfigError(
            "validation= of a GAN: no figure says how good its rows are; look at the samples"
        )
    if weight is not None:
        raise ConfigError(f"weight={weight!r}: a GAN has no weights of rows; leave it out")


def _infos(data: Snapshot | DataFrame, features: Sequence[str]) -> list[ColumnInfo]:
    """Return what recipes noted of the feature columns."""
    from sparkmine.recipe.columns import columns_of

    known = {column.name: column for column in columns_of(data.schema)}
    return [known[name] for name in features]


def _packed(job: Job) -> bytes:
    module = job.network.by_value() if isinstance(job.network, FunctionNetwork) else None
    if module is None:
        return _dumps(job)
    with _by_value(module):
        return _dumps(job)


def _dumps(job: Job) -> bytes:
    from pyspark import cloudpickle

    packed: bytes = cloudpickle.dumps(job)  # type: ignore[no-untyped-call]
    return packed


@contextlib.contextmanager
def _by_value(module: Any) -> Iterator[None]:
    from pyspark import cloudpickle

    cloudpickle.register_pickle_by_value(module)  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        cloudpickle.unregister_pickle_by_value(module)  # type: ignore[no-untyped-call]


def _active_session() -> SparkSession:
    from pyspark.sql import SparkSession

    session = SparkSession.getActiveSession()
    if session is None:
        raise ConfigError("there is no active Spark session: call sparkmine.session(...) first")
    return session
