"""What the stage `explain` shows of the tables that it makes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from sparkmine.evaluate.explain import Importances

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# Rows with their reasons in the report: so many of either end.
SHOWN = 5


def ends(written: DataFrame, keys: Sequence[str]) -> pa.Table:
    """The rows with the highest predictions, and those with the lowest."""
    from pyspark.sql import functions as F

    written = written.where("prediction is not null")
    high = written.orderBy(F.col("prediction").desc(), *keys).limit(SHOWN)
    return high.union(written.orderBy("prediction", *keys).limit(SHOWN)).toArrow()


def ends_here(found: pa.Table, keys: Sequence[str]) -> pa.Table:
    """The same of reasons that are here."""
    found = found.filter(pc.is_valid(found.column("prediction")))
    by_key: list[tuple[str, str]] = [(key, "ascending") for key in keys]
    high, low = (
        found.take(pc.sort_indices(found, [("prediction", order), *by_key])[:SHOWN])
        for order in ("descending", "ascending")
    )
    return pa.concat_tables([high, low])


def importance_table(importances: Importances) -> pa.Table:
    """A row for each feature."""
    found: dict[str, list[Any]] = {
        "feature": [one.feature for one in importances.features],
        "columns": [list(one.columns) for one in importances.features],
        "importance": [one.importance for one in importances.features],
        "low": [one.low for one in importances.features],
        "high": [one.high for one in importances.features],
        "deviation": [one.deviation for one in importances.features],
        "rank": list(range(1, len(importances.features) + 1)),
    }
    kinds = {"columns": pa.list_(pa.string()), "rank": pa.int32()}
    kinds |= dict.fromkeys(("importance", "low", "high", "deviation"), pa.float64())
    return pa.table({name: pa.array(column, kinds.get(name)) for name, column in found.items()})
