"""Read a source with a declared schema: CSV, JSON lines, Parquet or Delta.

Text formats are read as text and cast by `try_cast`, so a value that does not fit becomes a
reason on its row and never a silent null. Columns are compared by name with the declared ones
before anything is read.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from sparkmine.clean.rules import REASON_TYPE, REASONS
from sparkmine.errors import ConfigError, SourceColumnsError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession
    from pyspark.sql.types import StructType

TEXT_FORMATS = ("csv", "json")
FORMATS = (*TEXT_FORMATS, "parquet", "delta")
CORRUPT = "_corrupt"
PATH = "_source"


def declared_schema(columns: Mapping[str, str]) -> StructType:
    """The Spark schema of declared columns, name to Spark SQL type.

    Raises:
        ConfigError: a type that Spark does not know; names the column.
    """
    from pyspark.errors import PySparkException
    from pyspark.sql.types import DataType, StructType

    schema = StructType()
    for name, text in columns.items():
        try:
            schema.add(name, DataType.fromDDL(text))
        except PySparkException as error:
            raise ConfigError(f"column {name!r}: {text!r} is no Spark SQL type") from error
    return schema


def read_source(
    spark: SparkSession,
    path: str,
    source_format: str,
    columns: Mapping[str, str],
    options: Mapping[str, str],
) -> DataFrame:
    """The declared columns, typed, with `_reasons` and `_source`, the file's name.

    Raises:
        SourceColumnsError: the source has other columns; both lists are shown.
        ConfigError: an unknown type.
    """
    schema = declared_schema(columns)
    if source_format in TEXT_FORMATS:
        return _typed(_text(spark, path, source_format, schema, options), schema)
    reader = spark.read.options(**options).format(source_format)
    return _native(reader.load(path), schema, path)


def _text(
    spark: SparkSession, path: str, kind: str, schema: StructType, options: Mapping[str, str]
) -> DataFrame:
    """All declared columns as text."""
    from pyspark.sql import functions as F
    from pyspark.sql.types import StringType, StructField, StructType

    if kind == "csv":
        found = spark.read.options(header="true", **options).csv(path).columns
        _compare(found, schema.names, path)
        as_text = StructType([StructField(name, StringType()) for name in [*found, CORRUPT]])
        reader = spark.read.options(header="true", mode="PERMISSIVE", enforceSchema="false")
        reader = reader.options(columnNameOfCorruptRecord=CORRUPT, **options)
        return reader.schema(as_text).csv(path).withColumn(PATH, F.input_file_name())
    as_text = StructType([StructField(name, StringType()) for name in [*schema.names, CORRUPT]])
    found = _json_keys(spark, path, options)
    _compare(found, schema.names, path)
    reader = spark.read.options(mode="PERMISSIVE", primitivesAsString="true", **options)
    reader = reader.options(columnNameOfCorruptRecord=CORRUPT)
    return reader.schema(as_text).json(path).withColumn(PATH, F.input_file_name())


@contextlib.contextmanager
def same_columns(path: str) -> Iterator[None]:
    """Name the mistake when, while its rows are read, one CSV file has another header."""
    try:
        yield
    except Exception as error:
        if "CSV header" not in str(error):
            raise
        raise SourceColumnsError(
            f"{path}: its files have headers that differ in names or order; "
            "read them by stages of their own, or write them again with one header"
        ) from error


def _json_keys(spark: SparkSession, path: str, options: Mapping[str, str]) -> list[str]:
    """The keys of all objects, in one pass; JSON lines have no header."""
    reader = spark.read.options(primitivesAsString="true", **options)
    found = reader.option("columnNameOfCorruptRecord", CORRUPT).json(path).columns
    return [name for name in found if name != CORRUPT]


def _compare(found: list[str], declared: list[str], path: str) -> None:
    if sorted(found) != sorted(declared):
        raise SourceColumnsError(
            f"{path} has columns {sorted(found)}, declared are {sorted(declared)}: "
            f"missing {sorted(set(declared) - set(found))}, "
            f"not declared {sorted(set(found) - set(declared))}; correct `columns:` or the source"
        )


def _typed(text: DataFrame, schema: StructType) -> DataFrame:
    """Cast every column; a value that does not fit is a reason on its row."""
    from pyspark.sql import functions as F

    def reason(rule: str, column: str) -> Column:
        return F.struct(F.lit(rule).alias("rule"), F.lit(column).alias("column"))

    reasons = [F.when(F.col(CORRUPT).isNotNull(), reason("unreadable row", ""))]
    for field in schema.fields:
        value = text[f"`{field.name}`"]
        cast = value.try_cast(field.dataType)
        rule = f"type {field.dataType.simpleString()}"
        reasons.append(F.when(value.isNotNull() & cast.isNull(), reason(rule, field.name)))
    found = F.array_compact(F.array(*reasons)).cast(REASON_TYPE)
    return text.withColumn(REASONS, found)


def good_rows(df: DataFrame, columns: Mapping[str, str]) -> DataFrame:
    """The rows without reasons, with the declared types."""
    from pyspark.sql import functions as F

    schema = declared_schema(columns)
    typed = (F.col(f"`{f.name}`").try_cast(f.dataType).alias(f.name) for f in schema.fields)
    return df.where(F.size(REASONS) == 0).select(*typed)


def _native(df: DataFrame, schema: StructType, path: str) -> DataFrame:
    """Typed formats: columns must have the declared names and types that fit without loss."""
    from pyspark.sql import functions as F

    _compare(df.columns, schema.names, path)
    for field in schema.fields:
        found = df.schema[field.name].dataType
        if found != field.dataType and not _widens(
            found.simpleString(), field.dataType.simpleString()
        ):
            raise SourceColumnsError(
                f"{path}: column {field.name!r} is {found.simpleString()}, declared is "
                f"{field.dataType.simpleString()}; correct `columns:` or the source"
            )
    name = F.input_file_name()
    return df.withColumn(PATH, name).withColumn(REASONS, F.array().cast(REASON_TYPE))


_ORDER = ("tinyint", "smallint", "int", "bigint")


def _widens(found: str, declared: str) -> bool:
    """True for casts that keep every value."""
    if found in _ORDER and declared in _ORDER:
        return _ORDER.index(found) <= _ORDER.index(declared)
    lossless = {
        ("float", "double"),
        ("int", "double"),
        ("date", "timestamp"),
        ("timestamp_ntz", "timestamp"),
    }
    return (found, declared) in lossless
