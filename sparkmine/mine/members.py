"""What several models say of the same rows, side by side: what ensembles and stacks combine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING

from sparkmine.errors import ConfigError, DataError
from sparkmine.expr.columns import free, quoted
from sparkmine.model import SCORES, Model

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame


def predictions(members: Mapping[str, Model], df: DataFrame) -> DataFrame:
    """`df` with a column of predictions for each member, called like it.

    Of several classes it holds the probability of each.

    Raises:
        ConfigError: there is such a column.
    """
    columns = df.columns
    taken = sorted({*SCORES, *members} & set(columns))
    if taken:
        raise ConfigError(f"the table already has {', '.join(taken)}; drop or rename it first")
    # Under names that no model looks for: a member may be an ensemble, of members called alike.
    own = free(columns, "member")
    hidden = {name: f"{own}_{number}" for number, name in enumerate(members)}
    kept = [quoted(column) for column in columns]
    for name, model in members.items():
        # A model may add more than its prediction; the next must not see it.
        scored = model.transform(df)
        df = scored.withColumnRenamed(_score(scored.columns), hidden[name])
        kept.append(hidden[name])
        df = df.select(*kept)
    return df.withColumnsRenamed({column: name for name, column in hidden.items()})


def predictions_here(members: Mapping[str, Model], table: pa.Table) -> pa.Table | None:
    """The same of an Arrow table in this process; None where a member takes Spark."""
    inputs = table
    for name, model in members.items():
        scored = model.transform_arrow(table)
        if scored is None:
            return None
        inputs = inputs.append_column(name, scored.column(_score(scored.column_names)))
    return inputs


def classes_of(rows: DataFrame, members: Sequence[str]) -> int:
    """How many classes the members' columns are probabilities of.

    Cost: rows are read until every member has scored one.

    Raises:
        ConfigError: a column has no probabilities, or they differ.
        DataError: there is no row that all members score.
    """
    from pyspark.sql import functions as F
    from pyspark.sql.types import ArrayType

    for name in members:
        if not isinstance(rows.schema[name].dataType, ArrayType):
            raise ConfigError(f"the member {name} has no probabilities of classes")
    columns = [F.col(f"`{name}`") for name in members]
    known = reduce(lambda one, other: one & other, (column.isNotNull() for column in columns))
    found = rows.where(known).select(*(F.size(column) for column in columns)).first()
    if found is None:
        raise DataError(f"there is no row that all members score ({', '.join(members)})")
    if len(set(found)) > 1:
        sizes = ", ".join(f"{name} {size}" for name, size in zip(members, found, strict=True))
        raise ConfigError(f"the members know different numbers of classes: {sizes}")
    return int(found[0])


def _score(columns: Sequence[str]) -> str:
    """What a model says of a row: the probabilities of several classes, else its prediction."""
    return next(name for name in reversed(SCORES) if name in columns)
