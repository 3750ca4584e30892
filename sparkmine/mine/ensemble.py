"""Ensembles: the predictions of several models as one.

`fit` makes one model of fitted ones, whatever they are, deep models included; `model` makes one
that combines predictions which are columns of a table already. Of two classes a column holds the
probability of class 1, of several an array with the probability of each, of a regression the
number. A row in which a member has no prediction (null or NaN) gets none from the ensemble.

Cost of a fit: for weights by validation one scoring of the rows by every member; else nothing is
read, but for several classes one row, which says how many there are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from sparkmine.errors import ConfigError
from sparkmine.expr import Expr, col, lit, when
from sparkmine.lake.inputs import as_frame
from sparkmine.mine.class_model import ClassModel
from sparkmine.mine.combined import CombinedModel
from sparkmine.mine.expression_model import ExpressionModel, total, where_known
from sparkmine.mine.members import classes_of, predictions
from sparkmine.mine.weights import choose_weights
from sparkmine.model import Model, Task

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from sparkmine.lake import Snapshot


@dataclass(frozen=True)
class Averaging:
    """Soft voting: the (weighted) mean of the members' probabilities, or numbers.

    Fields:
        members: a column of each member, or its name among the models of a fit.
        weights: one weight of 0 or more per member; None weighs all equally; "validation" for
            those that a fit finds best, see `weights.py`.
        task: what the members predict.
    """

    members: tuple[str, ...]
    weights: tuple[float, ...] | Literal["validation"] | None = None
    task: Task = "binary"

    def __post_init__(self) -> None:
        object.__setattr__(self, "members", _checked(self.members))
        if self.weights is None or self.weights == "validation":
            return
        weights = tuple(float(weight) for weight in self.weights)
        object.__setattr__(self, "weights", weights)
        if len(weights) != len(self.members):
            raise ConfigError(f"{len(weights)} weights for {len(self.members)} members")
        if not all(math.isfinite(w) and w >= 0 for w in weights) or not sum(weights):
            raise ConfigError(f"weights {weights} must be 0 or more, and not all 0")

    def fit(
        self,
        data: DataFrame | Snapshot,
        label: str,
        models: Mapping[str, Model],
        keys: Sequence[str] = (),
        spark: SparkSession | None = None,
    ) -> CombinedModel:
        """The members as one model; its combiner's details have the weights, and their loss.

        Args:
            data: rows to choose weights on: others than the members were trained on.
            label: what they predict; looked at for weights by validation only.
            models: the fitted members by name.
            keys: columns that name a row; of more than a million rows a sample is drawn by them.
            spark: session in which a snapshot is read; by default the active one.

        Raises:
            ConfigError: the models are not the members, or a column is missing.
            DataError: labels or predictions that no weights can be chosen on.
        """
        members = _of(self.members, models)
        classes = _classes(self.task, members, data, spark)
        if self.weights != "validation":
            return CombinedModel(combiner=self.model(classes), members=members)
        rows = predictions(members, as_frame(data, spark))
        chosen = choose_weights(rows, self.members, label, keys, self.task)
        combiner = replace(self, weights=chosen.weights).model(classes)
        losses = {"loss": {"weighted": chosen.loss, "equal": chosen.equal}}
        combiner = replace(combiner, details={**combiner.details, **losses})
        return CombinedModel(combiner=combiner, members=members)

    def model(self, classes: int | None = None) -> ExpressionModel | ClassModel:
        """The model that adds the mean of columns; there is nothing to fit.

        Args:
            classes: how many, where the members' columns are arrays.

        Raises:
            ConfigError: the weights are still to be found.
        """
        if self.weights == "validation":
            raise ConfigError("weights by validation are found by fit; give numbers, or None")
        details: dict[str, Any] = {"method": "averaging", "members": list(self.members)}
        details["weights"] = list(self._weights)
        return _model(self.members, self._mean, _probability, classes, details)

    @property
    def _weights(self) -> tuple[float, ...]:
        equal = (1.0,) * len(self.members)
        return self.weights if isinstance(self.weights, tuple) else equal

    def _mean(self, members: Sequence[Expr]) -> Expr:
        weighted = [m * w for m, w in zip(members, self._weights, strict=True)]
        return total(weighted) / sum(self._weights)


@dataclass(frozen=True)
class Voting:
    """Hard voting: the share of members that predict class 1, or each of several classes.

    Fields:
        members: a column of each member, or its name among the models of a fit.
        threshold: of two classes, a member votes for class 1 from this probability on.
        task: what the members predict; numbers are averaged.
    """

    members: tuple[str, ...]
    threshold: float = 0.5
    task: Literal["binary", "multiclass"] = "binary"

    def __post_init__(self) -> None:
        object.__setattr__(self, "members", _checked(self.members))
        if not 0 <= self.threshold <= 1:
            raise ConfigError(f"threshold is {self.threshold}; it must be between 0 and 1")
        if self.task not in ("binary", "multiclass"):
            raise ConfigError(f"task is {self.task}; classes are voted for, numbers are averaged")

    def fit(
        self,
        data: DataFrame | Snapshot,
        label: str,
        models: Mapping[str, Model],
        keys: Sequence[str] = (),
        spark: SparkSession | None = None,
    ) -> CombinedModel:
        """The members as one model. It takes what `Averaging.fit` takes; no label is looked at.

        Raises:
            ConfigError: the models are not the members.
        """
        members = _of(self.members, models)
        classes = _classes(self.task, members, data, spark)
        return CombinedModel(combiner=self.model(classes), members=members)

    def model(self, classes: int | None = None) -> ExpressionModel | ClassModel:
        """The model that adds the share of votes of columns; there is nothing to fit.

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


def _of(names: Sequence[str], models: Mapping[str, Model]) -> dict[str, Model]:
    """The models in the order of the members."""
    if set(models) != set(names):
        raise ConfigError(f"the models are {sorted(models)}, the members {sorted(names)}")
    return {name: models[name] for name in names}


def _classes(
    task: Task,
    members: Mapping[str, Model],
    data: DataFrame | Snapshot,
    spark: SparkSession | None,
) -> int | None:
    """How many classes there are; None unless there are several."""
    if task != "multiclass":
        return None
    return classes_of(predictions(members, as_frame(data, spark)), list(members))


def _checked(members: tuple[str, ...]) -> tuple[str, ...]:
    if isinstance(members, str) or not members:
        raise ConfigError("members must be a list of one or more columns")
    if len(set(members)) < len(members):
        raise ConfigError(f"members {list(members)} name a column twice")
    return tuple(members)
