"""What a rank is told. Made on the driver, carried by Spark, read by the rank's process."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sparkmine.train.layout import Layout
from sparkmine.train.loader import CACHE_BYTES
from sparkmine.train.models.base import Network
from sparkmine.train.order import WINDOW_ROWS, Order
from sparkmine.train.source import Source


@dataclass(frozen=True, kw_only=True)
class Job:
    """One fit, equal for all ranks. `checkpoint` is a folder that rank 0 sees."""

    network: Network
    layout: Layout
    train: Source
    validation: Source | None
    ranks: int
    epochs: int
    batch_size: int
    optimizer: str
    learning_rate: float | None
    seed: int
    checkpoint: str | None
    threads: int
    class_weight: Mapping[int, float] | None = None
    window_rows: int = WINDOW_ROWS
    cache_bytes: int = CACHE_BYTES

    @property
    def order(self) -> Order:
        """The order in which the training rows are read."""
        return Order(
            rows=self.train.rows, ranks=self.ranks, seed=self.seed, window_rows=self.window_rows
        )

    def identity(self) -> str:
        """Return a hash of all that shapes the weights, except the number of epochs.

        A checkpoint continues only where this is equal; more epochs continue a finished fit.
        """
        content: dict[str, Any] = {
            "network": self.network.identity(),
            "layout": self.layout.to_json(),
            "train": self.train.identity,
            "validation": None if self.validation is None else self.validation.identity,
            "ranks": self.ranks,
            "batch_size": self.batch_size,
            "optimizer": [self.optimizer, self.learning_rate],
            "seed": self.seed,
            "class_weight": sorted((self.class_weight or {}).items()),
            "window_rows": self.window_rows,
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
