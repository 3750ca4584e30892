"""What is learned of CSV files before their rows are read: headers, and values of several lines.

Spark takes the names of the first file that it meets, renames names that occur twice, and reads
the columns of the other files by their place. So the first record of every file is read here, by
the file systems and decompressors that Spark reads it with, and all must agree.

A quoted value may go over several lines. Told so, Spark reads each file by one task; not told so,
it takes the first line of the value for all of it. One pass over the lines as text finds out. It
also counts the lines of white space alone, which Spark leaves out, though some of them are rows.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sparkmine.clean.open_quotes import unclosed
from sparkmine.errors import ConfigError, DataError, SourceColumnsError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

_BYTES = 1 << 16
_LARGEST = 1 << 24
_LIMIT = threading.Lock()  # Python's is one for the whole process


class _LongRecord(ConfigError):
    """The first record is longer than `_LARGEST` bytes."""


def header(
    spark: SparkSession,
    files: Sequence[str],
    *,
    encoding: str,
    delimiter: str,
    quote: str,
    escape: str,
) -> list[str]:
    """The names that all files have in their first record, in its order; empty files have none.

    Raises:
        SourceColumnsError: files differ in names or order, or a name occurs twice; names the file.
        ConfigError: an encoding that Python does not know, or a header of more than 16 MiB.
    """
    found: list[str] = []
    first = ""
    dialect = _dialect(delimiter, quote, escape)
    for file in files:
        names = _record(spark, file, encoding, dialect)
        if names is None:
            continue
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise SourceColumnsError(
                f"{file}: its header has {twice[0]!r} more than once; give each column its name"
            )
        if first and names != found:
            raise SourceColumnsError(
                f"{first} and {file} have headers that differ in names or order: {found} and "
                f"{names}; read them by stages of their own, or write them again with one header"
            )
        found, first = names, first or file
    return found


def check_width(
    spark: SparkSession,
    files: Sequence[str],
    columns: int,
    *,
    encoding: str,
    delimiter: str,
    quote: str,
    escape: str,
) -> None:
    """Raise SourceColumnsError for a file without header whose first record has other columns.

    A record of more than 16 MiB is not looked at: Spark finds its width, as that of all others.
    """
    dialect = _dialect(delimiter, quote, escape)
    for file in files:
        try:
            record = _record(spark, file, encoding, dialect)
        except _LongRecord:
            continue
        if record is not None and len(record) != columns:
            raise SourceColumnsError(
                f"{file}: its first record has {len(record)} values, declared are {columns} "
                "columns; without a header `columns:` are all those of the file, in its order"
            )


@dataclass(frozen=True)
class Lines:
    """What is known of the lines of all files.

    Attributes:
        quoted: Whether a quoted value goes on in the next line; then no lines are counted.
        blank: Lines of white space alone that are no rows.
        rows: Those that are; see `blank_row`.
    """

    quoted: bool = False
    blank: int = 0
    rows: int = 0


def blank_row(columns: int, delimiter: str) -> Column:
    """Whether a line, `value`, is of white space alone and a row all the same.

    It is in a file of one column, where it is its value, and if the delimiter is white space.
    """
    from pyspark.sql import functions as F

    line = F.col("value")
    return _blank(line) & (F.lit(columns == 1) | F.contains(line, F.lit(delimiter)))


def _blank(line: Column) -> Column:
    return line.rlike(r"^[\x00-\x20]*$")  # what Java trims


def empty_lines(text: DataFrame, *, quote: str, escape: str) -> DataFrame:
    """The empty lines of files of one column that are in no quoted value.

    Args:
        text: The files, each as one `value`.
    """
    from pyspark.sql import functions as F

    q = re.escape(quote)
    rest = _unescaped(F.col("value"), quote, escape)
    rest = F.regexp_replace(rest, f"(?m)^{q}(?:[^{q}]++|{q}{q})*+{q}", "x")
    lines = F.split(F.regexp_replace(rest, r"(\r\n|\r|\n)\z", ""), r"\r\n|\r|\n")
    there = text.where("value <> ''").withColumn("value", F.explode(lines))
    return there.where("value = ''")


def _unescaped(text: Column, quote: str, escape: str) -> Column:
    """Without quotes that stand for themselves, unless they are written twice."""
    from pyspark.sql import functions as F

    if escape and escape != quote:
        for pair in (escape * 2, escape + quote):
            text = F.replace(text, F.lit(pair), F.lit(""))
    return text


def lines_of(text: DataFrame, columns: int, *, delimiter: str, quote: str, escape: str) -> Lines:
    """Look at all lines, once.

    Args:
        text: The lines of the files, as Spark's format `text` has them.
        columns: How many a line has.

    Raises:
        DataError: in a file with values of several lines a quote is not closed; names the file.
    """
    from pyspark.sql import functions as F

    found = text.select(
        F.input_file_name().alias("file"),
        _opened(F.col("value"), delimiter, quote, escape).alias("opened"),
        _blank(F.col("value")).alias("blank"),
        blank_row(columns, delimiter).alias("row"),
    )
    files = (
        found.groupBy("file")
        .agg(
            F.coalesce(F.bool_or("opened"), F.lit(False)).alias("opened"),
            F.count_if("blank").alias("blank"),
            F.count_if("row").alias("rows"),
        )
        .where("opened or blank > 0")
        .orderBy("file")
        .collect()
    )
    opened = [one.file for one in files if one.opened]
    if opened:
        value = _unescaped(F.col("value"), quote, escape)
        for file in unclosed(text, value, opened, delimiter=delimiter, quote=quote):
            raise DataError(
                f"{file}: a quoted value is not closed, so that it would take in the rows "
                f"after it; close it, or name another `quote` than {quote}"
            )
        return Lines(quoted=True)
    rows = sum(one.rows for one in files)
    return Lines(blank=sum(one.blank for one in files) - rows, rows=rows)


def _opened(line: Column, delimiter: str, quote: str, escape: str) -> Column:
    """Whether a line opens a quoted value that it does not close; null where it is not asked."""
    from pyspark.sql import functions as F

    if not quote:
        return F.lit(False)
    line = _unescaped(line, quote, escape)
    without = F.replace(line, F.lit(quote), F.lit(""))
    quotes = (F.octet_length(line) - F.octet_length(without)) / len(quote.encode())
    # Whole fields, and then one that begins with a quote and does not end. The pattern is for the
    # few lines with an odd number of quotes: of a very long value it would need a deep stack.
    d, q = re.escape(delimiter), re.escape(quote)
    field = f"(?:{q}(?:[^{q}]++|{q}{q})*+{q}|[^{q}{d}][^{d}]*+|)"
    return F.when(quotes % 2 == 1, line.rlike(f"^(?:{field}{d})*+{q}(?:[^{q}]++|{q}{q})*+$"))


def _dialect(delimiter: str, quote: str, escape: str) -> dict[str, Any]:
    """The same for Python's reader."""
    dialect: dict[str, Any] = {"delimiter": delimiter, "quotechar": quote or None}
    if not quote:
        dialect["quoting"] = csv.QUOTE_NONE
    elif escape and escape != quote:
        dialect.update(escapechar=escape, doublequote=False)
    return dialect


