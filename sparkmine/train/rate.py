"""The learning rate of every step, as a function of how far the fit is: nothing to carry over."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from sparkmine.errors import ConfigError

Scale = Literal["none", "linear", "sqrt"]
Schedule = Literal["constant", "linear", "cosine"]


@dataclass(frozen=True, kw_only=True)
class LearningRate:
    """A rate that may grow with the ranks, warm up, and fall.

    Attributes:
        base: The rate for one rank.
        scale: `linear` multiplies it by the number of ranks, `sqrt` by its square root, because
            that many more rows are averaged in a step (Goyal et al. 2017; Krizhevsky 2014).
        warmup_epochs: Over these the rate grows linearly from `base` to the scaled one; where
            nothing is scaled, from 0.
        schedule: After the warm-up the rate stays (`constant`), or falls to 0 at the last epoch's
            end: `linear`, or as half a `cosine` wave (Loshchilov and Hutter 2017).
    """

    base: float
    scale: Scale = "none"
    warmup_epochs: float = 0.0
    schedule: Schedule = "constant"

    def __post_init__(self) -> None:
        if not self.base > 0 or not math.isfinite(self.base):
            raise ConfigError(f"learning_rate={self.base}: must be above 0")
        for name, kinds in (("scale", Scale), ("schedule", Schedule)):
            if getattr(self, name) not in get_args(kinds):
                argument = "scale_learning_rate" if name == "scale" else name
                raise ConfigError(
                    f"{argument}={getattr(self, name)!r}: use one of {', '.join(get_args(kinds))}"
                )
        if not self.warmup_epochs >= 0:
            raise ConfigError(f"warmup_epochs={self.warmup_epochs}: must not be negative")

    @property
    def moves(self) -> bool:
        """Whether the rate is not one number."""
        return self.warmup_epochs > 0 or self.schedule != "constant"

    def at(self, epoch: float, *, epochs: int, ranks: int) -> float:
        """Return the rate `epoch` epochs (with a fraction) after the start of a fit of `epochs`."""
        factor = {"none": 1.0, "linear": float(ranks), "sqrt": math.sqrt(ranks)}[self.scale]
        full = self.base * factor
        if epoch < self.warmup_epochs:
            low = 0.0 if factor == 1.0 else self.base
            return low + (full - low) * epoch / self.warmup_epochs
        if self.schedule == "constant":
            return full
        part = min((epoch - self.warmup_epochs) / max(epochs - self.warmup_epochs, 1e-9), 1.0)
        return full * (
            1.0 - part if self.schedule == "linear" else 0.5 + 0.5 * math.cos(math.pi * part)
        )
