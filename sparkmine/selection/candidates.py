"""Candidates of a search: all combinations of a grid, or random draws.

Random search finds as good parameters as a grid of many more candidates where few of the parameters
matter (Bergstra and Bengio, "Random search for hyper-parameter optimization", Journal of Machine
Learning Research 13, 2012).
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparkmine.errors import ConfigError
from sparkmine.model import Estimator

Parameters = dict[str, Any]
# Draws that are tried for each candidate that is still missing.
_DRAWS = 20


class Distribution(ABC):
    """From what a parameter is drawn."""

    @abstractmethod
    def draw(self, random: np.random.Generator) -> Any:
        """One value, as a plain Python value."""


@dataclass(frozen=True)
class Uniform(Distribution):
    """Numbers between `low` and `high`."""

    low: float
    high: float

    def __post_init__(self) -> None:
        _check_range(self.low, self.high)

    def draw(self, random: np.random.Generator) -> float:
        return float(random.uniform(self.low, self.high))


@dataclass(frozen=True)
class LogUniform(Distribution):
    """Numbers between `low` and `high` whose logarithms are uniform: for rates and penalties."""

    low: float
    high: float

    def __post_init__(self) -> None:
        _check_range(self.low, self.high)
        if not self.low > 0:
            raise ConfigError(f"a logarithm needs a low end above 0, not {self.low}")

    def draw(self, random: np.random.Generator) -> float:
        return float(np.exp(random.uniform(math.log(self.low), math.log(self.high))))


@dataclass(frozen=True)
class Integer(Distribution):
    """Integers from `low` to `high`, both included."""

    low: int
    high: int

    def __post_init__(self) -> None:
        _check_range(self.low, self.high)

    def draw(self, random: np.random.Generator) -> int:
        return int(random.integers(self.low, self.high, endpoint=True))


@dataclass(frozen=True)
class Choice(Distribution):
    """One of some values."""

    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(self.values))
        if not self.values:
            raise ConfigError("a choice needs one value or more")

    def draw(self, random: np.random.Generator) -> Any:
        return self.values[int(random.integers(len(self.values)))]


def grid_of(values: Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Sequence[Any]]]) -> list:
    """All combinations, the last name varying fastest; of several grids one after the other.

    Raises:
        ConfigError: a name without a list of values.
    """
    grids = [values] if isinstance(values, Mapping) else list(values)
    found = []
    for grid in grids:
        for name, listed in grid.items():
            if isinstance(listed, str) or not isinstance(listed, Sequence) or not listed:
                raise ConfigError(f"grid: {name} needs a list of values, not {listed!r}")
        found += [
            dict(zip(grid, combination, strict=True))
            for combination in itertools.product(*grid.values())
        ]
    if not found:
        raise ConfigError("a grid needs one name or more")
    return found


def drawn(number: int, distributions: Mapping[str, Distribution], seed: int) -> list[Parameters]:
    """So many different candidates; fewer where the distributions have no more.

    Raises:
        ConfigError: no number, or no distributions.
    """
    if number < 1 or not distributions:
        raise ConfigError("a random search needs one trial or more, and distributions by name")
    random = np.random.default_rng(seed)
    found: dict[str, Parameters] = {}
    for _ in range(_DRAWS * number):
        candidate = {name: kind.draw(random) for name, kind in distributions.items()}
        found.setdefault(json.dumps(candidate, sort_keys=True, default=str), candidate)
        if len(found) == number:
            break
    return list(found.values())


def with_parameters(estimator: Estimator, changed: Mapping[str, Any]) -> Estimator:
    """The estimator with other parameters: its own, or fields, of inner ones as `network.hidden`.

    Raises:
        ConfigError: it has no such field, or does not take the value.
    """
    own = getattr(estimator, "with_parameters", None)
    if own is not None:
        made: Estimator = own(changed)
        return made
    return _replaced(estimator, changed)


def _replaced(settings: Any, changed: Mapping[str, Any]) -> Any:
    names = [field.name for field in dataclasses.fields(settings) if field.init]
    fields: dict[str, Any] = {}
    for name, value in changed.items():
        first, _, rest = name.partition(".")
        if first not in names:
            raise ConfigError(
                f"{type(settings).__name__} has no parameter {first}; it has {', '.join(names)}"
            )
        inner = fields.get(first, getattr(settings, first))
        if rest and not dataclasses.is_dataclass(inner):
            raise ConfigError(f"{type(settings).__name__}.{first} has no parameters of its own")
        fields[first] = _replaced(inner, {rest: value}) if rest else value
    return dataclasses.replace(settings, **fields)


def _check_range(low: float, high: float) -> None:
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ConfigError(f"from {low} to {high} is no range")
