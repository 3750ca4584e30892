"""What methods over rows take: a DataFrame, or a snapshot of a table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from sparkmine.errors import ConfigError
from sparkmine.expr import Expr, to_column

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from sparkmine.lake import Snapshot


def as_frame(data: DataFrame | Snapshot, spark: SparkSession | None = None) -> DataFrame:
    """The rows as a DataFrame; a snapshot is read in `spark`, or else in the active session."""
    from pyspark.sql import DataFrame

    return data if isinstance(data, DataFrame) else data.dataframe(session_of(data, spark))


def session_of(data: DataFrame | Snapshot, spark: SparkSession | None = None) -> SparkSession:
    """The session of a DataFrame; for a snapshot `spark`, or else the active session."""
    from pyspark.sql import DataFrame, SparkSession

    if isinstance(data, DataFrame):
        return data.sparkSession
    session = spark or SparkSession.getActiveSession()
    if session is None:
        raise ConfigError("reading a snapshot needs a Spark session: open one, or pass spark=")
    return session


def part_of(data: DataFrame | Snapshot, condition: Expr) -> DataFrame | Snapshot:
    """The rows for which the condition is true; of a snapshot again a snapshot."""
    from pyspark.sql import DataFrame

    if isinstance(data, DataFrame):
        return data.where(to_column(condition))
    return data.where(condition)


def need_columns(data: DataFrame | Snapshot, names: Iterable[str]) -> None:
    """Raise ConfigError, with both lists, unless all `names` are columns of the data."""
    columns = data.schema.names
    missing = sorted(set(names) - set(columns))
    if missing:
        raise ConfigError(f"no column {', '.join(missing)}; the columns are {columns}")
