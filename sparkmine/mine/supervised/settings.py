"""Checks that the settings of all supervised models share."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from sparkmine.errors import ConfigError
from sparkmine.model import Task

# How much the rows of each class count; `balanced`: all classes the same.
ClassWeight = Mapping[int, float] | Literal["balanced"] | None


def at_least(config: object, least: float, *names: str) -> None:
    """Raise ConfigError unless these settings are at least `least`; NaN is not."""
    for name in names:
        value = getattr(config, name)
        if not value >= least:
            raise ConfigError(f"{name} is {value}; it must be at least {least}")


def share(config: object, *names: str) -> None:
    """Raise ConfigError unless these settings are above 0 and at most 1."""
    for name in names:
        value = getattr(config, name)
        if not 0 < value <= 1:
            raise ConfigError(f"{name} is {value}; it must be above 0 and at most 1")


def for_tasks(config: object, task: Task, *known: Task, instead: str = "") -> None:
    """Raise ConfigError unless the model is for this task."""
    if task not in known:
        kinds = " and ".join(known)
        more = f"; {instead}" if instead else ""
        raise ConfigError(f"{type(config).__name__} is for {kinds} labels, not {task}{more}")


def check_class_weight(weights: ClassWeight) -> None:
    """Raise ConfigError unless these can be weights of classes."""
    if weights is None or weights == "balanced":
        return
    if not isinstance(weights, Mapping):
        raise ConfigError(
            f"class_weight={weights!r}: give 'balanced' or a weight for every class, such as "
            "{0: 1.0, 1: 5.0}"
        )
    for number, weight in weights.items():
        if not (math.isfinite(weight) and weight > 0):
            raise ConfigError(f"class_weight of class {number} is {weight}; it must be above 0")
