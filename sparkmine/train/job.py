"""What a rank is told. Made on the driver, carried by Spark, read by the rank's process."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sparkmine.train import metrics
from sparkmine.train.checkpoint import KEEP
from sparkmine.train.layout import Layout
from sparkmine.train.loader import CACHE_BYTES
from sparkmine.train.models.base import Network
from sparkmine.train.order import Order, window_rows
from sparkmine.train.rate import LearningRate
from sparkmine.train.source import Source
from sparkmine.train.stopping import EarlyStopping


@dataclass(frozen=True, kw_only=True)
class Job:
    """One fit, equal for all ranks. `checkpoint` is a folder that rank 0 sees.

    `window_rows` are those of the order; None leaves them to the width of a row.
    `network_identity` is what the network said of itself on the driver: a rank cannot know it of a
    function, whose module's file it may not have.
    """

    network: Network
    network_identity: Mapping[str, Any]
    layout: Layout
    train: Source
    validation: Source | None
    ranks: int
    epochs: int
    batch_size: int
    optimizer: str
    optimizer_settings: Mapping[str, Any]
    learning_rate: LearningRate | None
    seed: int
    checkpoint: str | None
    threads: int
    checkpoint_steps: int | None = None
    checkpoint_keep: int = KEEP
    class_weight: Mapping[int, float] | None = None
    early_stopping: EarlyStopping | None = None
    window_rows: int | None = None
    cache_bytes: int = CACHE_BYTES

    @property
    def order(self) -> Order:
        """The order in which the training rows are read."""
        window = self.window_rows or window_rows(self.layout.row_bytes, self.batch_size)
        return Order(rows=self.train.rows, ranks=self.ranks, seed=self.seed, window_rows=window)

    @property
    def first_rate(self) -> float | None:
        """The learning rate to begin with; None leaves what a compiled model has."""
        if self.learning_rate is None:
            return None
        return self.learning_rate.at(0.0, epochs=self.epochs, ranks=self.ranks)

    def figures(self, task: str, own: Sequence[str] = ()) -> list[str]:
        """The names of the losses and figures that the history of such a fit has.

        Args:
            own: Metrics of a model that a user's function has compiled.
        """
        found = ["loss", *own]
        if task == "generation":
            found += ["generator_loss", "discriminator_loss"]
        if self.validation is not None:
            names = ["loss", *metrics.names(task, self.layout.labels)]
            found += [f"val_{name}" for name in dict.fromkeys([*names, *own])]
        return found

    def identity(self) -> str:
        """Return a hash of what makes a fit another one.

        A checkpoint continues only where this is equal. More epochs continue a finished fit, and
        other ranks one that lost some.
        """
        stopping = None
        if self.early_stopping is not None:
            # More patience continues, too; which epoch is best must be told alike.
            stopping = {**asdict(self.early_stopping), "patience": None}
        content: dict[str, Any] = {
            "network": self.network_identity,
            "layout": self.layout.to_json(),
            "train": self.train.identity,
            "validation": None if self.validation is None else self.validation.identity,
            "batch_size": self.batch_size,
            "optimizer": [self.optimizer, dict(self.optimizer_settings)],
            "learning_rate": None if self.learning_rate is None else asdict(self.learning_rate),
            "seed": self.seed,
            "class_weight": sorted((self.class_weight or {}).items()),
            "early_stopping": stopping,
            "window_rows": self.order.window_rows,
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
