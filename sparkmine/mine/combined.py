"""Several fitted models and the expression that combines their predictions, saved as one model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Self

from sparkmine.errors import ModelError
from sparkmine.mine.class_model import ClassModel
from sparkmine.mine.expression_model import ExpressionModel
from sparkmine.mine.members import predictions, predictions_here
from sparkmine.model import SCORES, Model

if TYPE_CHECKING:
    import pyarrow as pa
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
        """`df` with `prediction`, and of several classes `probability`.

        Null where a member has none.

        Raises:
            ConfigError: a column is called like a member, or like one that is added.
        """
        columns = [f"`{name}`" for name in df.columns]
        scored = self.combiner.transform(predictions(self.members, df))
        return scored.select(*columns, *(name for name in SCORES if name in scored.columns))

    def transform_arrow(self, table: pa.Table) -> pa.Table | None:
        inputs = predictions_here(self.members, table)
        if inputs is None:
            return None
        found = self.combiner.transform_arrow(inputs)
        added = [name for name in SCORES if name in found.column_names]
        return found.select([*table.column_names, *added])

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
