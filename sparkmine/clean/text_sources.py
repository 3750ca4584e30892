"""CSV, JSON lines and database tables as columns of text.

Columns are compared by name with the declared ones before anything is read. A row that could not be
read has its text in `_corrupt`, a name that the quarantine keeps and no source may have.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sparkmine.clean.csv_files import (
    Lines,
    blank_row,
    check_width,
    empty_lines,
    header,
    lines_of,
)
from sparkmine.errors import ConfigError, SourceColumnsError
from sparkmine.expr.columns import free, quoted

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession
    from pyspark.sql.types import StructType

CORRUPT = "_corrupt"

# A quote within a value, or one that is not closed, is no value.
_CSV = {"unescapedQuoteHandling": "RAISE_ERROR"}
# Jackson, which reads JSON for Spark, refuses very long texts unless told otherwise.
JSON_TEXT = {"primitivesAsString": "true", "maxStringLen": str(2**31 - 1)}
# Line ends of these are no single bytes, by which Spark splits files. So Java calls them.
_WIDE = ("utf-16", "utf-32")
# Which files are read, and of which folders the names have columns.
_LISTING = {
    *("basepath", "recursivefilelookup", "pathglobfilter", "modifiedbefore", "modifiedafter"),
    *("ignoremissingfiles", "ignorecorruptfiles"),
}


@dataclass(frozen=True)
class Text:
    """Rows of text.

    Attributes:
        rows: The columns of the source, `_corrupt`, and `path`.
        path: The name of the column that has the file's name or the JDBC table; the source has no
            such column.
        blank: Lines that are no rows.
    """

    rows: DataFrame
    path: str
    blank: int = 0

    @classmethod
    def of(cls, rows: DataFrame, value: Column, blank: int = 0) -> Text:
        path = free(rows.columns, "source")
        return cls(rows.withColumn(path, value), path, blank)


def from_csv_files(
    spark: SparkSession,
    path: str,
    options: dict[str, str],
    declared: list[str],
    allow_new: bool,
    has_header: bool,
    wide: bool,
) -> Text:
    """All columns as text, by the header that all files have or by their place.

    `wide` is what `check_encoding` says.
    """
    from pyspark.sql import functions as F

    # RFC 4180: a quote within quotes is written twice.
    options = {"escape": options.get("quote", '"'), "encoding": "UTF-8", **options}
    encoding, escape = options["encoding"], options["escape"]
    delimiter = options.get("sep", options.get("delimiter", ","))
    quote = options.get("quote", '"')
    listing = {name: value for name, value in options.items() if name.lower() in _LISTING}
    with _folders(path):
        raw = spark.read.options(**listing).format("text").load(path)
    folders, files = raw.columns[1:], sorted(raw.inputFiles())
    dialect = {"encoding": encoding, "delimiter": delimiter, "quote": quote, "escape": escape}
    if has_header:
        found = header(spark, files, **dialect)
    else:
        found = [name for name in declared if name not in folders]
        check_width(spark, files, len(found), **dialect)
    check_folders(found, folders, path)
    if found:
        compare([*found, *folders], declared, path, allow_new)
    in_files = found or [name for name in declared if name not in folders]
    lines = Lines(quoted=True)  # or taken for it: of these, no lines are seen from outside
    if not wide:
        lines = lines_of(raw, len(in_files), delimiter=delimiter, quote=quote, escape=escape)
    reader = spark.read.options(header=str(has_header).lower(), mode="PERMISSIVE", **options)
    reader = reader.options(columnNameOfCorruptRecord=CORRUPT, **_CSV)
    reader = reader.option("multiLine", str(lines.quoted).lower())
    # What follows `_corrupt` is in no line: `again.py` counts on it.
    rows = reader.schema(as_text([*in_files, CORRUPT, *folders])).csv(path)
    text = Text.of(rows, F.input_file_name(), lines.blank)
    whole = lines.quoted and not wide and len(in_files) == 1
    if whole or lines.rows:
        # Names of folders as text, which Spark would guess the types of.
        again = spark.read.options(**listing, wholetext=str(whole).lower())
        same = again.schema(as_text(["value", *folders])).format("text").load(path)
        if whole:
            blank = empty_lines(same, quote=quote, escape=escape)
        else:
            blank = same.where(blank_row(len(in_files), delimiter))
        more = _blank_rows(blank, in_files, folders, options)
        text = replace(text, rows=text.rows.unionByName(more.toDF(*text.rows.columns)))
    return text


def _blank_rows(
    lines: DataFrame, names: Sequence[str], folders: Sequence[str], options: Mapping[str, str]
) -> DataFrame:
    """The rows of lines that Spark's reader leaves out; an empty line is one of nulls.

    Their columns are `names`, `_corrupt`, `folders` and the file.
    """
    from pyspark.sql import functions as F

    row, file = free(folders, "row"), free(folders, "file")
    parsed = F.when(F.col("value") != "", _parsed_csv("value", names, options)).alias(row)
    text = lines.select(parsed, *map(quoted, folders), F.input_file_name().alias(file))
    return text.select(
        *(F.col(f"{row}.{quoted(name)}").alias(name) for name in (*names, CORRUPT)),
        *map(quoted, folders),
        file,
    )


def from_json_lines(
    spark: SparkSession, path: str, options: dict[str, str], declared: list[str], allow_new: bool
) -> Text:
    """All keys as text, which one more pass finds; JSON lines have no header."""
    from pyspark.sql import functions as F

    options = {**JSON_TEXT, "columnNameOfCorruptRecord": CORRUPT, **options}
    if options.get("encoding", "utf-8").lower() != "utf-8":
        options.setdefault("lineSep", "\n")  # Spark wants to be told, of other encodings
    with _folders(path):
        # So that what cannot be read is no column: `_corrupt` is one if an object has it.
        found = spark.read.options(mode="DROPMALFORMED", **options).json(path).columns
    compare(found, declared, path, allow_new)
    reader = spark.read.options(mode="PERMISSIVE", **options)
    text = reader.schema(as_text([*dict.fromkeys([*declared, *found]), CORRUPT])).json(path)
    return Text.of(text, F.input_file_name())


def from_database(
    spark: SparkSession, url: str, options: dict[str, str], declared: list[str], allow_new: bool
) -> Text:
    """All columns as the driver writes them as text: drivers make a 0 of a number that is none."""
    from pyspark.sql import functions as F

    reader = spark.read.format("jdbc").options(url=url, **options)
    found = reader.load().columns
    compare(found, declared, url, allow_new)
    as_text = ", ".join(f"{quoted(name)} STRING" for name in found)
    text = reader.option("customSchema", as_text).load()
    place = f"{url} {options.get('dbtable', options.get('query', ''))}"
    return Text.of(text.withColumn(CORRUPT, F.lit(None).cast("string")), F.lit(place))


@contextlib.contextmanager
def _folders(path: str) -> Iterator[None]:
    """Say what to do where the names of folders are no columns."""
    from pyspark.errors import PySparkException

    try:
        yield
    except PySparkException as error:
        if not str(error.getCondition()).startswith("CONFLICTING_"):
            raise
        raise SourceColumnsError(
            f"{path}: its folders called NAME=VALUE are not of the same columns, or it is not "
            "plain where they begin; correct source.path, or set source.options.basePath"
        ) from None


def check_encoding(spark: SparkSession, encoding: str, source_format: str) -> bool:
    """Whether a character has two bytes or four in the encoding, under whatever name.

    Raises:
        ConfigError: Java does not know it, or cannot find lines in it.
    """
    from pyspark.errors import IllegalArgumentException

    jvm: Any = spark.sparkContext._jvm
    charset = jvm.java.nio.charset.Charset
    try:
        known = charset.isSupported(encoding)
    except IllegalArgumentException:  # no name that an encoding can have
        known = False
    if not known:
        raise ConfigError(f"there is no encoding {encoding!r}; write utf-8, say")
    name = charset.forName(encoding).name().lower()
    if source_format == "json" and name in _WIDE:
        # Files are split at line ends, and beyond its beginning none tells its byte order.
        raise ConfigError(
            f"JSON lines in {encoding} are read only if the byte order is in the name; write "
            f"{name.upper()}LE (little endian, as Windows writes) or {name.upper()}BE"
        )
    return any(wide in name for wide in _WIDE)


def as_text(names: Sequence[str]) -> StructType:
    """A schema of texts."""
    from pyspark.sql.types import StringType, StructField, StructType

    return StructType([StructField(name, StringType()) for name in names])


def check_folders(found: Sequence[str], folders: Sequence[str], path: str) -> None:
    """Raise SourceColumnsError for a column of files that the names of their folders have too."""
    twice = sorted(set(found) & set(folders))
    if twice:
        raise SourceColumnsError(
            f"{path}: column {twice[0]!r} is in the files and in the names of their folders; take "
            "it out of one of them, or name the files one by one"
        )


def compare(found: list[str], declared: list[str], path: str, allow_new: bool) -> None:
    """Raise SourceColumnsError unless `found` are the declared columns, and others if allowed."""
    if CORRUPT in (name.lower() for name in (*found, *declared)):
        raise SourceColumnsError(
            f"{path} has a column {CORRUPT!r}, where the quarantine keeps the text of rows that "
            "could not be read; give the column another name in the source"
        )
    missing, new = sorted(set(declared) - set(found)), sorted(set(found) - set(declared))
    if missing or (new and not allow_new):
        raise SourceColumnsError(
            f"{path} has columns {sorted(found)}, declared are {sorted(declared)}: "
            f"missing {missing}, not declared {new}; correct `columns:` or the source"
            + ("" if missing else ", or set allow_new_columns")
        )


def text_again(
    df: DataFrame, names: Sequence[str], source_format: str, options: Mapping[str, str]
) -> DataFrame:
    """`df` with the columns `names` read from `_corrupt`, where that is not null."""
    from pyspark.sql import functions as F

    if source_format == "csv":
        parsed = _parsed_csv(CORRUPT, names, options)
    else:
        schema = ", ".join(f"{quoted(name)} STRING" for name in (*names, CORRUPT))
        parsed = F.from_json(F.col(CORRUPT), schema, {**JSON_TEXT, **_permissive(options)})
    again = free(df.columns, "again")
    found = F.when(F.col(CORRUPT).isNotNull(), parsed).alias(again)
    return df.select("*", found).select(
        *(quoted(name) for name in df.columns if name not in (*names, CORRUPT)),
        *(F.coalesce(f"{again}.{quoted(n)}", quoted(n)).alias(n) for n in names),
        F.col(f"{again}.{CORRUPT}").alias(CORRUPT),
    )


def _parsed_csv(line: str, names: Sequence[str], options: Mapping[str, str]) -> Column:
    """The line as a struct of texts, and of `_corrupt` if it has not as many values."""
    from pyspark.sql import functions as F

    schema = ", ".join(f"{quoted(name)} STRING" for name in (*names, CORRUPT))
    given = {**_CSV, "escape": options.get("quote", '"'), **_permissive(options)}
    return F.from_csv(F.col(line), schema, given)


def _permissive(options: Mapping[str, str]) -> dict[str, str]:
    return {"columnNameOfCorruptRecord": CORRUPT, "mode": "PERMISSIVE", **options}
