"""A table at one version, as an immutable value.

`where` narrows a snapshot without copying anything: it drops files by their partition values
and statistics, and remembers the predicate, which every reader applies to the rows that are
left. Training, validation and test periods are three `where`s of one table.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from sparkmine.errors import RecipeError
from sparkmine.expr import Expr, evaluate, nodes, parse

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import DataType, StructType


@dataclass(frozen=True)
class DataFile:
    """One Parquet file of a snapshot. `partition` holds typed values, None for null."""

    path: str
    size: int
    rows: int | None
    partition: dict[str, Any]
    minimum: dict[str, Any]
    maximum: dict[str, Any]
    deletion_vector: bool = False


@dataclass(frozen=True)
class Snapshot:
    """Version `version` of the Delta table at `path`, narrowed by `predicate`."""

    path: str
    version: int
    schema_json: str
    partition_by: tuple[str, ...]
    features: frozenset[str]
    files: tuple[DataFile, ...]
    predicate: Expr | None = None

    @property
    def schema(self) -> StructType:
        from pyspark.sql.types import StructType

        return StructType.fromJson(json.loads(self.schema_json))

    @property
    def rows(self) -> int | None:
        """Rows by the files' statistics; None if unknown or if a predicate cuts into files."""
        if self.predicate is not None and not self.whole_files:
            return None
        counts = [file.rows for file in self.files]
        return None if None in counts else sum(c for c in counts if c is not None)

    @property
    def whole_files(self) -> bool:
        """True when the predicate is decided by partition values alone."""
        return self.predicate is None or self.predicate.columns <= set(self.partition_by)

    def where(self, predicate: str | Expr) -> Snapshot:
        """The rows for which `predicate` is true, as SQL text or an expression.

        Raises:
            RecipeError: the predicate names a column that the table lacks.
        """
        expr = parse(predicate) if isinstance(predicate, str) else predicate
        missing = sorted(expr.columns - set(self.schema.names))
        if missing:
            raise RecipeError(
                f"{self.path} has no column {missing[0]!r}; it has {self.schema.names}"
            )
        kept = _prune(expr, self)
        both = expr if self.predicate is None else self.predicate & expr
        return dataclasses.replace(self, files=kept, predicate=both)

    def dataframe(self, spark: SparkSession) -> DataFrame:
        """The snapshot as a Spark DataFrame, read through Delta."""
        from sparkmine.expr import to_column

        reader = spark.read.format("delta").option("versionAsOf", self.version)
        df = reader.load(self.path)
        return df if self.predicate is None else df.where(to_column(self.predicate))

    if not TYPE_CHECKING:  # to a type checker any attribute would be there

        def __getattr__(self, name):
            # People take it for a DataFrame, `model.transform(snapshot)` does so too.
            raise AttributeError(
                f"a snapshot has no {name!r}, it is no DataFrame: take snapshot.dataframe(spark), "
                "or model.score(snapshot, keep=[...]) in place of model.transform(df)"
            )


def typed(text: str | None, kind: DataType) -> Any:
    """A partition value or statistic, as Delta's log writes it, as a Python value."""
    from pyspark.sql import types as t

    if text is None:
        return None
    if isinstance(kind, t.ByteType | t.ShortType | t.IntegerType | t.LongType):
        return int(text)
    if isinstance(kind, t.FloatType | t.DoubleType):
        return float(text)
    if isinstance(kind, t.DecimalType):
        return decimal.Decimal(text)
    if isinstance(kind, t.BooleanType):
        return text == "true"
    if isinstance(kind, t.DateType):
        return datetime.date.fromisoformat(text)
    if isinstance(kind, t.TimestampType):
        moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
        return (
            moment.astimezone(datetime.UTC)
            if moment.tzinfo
            else moment.replace(tzinfo=datetime.UTC)
        )
    if isinstance(kind, t.TimestampNTZType):
        return datetime.datetime.fromisoformat(text)
    return text


def _prune(expr: Expr, snapshot: Snapshot) -> tuple[DataFile, ...]:
    kept = snapshot.files
    for conjunct in _conjuncts(expr):
        if conjunct.columns and conjunct.columns <= set(snapshot.partition_by):
            kept = _by_partition(conjunct, kept, snapshot)
        else:
            kept = tuple(file for file in kept if _may_match(conjunct, file))
    return kept


def _conjuncts(expr: Expr) -> list[Expr]:
    if isinstance(expr, nodes.Logic) and expr.op == "and":
        return [*_conjuncts(expr.left), *_conjuncts(expr.right)]
    return [expr]


def _by_partition(
    conjunct: Expr, files: tuple[DataFile, ...], snapshot: Snapshot
) -> tuple[DataFile, ...]:
    from pyspark.sql.pandas.types import to_arrow_type

    schema = snapshot.schema
    values = pa.table(
        {
            name: pa.array(
                [file.partition[name] for file in files], to_arrow_type(schema[name].dataType)
            )
            for name in conjunct.columns
        }
    )
    matches = evaluate(conjunct, values).to_pylist()
    return tuple(file for file, match in zip(files, matches, strict=True) if match)


def _may_match(conjunct: Expr, file: DataFile) -> bool:
    """False only when the file's minimum and maximum rule out every row."""
    if not isinstance(conjunct, nodes.Compare):
        return True
    match conjunct.left, conjunct.right:
        case nodes.Column(name), nodes.Literal(value):
            op = conjunct.op
        case nodes.Literal(value), nodes.Column(name):
            op = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}.get(conjunct.op, conjunct.op)
        case _:
            return True
    low, high = file.minimum.get(name), file.maximum.get(name)
    low, high, value = _comparable(low, high, value)
    if value is None:
        return True
    # A NaN, larger than every number, is not in Delta's maximum of a column.
    may_hold_nan = isinstance(high, float)
    if op in ("<", "<="):
        return bool(low < value or (op == "<=" and low == value))
    if op in (">", ">="):
        return may_hold_nan or bool(high > value or (op == ">=" and high == value))
    return bool(low <= value <= high)


def _comparable(low: Any, high: Any, value: Any) -> tuple[Any, Any, Any]:
    """The three values in one comparable type, or Nones."""
    number = (int, float)
    if isinstance(low, datetime.datetime | bool):
        return None, None, None  # statistics of timestamps are cut to milliseconds
    if isinstance(low, datetime.date) and isinstance(value, str):
        try:
            value = datetime.date.fromisoformat(value)
        except ValueError:
            return None, None, None
    if isinstance(low, number) and isinstance(high, number) and isinstance(value, number):
        # A statistic may be an integer's text for a double column; keep the type of the column.
        return low, high, value
    if low is not None and type(low) is type(high) is type(value):
        return low, high, value
    return None, None, None