def _record(
    spark: SparkSession, file: str, encoding: str, dialect: dict[str, Any]
) -> list[str] | None:
    """The first record of a file; None if the file is empty."""
    wanted = _BYTES
    while wanted <= _LARGEST:
        raw, whole = _beginning(spark, file, wanted)
        try:
            decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
        except LookupError:
            raise ConfigError(f"there is no encoding {encoding!r}; write utf-8, say") from None
        text = decoder.decode(raw).removeprefix("\ufeff")
        if not text:
            return None
        lines = io.StringIO(text, newline="")
        record = _first(lines, dialect)
        # A record that ends where the bytes end may go on.
        if whole or lines.tell() < len(text):
            return record
        wanted *= 16
    raise _LongRecord(f"{file}: its first record is longer than {_LARGEST >> 20} MiB, no header")


def _first(lines: io.StringIO, dialect: dict[str, Any]) -> list[str] | None:
    """The first record. Blank lines before it are left out, as by Spark."""
    with _LIMIT:
        limit = csv.field_size_limit(_LARGEST)
        try:
            return next((one for one in csv.reader(lines, **dialect) if one), None)
        finally:
            csv.field_size_limit(limit)


def _beginning(spark: SparkSession, file: str, size: int) -> tuple[bytes, bool]:
    """The first `size` bytes, decompressed, and whether these are all."""
    jvm = spark.sparkContext._jvm
    assert jvm is not None
    conf = spark._jsparkSession.sessionState().newHadoopConf()
    path = jvm.org.apache.hadoop.fs.Path(jvm.java.net.URI(file))
    # Hadoop's own codec of .zst wants a native library, which Spark does without.
    streams = jvm.org.apache.spark.sql.execution.datasources.CodecStreams
    stream = streams.createInputStream(conf, path)
    try:
        raw = bytes(stream.readNBytes(size))
    finally:
        stream.close()
    return raw, len(raw) < size
