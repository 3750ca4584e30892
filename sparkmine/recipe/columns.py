"""What a recipe knows of a column: kind, cardinality and source, in the field's metadata."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sparkmine.stats.sparse import is_sparse_in_spark

if TYPE_CHECKING:
    from pyspark.sql.types import DataType, StructType

METADATA_KEY = "sparkmine"
NUMBER, TEXT, BOOLEAN, TIME = "number", "text", "boolean", "time"
VECTOR, ARRAY, OTHER = "vector", "array", "other"  # of numbers, of text
SPARK_VECTOR = "spark-vector"  # of pyspark.ml
SPARSE = "sparse"  # places and values, see stats/sparse.py
BUCKET, ONE_HOT, INDEX = "bucket", "one-hot", "index"


@dataclass(frozen=True)
class ColumnInfo:
    """One column of a schema.

    Attributes:
        kind: `number`, `text`, `boolean`, `time`, `bucket`, `one-hot`, `index`, `vector`, `array`
            (of text), `spark-vector` (of pyspark.ml), `sparse` (places and values) or `other`.
        cardinality: Number of distinct values, or length of a vector; None if unknown.
        source: Names of the columns it was made from; empty for a column of the table.
    """

    name: str
    kind: str
    cardinality: int | None = None
    source: tuple[str, ...] = field(default=())

    def metadata(self) -> dict[str, Any]:
        """The JSON object stored with the field."""
        value = {"kind": self.kind, "cardinality": self.cardinality, "source": list(self.source)}
        return {METADATA_KEY: value}


def columns_of(schema: StructType) -> list[ColumnInfo]:
    """The columns of a Spark schema, with what earlier recipes noted in their metadata."""
    found = []
    for item in schema.fields:
        noted = (item.metadata or {}).get(METADATA_KEY)
        if noted:
            found.append(
                ColumnInfo(item.name, noted["kind"], noted["cardinality"], tuple(noted["source"]))
            )
        else:
            found.append(ColumnInfo(item.name, _kind(item.dataType)))
    return found


def _kind(data_type: DataType) -> str:
    from pyspark.sql import types as t

    if isinstance(data_type, t.NumericType):
        return NUMBER
    if isinstance(data_type, t.StringType):
        return TEXT
    if isinstance(data_type, t.BooleanType):
        return BOOLEAN
    if isinstance(data_type, t.DateType | t.TimestampType | t.TimestampNTZType):
        return TIME
    if isinstance(data_type, t.ArrayType) and isinstance(data_type.elementType, t.NumericType):
        return VECTOR
    if isinstance(data_type, t.ArrayType) and isinstance(data_type.elementType, t.StringType):
        return ARRAY
    if isinstance(data_type, t.UserDefinedType) and data_type.simpleString() == "vector":
        return SPARK_VECTOR
    return SPARSE if is_sparse_in_spark(data_type) else OTHER
