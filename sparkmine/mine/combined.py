"""Several fitted models and the expression that combines their predictions, saved as one model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pyarrow as pa

from sparkmine.errors import ModelError
from sparkmine.mine.class_model import ClassModel
from sparkmine.mine.expression_model import ExpressionModel
from sparkmine.model import SCORES, Model

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_MEMBERS = "members.json"


class CombinedModel(Model):
    """An ensemble that scores rows by itself: it holds its members.

    Attributes:
        combiner: Expressions over the columns named like the members, which are the probabilities
            of several classes where a member has them, else its prediction.
        members: Models by name, in order.
    """

    def __init__(
        self, *, combiner: ExpressionModel | ClassModel, members: Mapping[str, Model]
    ) -> None:
        self.combiner = combiner
        self.members = dict(members)

    def transform(self, df: DataFrame) -> DataFrame:
        columns = df.columns
        for name, model in self.members.items():
            df = model.transform(df)
            score = next(one for one in reversed(SCORES) if one in df.columns)
            # A model may add more than its score; the next must not see it.
            kept = [*columns, *(n for n in self.members if n in df.columns)]
            df = df.withColumnRenamed(score, name).select(*kept, name)
        df = self.combiner.transform(df)
        return df.select(*columns, *(score for score in SCORES if score in df.columns))

    def transform_arrow(self, table: pa.Table) -> pa.Table | None:
        columns = table.column_names
        inputs = table
        for name, model in self.members.items():
            scored = model.transform_arrow(table)
            if scored is None:
                return None
            score = next(one for one in reversed(SCORES) if one in scored.column_names)
            inputs = inputs.append_column(name, scored.column(score))
        found = self.combiner.transform_arrow(inputs)
        return found.select([*columns, *(one for one in SCORES if one in found.column_names)])

    def _write(self, folder: Path) -> None:
        (folder / _MEMBERS).write_text(json.dumps(list(self.members)) + "\n")
        self.combiner.save(folder / "combiner")
        for number, model in enumerate(self.members.values()):
            model.save(folder / f"member-{number}")

    @classmethod
    def _read(cls, folder: Path) -> Self:
        names = json.loads((folder / _MEMBERS).read_text())
        members = {name: Model.load(folder / f"member-{i}") for i, name in enumerate(names)}
        combiner = Model.load(folder / "combiner")
        if not isinstance(combiner, ExpressionModel | ClassModel):
            raise ModelError(f"{folder / 'combiner'} combines nothing; fit the ensemble again")
        return cls(combiner=combiner, members=members)
