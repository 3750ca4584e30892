"""Read a source with a declared schema: CSV, JSON lines, JDBC, Parquet or Delta.

The first three are read as text and cast by `try_cast` (`values.py`), so a value that does not fit
becomes a reason on its row and never a silent null. Columns are compared by name with the declared
ones before anything is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparkmine.clean.parquet_files import from_parquet_files
from sparkmine.clean.rules import REASON_TYPE, reason
from sparkmine.clean.text_sources import (
    CORRUPT,
    check_encoding,
    compare,
    from_csv_files,
    from_database,
    from_json_lines,
)
from sparkmine.clean.values import (
    Columns,
    check_formats,
    column_formats,
    declared_schema,
    typed,
)
from sparkmine.errors import SourceColumnsError
from sparkmine.expr.columns import free, quoted

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession
    from pyspark.sql.types import StructType

TEXT_FORMATS = ("csv", "json", "jdbc")
FORMATS = (*TEXT_FORMATS, "parquet", "delta")
SOURCE_KEY = "sparkmine source"  # of a field's metadata

_ENCODING = ("encoding", "charset")  # Spark's names of the option, in any case
# What Java puts where bytes are no text in the declared encoding.
_REPLACEMENT = "\ufffd"


@dataclass(frozen=True)
class Read:
    """A source as it was read.

    Attributes:
        rows: The source's columns, of text formats as text; and the two that follow.
        columns: The names of the source's columns; of text formats `_corrupt` is among them.
        reasons, source: The names of two more columns of `rows`: why a row is bad, and the file's
            name or the JDBC table. They are `_reasons` and `_source`, or others if the source has
            columns called so.
    """

    rows: DataFrame
    columns: tuple[str, ...]
    reasons: str
    source: str


def read_source(
    spark: SparkSession,
    path: str,
    source_format: str,
    columns: Columns,
    options: Mapping[str, str],
    *,
    has_header: bool = True,
    allow_new_columns: bool = False,
    skipped: dict[str, int] | None = None,
) -> Read:
    """The declared columns, with the reasons of bad rows, and where each row is from.

    Args:
        options: Of Spark's reader. `encoding` is one that Java and Python both know.
            Folders called `NAME=VALUE` below `path` are columns of text.
        has_header: Of CSV: False where the first line is a row; then `columns` are in the order of
            the file.
        allow_new_columns: Columns beyond the declared ones come along, as text from text formats;
            else they are refused.
        skipped: Takes what is left out and is no row: how many `blank lines` of CSV.

    Raises:
        SourceColumnsError: the source has other columns; both lists are shown.
        ConfigError: an unknown type, format or encoding.
        DataError: a CSV file in which a quote is not closed, a damaged Parquet file.
    """
    schema = declared_schema(columns)
    if source_format not in TEXT_FORMATS:
        if source_format == "parquet":
            df = from_parquet_files(spark, path, options, schema.names, allow_new_columns)
        else:
            df = spark.read.options(**options).format(source_format).load(path)
        return _native(df, schema, path, allow_new_columns)
    check_formats(spark, columns)
    given = {"encoding" if n.lower() in _ENCODING else n: value for n, value in options.items()}
    wide = False
    if source_format != "jdbc":
        wide = check_encoding(spark, given.get("encoding", "UTF-8"), source_format)
    if source_format == "csv":
        text = from_csv_files(spark, path, given, schema.names, allow_new_columns, has_header, wide)
        if text.blank and skipped is not None:
            skipped["blank lines"] = text.blank
    elif source_format == "json":
        text = from_json_lines(spark, path, given, schema.names, allow_new_columns)
    else:
        text = from_database(spark, path, given, schema.names, allow_new_columns)
    found = text_reasons([n for n in text.rows.columns if n != text.path], columns)
    return _read(text.rows, text.path, found)


def _read(rows: DataFrame, source: str, found: Column) -> Read:
    reasons = free(rows.columns, "reasons")
    columns = tuple(name for name in rows.columns if name != source)
    return Read(rows.withColumn(reasons, found), columns, reasons, source)


def text_reasons(names: Iterable[str], columns: Columns) -> Column:
    """The reasons of rows of text: those that could not be read, and values that do not fit.

    `names` are the row's columns.
    """
    from pyspark.sql import functions as F

    schema, formats = declared_schema(columns), column_formats(columns)
    corrupt = F.col(CORRUPT).isNotNull()
    reasons = [F.when(corrupt, reason("unreadable row", ""))]
    for name in names:
        if name == CORRUPT:
            continue
        value = F.col(quoted(name))
        bytes_ = F.contains(value, F.lit(_REPLACEMENT))
        reasons.append(F.when(bytes_, reason("invalid bytes", name)))
        if name in formats:
            field = schema[name]
            rule = f"type {field.dataType.simpleString()}"
            unfit = value.isNotNull() & typed(value, field.dataType, formats[name]).isNull()
            # Of a row that could not be read, its parts say nothing.
            reasons.append(F.when(unfit & ~corrupt, reason(rule, name)))
    return F.array_compact(F.array(*reasons)).cast(REASON_TYPE)


def source_column(schema: StructType) -> str | None:
    """The column that says of what file a row is; see `good_rows`."""
    named = (field.name for field in schema.fields if SOURCE_KEY in (field.metadata or {}))
    return next(named, None)


def good_rows(read: Read, columns: Columns, source: str | None = None) -> DataFrame:
    """The rows without reasons, with the declared types; new columns as they are, at the end.

    Args:
        source: A column to add, that says where each row is from. The field's metadata say what it
            is, so that the stages after it know.
    """
    from pyspark.sql import functions as F

    if source and source.lower() in (name.lower() for name in read.columns):
        raise SourceColumnsError(f"the source has a column {source!r}; name another source_column")
    path = [F.col(read.source).alias(source, metadata={SOURCE_KEY: True})] if source else []
    good = read.rows.where(F.size(read.reasons) == 0)
    new = [n for n in read.columns if n not in (*columns, CORRUPT)]
    if CORRUPT in read.columns:
        return good.select(*typed_values(columns, [*columns, *new]), *path)
    kinds = declared_schema(columns)
    cast = (F.col(quoted(f.name)).try_cast(f.dataType).alias(f.name) for f in kinds.fields)
    return good.select(*cast, *map(quoted, new), *path)


def typed_values(columns: Columns, names: Sequence[str]) -> list[Column]:
    """The columns `names` of rows of text; as text those that are not declared."""
    from pyspark.sql import functions as F

    schema, formats = declared_schema(columns), column_formats(columns)
    return [
        (
            typed(F.col(quoted(name)), schema[name].dataType, formats[name])
            if name in formats
            else F.col(quoted(name))
        ).alias(name)
        for name in names
    ]


def _native(df: DataFrame, schema: StructType, path: str, allow_new: bool) -> Read:
    """Typed formats: columns must have the declared names and types that fit without loss."""
    from pyspark.sql import functions as F

    compare(df.columns, schema.names, path, allow_new)
    for field in schema.fields:
        found = df.schema[field.name].dataType
        if found != field.dataType and not _widens(
            found.simpleString(), field.dataType.simpleString()
        ):
            raise SourceColumnsError(
                f"{path}: column {field.name!r} is {found.simpleString()}, declared is "
                f"{field.dataType.simpleString()}; correct `columns:` or the source"
            )
    source = free(df.columns, "source")
    return _read(df.withColumn(source, F.input_file_name()), source, F.array().cast(REASON_TYPE))


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
