"""Training as an estimator, so that networks can be searched over and stacked like other models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparkmine.errors import ConfigError
from sparkmine.model import Task
from sparkmine.train.fitting import fit
from sparkmine.train.models.base import Network
from sparkmine.train.rate import Scale, Schedule
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
    """A network and how it is trained; the fields are the arguments of `sparkmine.train.fit`."""

    network: Network
    ranks: int = 2
    epochs: int = 5
    batch_size: int = 1024
    optimizer: str = "adam"
    learning_rate: float | None = None
    scale_learning_rate: Scale = "none"
    warmup_epochs: float = 0.0
    schedule: Schedule = "constant"
    class_weight: ClassWeight | None = None
    gpus_per_rank: int = 0
    scratch: str | None = None

    def __post_init__(self) -> None:
        if self.network.task not in _TASKS:
            raise ConfigError(
                f"a network for {self.network.task} does not predict a label; take one for "
                f"{', '.join(_TASKS)}"
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
        """Train on all rows of `train`; see `sparkmine.train.fit` for what it raises."""
        return fit(
            self.network,
            train=train,
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
            gpus_per_rank=self.gpus_per_rank,
            seed=seed,
            spark=spark,
            scratch=self.scratch,
        )
