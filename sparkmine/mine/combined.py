"""Several fitted models and the expression that combines their predictions, saved as one model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Self

from sparkmine.mine.expression_model import ExpressionModel
from sparkmine.model import Model

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_MEMBERS = "members.json"


class CombinedModel(Model):
    """An ensemble that scores rows by itself: it holds its members.

    Attributes:
        combiner: An expression over the columns named like the members.
        members: Models by name, in order.
    """

    def __init__(self, *, combiner: ExpressionModel, members: Mapping[str, Model]) -> None:
        self.combiner = combiner
        self.members = dict(members)

    def transform(self, df: DataFrame) -> DataFrame:
        columns = df.columns
        for name, model in self.members.items():
            df = model.transform(df).withColumnRenamed("prediction", name)
            # A model may add more than its prediction; the next must not see it.
            df = df.select(*columns, *(n for n in self.members if n in df.columns))
        return self.combiner.transform(df).select(*columns, self.combiner.output)

    def _write(self, folder: Path) -> None:
        (folder / _MEMBERS).write_text(json.dumps(list(self.members)) + "\n")
        self.combiner.save(folder / "combiner")
        for number, model in enumerate(self.members.values()):
            model.save(folder / f"member-{number}")

    @classmethod
    def _read(cls, folder: Path) -> Self:
        names = json.loads((folder / _MEMBERS).read_text())
        members = {name: Model.load(folder / f"member-{i}") for i, name in enumerate(names)}
        return cls(combiner=ExpressionModel.load(folder / "combiner"), members=members)
