"""Ensembles: the predictions of several models, which are columns of one table, as one.

Whatever made the columns can be a member, deep models included. A row in which a member has no
prediction (null or NaN) gets none from the ensemble.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from sparkmine.errors import ConfigError
from sparkmine.expr import col, lit, when
from sparkmine.mine.expression_model import ExpressionModel, total, where_known


@dataclass(frozen=True)
class Averaging:
    """Soft voting: the (weighted) mean of the members' probabilities.

    Fields:
        members: columns with the probability of class 1 from each member.
        weights: one weight of 0 or more per member; None weighs all equally.
    """

    members: tuple[str, ...]
    weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "members", _checked(self.members))
        if self.weights is None:
            return
        weights = tuple(float(weight) for weight in self.weights)
        object.__setattr__(self, "weights", weights)
        if len(weights) != len(self.members):
            raise ConfigError(f"{len(weights)} weights for {len(self.members)} members")
        if not all(math.isfinite(w) and w >= 0 for w in weights) or not sum(weights):
            raise ConfigError(f"weights {weights} must be 0 or more, and not all 0")

    def model(self, output: str = "prediction") -> ExpressionModel:
        """The model that adds the mean as `output`; there is nothing to fit."""
        weights = self.weights or (1.0,) * len(self.members)
        members = [col(name).cast("double") for name in self.members]
        mean = total([m * w for m, w in zip(members, weights, strict=True)]) / sum(weights)
        details = {"method": "averaging", "members": list(self.members), "weights": list(weights)}
        return ExpressionModel(
            expression=where_known(members, mean), output=output, details=details
        )


@dataclass(frozen=True)
class Voting:
    """Hard voting: the share of members that predict class 1.

    Fields:
        members: columns with the probability of class 1 from each member.
        threshold: a member votes for class 1 from this probability on.
    """

    members: tuple[str, ...]
    threshold: float = 0.5

    def __post_init__(self) -> None:
        object.__setattr__(self, "members", _checked(self.members))
        if not 0 <= self.threshold <= 1:
            raise ConfigError(f"threshold is {self.threshold}; it must be between 0 and 1")

    def model(self, output: str = "prediction") -> ExpressionModel:
        """The model that adds the share of votes as `output`; there is nothing to fit."""
        members = [col(name).cast("double") for name in self.members]
        votes = [when(m >= float(self.threshold), lit(1.0)).otherwise(lit(0.0)) for m in members]
        share = total(votes) / float(len(members))
        details = {
            "method": "voting",
            "members": list(self.members),
            "threshold": self.threshold,
        }
        return ExpressionModel(
            expression=where_known(members, share), output=output, details=details
        )


def _checked(members: tuple[str, ...]) -> tuple[str, ...]:
    if isinstance(members, str) or not members:
        raise ConfigError("members must be a list of one or more columns")
    if len(set(members)) < len(members):
        raise ConfigError(f"members {list(members)} name a column twice")
    return tuple(members)
