"""Stacking: a final estimator learns to combine members from their out-of-fold predictions.

Wolpert, "Stacked generalization" (Neural Networks 5, 1992). On each fold every member is trained on
the training rows and predicts the test rows, which it has not seen; these predictions are what the
final estimator learns from: of several classes the probability of each, of two that of class 1.
Then the members are fitted again on all rows. Members may be of any kind, deep ones included. Cost:
k + 1 fits of every member; those of scikit-learn are one Spark job together. The predictions go
from Spark to the final estimator, never through the driver.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Self

from sparkmine.errors import ConfigError
from sparkmine.expr import Expr
from sparkmine.lake.inputs import as_frame, part_of, session_of
from sparkmine.mine.members import predictions, predictions_here
from sparkmine.mine.scikit import ScikitLearn, fit_parts
from sparkmine.model import SCORES, Estimator, Model, Task
from sparkmine.selection.folds import Folds

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

    from sparkmine.lake import Snapshot

_FACTS = "stacking.json"


@dataclass(frozen=True, kw_only=True)
class Stacking:
    """Members, and the estimator that learns from their predictions.

    Fields:
        members: By names, which are the final estimator's features.
        final: Of the same task as the members.
        folds: On which the members predict what they have not seen.
        passthrough: Whether the final estimator sees the features of the members, too.
    """

    members: Mapping[str, Estimator]
    final: Estimator
    folds: Folds
    passthrough: bool = False

    def __post_init__(self) -> None:
        if not self.members:
            raise ConfigError("stacking needs one member or more")
        other = {name: one.task for name, one in self.members.items() if one.task != self.task}
        if other:
            raise ConfigError(f"the final estimator is for {self.task}, but members for {other}")

    @property
    def task(self) -> Task:
        """That of the final estimator."""
        return self.final.task

    def fit(
        self,
        train: DataFrame | Snapshot,
        features: Sequence[str],
        label: str,
        seed: int = 0,
        spark: SparkSession | None = None,
    ) -> StackedModel:
        """Fit members on folds, the final estimator, and members on all rows.

        Raises:
            ConfigError: a member is named like a column; what the members raise.
        """
        taken = sorted({*SCORES, *self.members} & set(train.schema.names))
        if taken:
            raise ConfigError(f"{', '.join(taken)} is a column of the rows; name members otherwise")
        session = session_of(train, spark)
        folds = self.folds.split(train, label, session)
        parts: list[Expr | None] = [*(fold.train for fold in folds), None]
        fits = [(member, part) for part in parts for member in self.members.values()]
        models = fit_each(fits, train, features, label, seed, session)
        size = len(self.members)
        by_part = [
            dict(zip(self.members, models[at : at + size], strict=True))
            for at in range(0, len(models), size)
        ]
        inputs = [*self.members, *(features if self.passthrough else ())]
        unseen = [
            predictions(fitted, as_frame(part_of(train, fold.test), session)).select(
                *(f"`{name}`" for name in (*inputs, label))
            )
            for fold, fitted in zip(folds, by_part[:-1], strict=True)
        ]
        rows = reduce(lambda one, other: one.unionAll(other), unseen)
        final = self.final.fit(rows, inputs, label, seed=seed, spark=session)
        return StackedModel(members=by_part[-1], final=final)


class StackedModel(Model):
    """Adds the scores that the final model makes of those of the members.

    Attributes:
        members: Fitted on all rows, by name.
        final: Fitted on the members' out-of-fold predictions.
    """

    def __init__(self, *, members: Mapping[str, Model], final: Model) -> None:
        self.members = dict(members)
        self.final = final

    def transform(self, df: DataFrame) -> DataFrame:
        """`df` with `prediction`, and of classes `probability`; null where a member has none.

        Raises:
            ConfigError: a column is called like a member, or like one that is added.
        """
        columns = [f"`{name}`" for name in df.columns]
        scored = self.final.transform(predictions(self.members, df))
        return scored.select(*columns, *(name for name in SCORES if name in scored.columns))

    def transform_arrow(self, table: pa.Table) -> pa.Table | None:
        inputs = predictions_here(self.members, table)
        scored = None if inputs is None else self.final.transform_arrow(inputs)
        if scored is None:
            return None
        added = [name for name in SCORES if name in scored.column_names]
        return scored.select([*table.column_names, *added])

    def _write(self, folder: Path) -> None:
        (folder / _FACTS).write_text(json.dumps({"members": list(self.members)}) + "\n")
        self.final.save(folder / "final")
        for number, model in enumerate(self.members.values()):
            model.save(folder / f"member-{number}")

    @classmethod
    def _read(cls, folder: Path) -> Self:
        names = json.loads((folder / _FACTS).read_text())["members"]
        members = {name: Model.load(folder / f"member-{n}") for n, name in enumerate(names)}
        return cls(members=members, final=Model.load(folder / "final"))


def fit_each(
    fits: Sequence[tuple[Estimator, Expr | None]],
    data: DataFrame | Snapshot,
    features: Sequence[str],
    label: str,
    seed: int,
    spark: SparkSession,
) -> list[Model]:
    """The models of estimators on parts of the rows, in their order; None is all rows."""
    models: dict[int, Model] = {}
    together: dict[str, list[int]] = {}
    for number, (estimator, part) in enumerate(fits):
        if isinstance(estimator, ScikitLearn):
            together.setdefault(estimator.precision, []).append(number)
        else:
            rows = data if part is None else part_of(data, part)
            models[number] = estimator.fit(rows, features, label, seed=seed, spark=spark)
    for numbers in together.values():
        some = [
            (estimator, part)
            for estimator, part in (fits[number] for number in numbers)
            if isinstance(estimator, ScikitLearn)
        ]
        found = fit_parts(some, data, features, label, seed, spark)
        models.update(zip(numbers, found, strict=True))
    return [models[number] for number in range(len(fits))]
