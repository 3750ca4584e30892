"""What documents have to be: rows with a text, and an id that is theirs alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sparkmine.errors import ConfigError, DataError
from sparkmine.lake.inputs import need_columns

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.types import StructType

_ID_TYPES = frozenset(
    {"string", "tinyint", "smallint", "int", "bigint", "date", "timestamp", "timestamp_ntz"}
)


def checked(df: DataFrame, id: str, text: str) -> DataFrame:
    """[id, text] of `df`, if their types will do."""
    need_columns(df, [id, text])
    check_schema(df.schema, id, text)
    return df.select(id, text)


def check_schema(schema: StructType, id: str, text: str) -> None:
    """Raise ConfigError unless these are the columns of documents."""
    if id == text:
        raise ConfigError(f"id and text are both {id!r}")
    kinds = {f.name: f.dataType.simpleString().split("(")[0] for f in schema.fields}
    if kinds[text] != "string":
        raise ConfigError(
            f"column {text!r} has type {kinds[text]}, and near copies are found in strings: "
            "cast it, or name another column"
        )
    check_id(schema, id)


def check_id(schema: StructType, id: str) -> None:
    """Raise ConfigError unless the column's type can name rows."""
    kind = schema[id].dataType.simpleString().split("(")[0]
    if kind not in _ID_TYPES:
        raise ConfigError(
            f"column {id!r} has type {kind}; an id is one of {', '.join(sorted(_ID_TYPES))}"
        )


def null_ids(id: str, rows: int) -> DataError:
    """Rows have no id."""
    return DataError(f"column {id!r} is null in {rows} rows; give each row an id")


def repeated_ids(id: str, values: int, example: Any) -> DataError:
    """Rows have one id."""
    return DataError(
        f"column {id!r} is no id: {values} values are in several rows, such as {example!r}; "
        "give each row its own, or remove repeated rows by sparkmine.dedup.exact"
    )


def check_distinct(rows: DataFrame, id: str) -> None:
    """Raise DataError if an id is there twice; hashes alone do not prove it."""
    twice = rows.groupBy(id).count().where("count > 1")
    count = twice.count()
    if count:
        example = twice.orderBy(id).first()
        assert example is not None
        raise repeated_ids(id, count, example[0])
