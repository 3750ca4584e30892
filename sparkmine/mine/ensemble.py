"""Ensembles: the predictions of several models, which are columns of one table, as one.

Whatever made the columns can be a member, deep models included. Of two classes a column holds the
probability of class 1, of several an array with the probability of each, of a regression the
number. A row in which a member has no prediction (null or NaN) gets none from the ensemble.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sparkmine.errors import ConfigError
from sparkmine.expr import Expr, col, lit, when
from sparkmine.mine.class_model import ClassModel
from sparkmine.mine.expression_model import ExpressionModel, total, where_known


@dataclass(frozen=True)
class Averaging:
    """Soft voting: the (weighted) mean of the members' probabilities, or numbers.

    Fields:
        members: a column of each member.
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

    def model(self, classes: int | None = None) -> ExpressionModel | ClassModel:
        """The model that adds the mean; there is nothing to fit.

        Args:
            classes: how many, where the members' columns are arrays.
        """
        details: dict[str, Any] = {"method": "averaging", "members": list(self.members)}
        details["weights"] = list(self._weights)
        return _model(self.members, self._mean, _probability, classes, details)

    @property
    def _weights(self) -> tuple[float, ...]:
        return self.weights or (1.0,) * len(self.members)

    def _mean(self, members: Sequence[Expr]) -> Expr:
        weighted = [m * w for m, w in zip(members, self._weights, strict=True)]
        return total(weighted) / sum(self._weights)


@dataclass(frozen=True)
class Voting:
    """Hard voting: the share of members that predict class 1, or each of several classes.

    Fields:
        members: a column of each member.
        threshold: of two classes, a member votes for class 1 from this probability on.
    """

    members: tuple[str, ...]
    threshold: float = 0.5

    def __post_init__(self) -> None:
        object.__setattr__(self, "members", _checked(self.members))
        if not 0 <= self.threshold <= 1:
            raise ConfigError(f"threshold is {self.threshold}; it must be between 0 and 1")

    def model(self, classes: int | None = None) -> ExpressionModel | ClassModel:
        """The model that adds the share of votes; there is nothing to fit.

        Args:
            classes: how many, where the members' columns are arrays: then each votes for its most
                probable class, the first of equals, and the threshold does not matter.
        """
        details: dict[str, Any] = {"method": "voting", "members": list(self.members)}
        details["threshold"] = self.threshold
        return _model(self.members, self._share, _vote, classes, details)

    def _share(self, members: Sequence[Expr]) -> Expr:
        votes = [when(m >= float(self.threshold), lit(1.0)).otherwise(lit(0.0)) for m in members]
        return total(votes) / float(len(members))


def _model(
    members: Sequence[str],
    combined: Callable[[Sequence[Expr]], Expr],
    says: Callable[[Sequence[Expr], int], Expr],
    classes: int | None,
    details: dict[str, Any],
) -> ExpressionModel | ClassModel:
    """One expression, or one for each class of what every member `says` of it."""
    columns = [col(name) for name in members]
    if classes is None:
        values = [column.cast("double") for column in columns]
        return ExpressionModel(expression=where_known(values, combined(values)), details=details)
    arrays = [[column.item(place).cast("double") for place in range(classes)] for column in columns]
    known = [value for array in arrays for value in array]
    found = (combined([says(array, number) for array in arrays]) for number in range(classes))
    return ClassModel(
        expressions=tuple(where_known(known, each) for each in found), details=details
    )


def _probability(probabilities: Sequence[Expr], number: int) -> Expr:
    return probabilities[number]


def _vote(probabilities: Sequence[Expr], number: int) -> Expr:
    """1 where a class is the first of the most probable ones, else 0."""
    own, vote = probabilities[number], lit(1.0)
    for place, other in enumerate(probabilities):
        if place != number:
            wins = own > other if place < number else own >= other
            vote = when(wins, vote).otherwise(lit(0.0))
    return vote


def _checked(members: tuple[str, ...]) -> tuple[str, ...]:
    if isinstance(members, str) or not members:
        raise ConfigError("members must be a list of one or more columns")
    if len(set(members)) < len(members):
        raise ConfigError(f"members {list(members)} name a column twice")
    return tuple(members)
