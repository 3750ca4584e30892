"""Contributions of features to predictions as columns of a table: numbers by name, and in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sparkmine.evaluate.explain.features import Feature, words
from sparkmine.evaluate.metrics import Floats

if TYPE_CHECKING:
    from pyspark.sql.types import StructType

# The name of all features that are not looked at one by one.
OTHERS = "other columns"
# What rounding leaves of no contribution.
_NOTHING = 1e-12


def texts_of(players: Sequence[Feature], rows: pa.Table) -> list[list[str]]:
    """Each feature of each row in words; a column `_shown_FEATURE` stands in for the feature's."""
    found = []
    for player in players:
        shown = f"_shown_{player.name}"
        if shown in rows.column_names:
            texts = [words(value) for value in rows.column(shown).to_pylist()]
        else:
            texts = [player.text(rows, row) for row in range(rows.num_rows)]
        found.append([f"{player.name} {text}".rstrip() for text in texts])
    return [list(row) for row in zip(*found, strict=True)]


@dataclass(frozen=True, kw_only=True)
class Told:
    """How contributions are told.

    Fields:
        names: of the features, in the order of the contributions.
        top: features that are named for each row.
    """

    task: str
    names: tuple[str, ...]
    top: int

    def columns(
        self,
        outputs: Floats,
        parts: Floats,
        expected: Floats,
        texts: Sequence[Sequence[str]],
    ) -> dict[str, pa.Array]:
        """The columns that `added` names.

        Args:
            outputs: [n, k] the model's numbers; NaN where it gave none.
            parts: [n, d] contributions to the output that `chosen` says.
            expected: [k] what they start from.
            texts: [n][d] the features in words.
        """
        known = np.isfinite(outputs).all(axis=1) & np.isfinite(parts).all(axis=1)
        which = chosen(outputs)
        found: dict[str, pa.Array] = {}
        if self.task == "multiclass":
            found["class"] = pa.array(which, pa.int32(), mask=~known)
        predicted = np.take_along_axis(outputs, which[:, None], axis=1)[:, 0]
        found["prediction"] = pa.array(predicted, pa.float64(), mask=~known)
        found["expected"] = pa.array(expected[which], pa.float64(), mask=~known)
        rows = range(len(parts))
        reasons = [self._reasons(texts[row], parts[row]) if known[row] else None for row in rows]
        found["reasons"] = pa.array(reasons, pa.list_(pa.string()))
        by_name = [
            list(zip(self.names, part, strict=True)) if known[row] else None
            for row, part in enumerate(parts.tolist())
        ]
        found["contributions"] = pa.array(by_name, pa.map_(pa.string(), pa.float64()))
        return found

    def _reasons(self, texts: Sequence[str], parts: Floats) -> list[str]:
        number = "+.4g" if self.task == "regression" else "+.3f"
        named = [
            f"{texts[place]} ({parts[place]:{number}})"
            for place in np.argsort(-np.abs(parts), kind="stable")
            if self.names[place] != OTHERS and abs(parts[place]) > _NOTHING
        ]
        return named[: self.top]


def chosen(outputs: Floats) -> npt.NDArray[np.intp]:
    """The output [n] that is explained: of several classes the most probable one."""
    found: npt.NDArray[np.intp] = np.nan_to_num(outputs, nan=0.0).argmax(axis=1)
    return found


def added(task: str) -> StructType:
    """The schema of what is told of a row."""
    from pyspark.sql import types as t

    fields: list[Any] = [t.StructField("class", t.IntegerType())] if task == "multiclass" else []
    return t.StructType(
        [
            *fields,
            t.StructField("prediction", t.DoubleType()),
            t.StructField("expected", t.DoubleType()),
            t.StructField("reasons", t.ArrayType(t.StringType())),
            t.StructField("contributions", t.MapType(t.StringType(), t.DoubleType())),
        ]
    )
