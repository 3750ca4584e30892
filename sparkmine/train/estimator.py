"""Training as an estimator, so that networks can be searched over and stacked like other models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparkmine.errors import ConfigError
from sparkmine.expr import place_of
from sparkmine.lake.inputs import need_columns, part_of
from sparkmine.model import Task
from sparkmine.train.fitting import fit
from sparkmine.train.models.base import Network
from sparkmine.train.optimizer_choice import OptimizerChoice
from sparkmine.train.rate import Scale, Schedule
from sparkmine.train.stopping import EarlyStopping
from sparkmine.train.trained import TrainedModel
from sparkmine.train.weighting import ClassWeight

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from sparkmine.lake import Snapshot

_TASKS: dict[str, Task] = {
    "binary": "binary",
    "multiclass": "multiclass",
    "regression": "regression",
}


@dataclass(frozen=True, kw_only=True)
class Training:
    """A network and how it is trained; the fields are the arguments of `sparkmine.train.fit`.

    Attributes:
        early_stopping: When training ends before `epochs`; `val_loss` and the like are those of the
            rows that are held out.
        validation_share: Of the rows that `fit` gets, such as the training rows of a fold, this
            share is not trained on, and measured after every epoch.
        validation_keys: Columns that name a row; the hash of these draws the share.
    """

    network: Network
    ranks: int = 2
    epochs: int = 5
    batch_size: int = 1024
    optimizer: OptimizerChoice = "adam"
    learning_rate: float | None = None
    scale_learning_rate: Scale = "none"
    warmup_epochs: float = 0.0
    schedule: Schedule = "constant"
    class_weight: ClassWeight | None = None
    early_stopping: EarlyStopping | None = None
    validation_share: float = 0.0
    validation_keys: tuple[str, ...] = ()
    gpus_per_rank: int = 0
    scratch: str | None = None

    def __post_init__(self) -> None:
        if self.network.task not in _TASKS:
            raise ConfigError(
                f"a network for {self.network.task} does not predict a label; take one for "
                f"{', '.join(_TASKS)}"
            )
        if not 0 <= self.validation_share <= 0.5:
            raise ConfigError(
                f"validation_share is {self.validation_share}; it must be 0 to 0.5, a share of the "
                "training rows"
            )
        stopping = self.early_stopping
        measured = stopping is not None and stopping.monitor.startswith("val_")
        if stopping is not None and measured and not self.validation_share:
            raise ConfigError(
                f"early stopping by {stopping.monitor} needs validation_share=, a share of the "
                "training rows"
            )

    @property
    def task(self) -> Task:
        """That of the network."""
        return _TASKS[str(self.network.task)]

    def fit(
        self,
        train: DataFrame | Snapshot,
        features: Sequence[str],
        label: str,
        seed: int = 0,
        spark: SparkSession | None = None,
    ) -> TrainedModel:
        """Train on the rows of `train` but those held out.

        Raises:
            ConfigError: a share is held out, and no keys are named; and what
                `sparkmine.train.fit` raises.
        """
        validation = None
        if self.validation_share:
            if not self.validation_keys:
                raise ConfigError("validation_share needs validation_keys=, which name a row")
            need_columns(train, self.validation_keys)
            # By another hash than folds: of these the held out rows shall be a part, not one fold.
            held_out = place_of(self.validation_keys, f"validation {seed}") < self.validation_share
            validation = part_of(train, held_out)
            train = part_of(train, ~held_out)
        return fit(
            self.network,
            train=train,
            validation=validation,
            features=features,
            label=label,
            ranks=self.ranks,
            epochs=self.epochs,
            batch_size=self.batch_size,
            optimizer=self.optimizer,
            learning_rate=self.learning_rate,
            scale_learning_rate=self.scale_learning_rate,
            warmup_epochs=self.warmup_epochs,
            schedule=self.schedule,
            class_weight=self.class_weight,
            early_stopping=self.early_stopping,
            gpus_per_rank=self.gpus_per_rank,
            seed=seed,
            spark=spark,
            scratch=self.scratch,
        )
