"""Text to typed values, as each column declares it; what does not fit is null, and a reason."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparkmine.errors import ConfigError

if TYPE_CHECKING:
    from pyspark.sql import Column, SparkSession
    from pyspark.sql.types import DataType, StructType

_MOMENTS = ("date", "timestamp", "timestamp_ntz")


@dataclass(frozen=True, kw_only=True)
class ColumnFormat:
    """How the values of one column are written.

    Attributes:
        type: Spark SQL type.
        formats: Of a date or a timestamp, the patterns that it may have, such as `dd.MM.yyyy`
            (Spark's letters); the first that fits counts.
        zone: The zone of moments whose text names none, such as `Europe/Berlin`; UTC if None.
        decimal, thousands: Of a number, the decimal sign, and the sign between groups of three
            digits. A sign at another place does not fit.
        true_words, false_words: Of a boolean, the words for both, in any case.
    """

    type: str
    formats: tuple[str, ...] = ()
    zone: str | None = None
    decimal: str = "."
    thousands: str = ""
    true_words: tuple[str, ...] = ()
    false_words: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.zone is not None and not self.formats:
            raise ConfigError(f"zone {self.zone!r} wants a format of the moments that are in it")
        if self.zone is not None and self.zone not in zoneinfo.available_timezones():
            raise ConfigError(f"there is no time zone {self.zone!r}; write one as Europe/Berlin")
        if len(self.decimal) != 1 or len(self.thousands) > 1 or self.decimal == self.thousands:
            raise ConfigError("the decimal and the thousands sign are two different characters")
        if bool(self.true_words) != bool(self.false_words):
            raise ConfigError("a boolean in words wants both true_words and false_words")


Columns = Mapping[str, str | ColumnFormat]


def column_formats(columns: Columns) -> dict[str, ColumnFormat]:
    """Declared columns, of which some may be types alone."""
    return {
        name: ColumnFormat(type=found) if isinstance(found, str) else found
        for name, found in columns.items()
    }


def declared_schema(columns: Columns) -> StructType:
    """The Spark schema of declared columns.

    Raises:
        ConfigError: a type that Spark does not know, or a format that is none of its type; names
            the column.
    """
    from pyspark.errors import PySparkException
    from pyspark.sql.types import DataType, StructType

    schema = StructType()
    for name, declared in column_formats(columns).items():
        try:
            kind = DataType.fromDDL(declared.type)
        except PySparkException as error:
            raise ConfigError(f"column {name!r}: {declared.type!r} is no Spark SQL type") from error
        plain = ColumnFormat(type=declared.type)
        mistaken = {
            "a format": declared.formats and kind.typeName() not in _MOMENTS,
            "a zone": declared.zone is not None and kind.typeName() != "timestamp",
            "true_words": declared.true_words and kind.typeName() != "boolean",
            "decimal or thousands": not _is_number(kind)
            and (declared.decimal, declared.thousands) != (plain.decimal, plain.thousands),
        }
        for what, wrong in mistaken.items():
            if wrong:
                raise ConfigError(
                    f"column {name!r} is {declared.type}, for which {what} means nothing"
                )
        schema.add(name, kind)
    return schema


def check_formats(spark: SparkSession, columns: Columns) -> None:
    """Raise ConfigError for a pattern of dates that Spark cannot read; names the column."""
    jvm = spark.sparkContext._jvm
    assert jvm is not None
    for name, declared in column_formats(columns).items():
        for pattern in declared.formats:
            try:
                jvm.java.time.format.DateTimeFormatter.ofPattern(pattern)
            except Exception as error:  # Java's IllegalArgumentException, in a class of pyspark
                if "IllegalArgument" not in f"{type(error).__name__} {error}":
                    raise
                raise ConfigError(f"column {name!r}: {pattern!r} is no date pattern") from None


def typed(text: Column, kind: DataType, declared: ColumnFormat) -> Column:
    """The text as a value of `kind`; null where it does not fit."""
    from pyspark.sql import functions as F

    if declared.formats:
        return F.coalesce(*(_moment(text, kind, declared, one) for one in declared.formats))
    if declared.true_words:
        word = F.lower(F.trim(text))
        true, false = (
            word.isin([each.lower() for each in words])
            for words in (declared.true_words, declared.false_words)
        )
        return F.when(true, True).when(false, False)
    if _is_number(kind):
        text = _plain_number(text, declared)
    value = text.try_cast(kind)
    if kind.typeName() == "decimal":
        # A cast rounds digits away that the type has no place for.
        return F.when(_kept(text, kind.scale), value)  # type: ignore[attr-defined]
    return value


def _kept(text: Column, scale: int) -> Column:
    """Whether a number has no digit but 0 behind the last place that a decimal has.

    It is read from the text: a decimal with room for all digits that a text may have there is not.
    """
    from pyspark.sql import functions as F

    plain = text.rlike(rf"^[^.eE]*(\.\d{{0,{scale}}}0*)?[\x00-\x20\x7f]*$")
    digits, power = (F.regexp_extract(text, r"([\d.]+)[eE]([+-]?\d+)", group) for group in (1, 2))
    whole = F.substring_index(digits, ".", 1)
    fraction = F.rtrim(F.regexp_extract(digits, r"\.(\d+)", 1), F.lit("0"))
    # The place of the last digit that is not 0, behind the point; before it, 0 or less.
    before = F.length(F.rtrim(whole, F.lit("0"))) - F.length(whole)
    place = F.when(F.length(fraction) > 0, F.length(fraction)).otherwise(before)
    shifted = digits.rlike("^[0.]*$") | (place - power.try_cast("int") <= scale)
    return plain | (text.rlike("[eE]") & shifted)


def _is_number(kind: DataType) -> bool:
    from pyspark.sql.types import NumericType

    return isinstance(kind, NumericType)


def _plain_number(text: Column, declared: ColumnFormat) -> Column:
    """The number as SQL writes it; null where its signs are elsewhere than declared."""
    from pyspark.sql import functions as F

    if declared.decimal == "." and not declared.thousands:
        return text
    point = re.escape(declared.decimal)
    whole = r"\d+"
    if declared.thousands:
        whole = rf"(\d{{1,3}}({re.escape(declared.thousands)}\d{{3}})+|\d+)"
    form = rf"^\s*[+-]?({whole}({point}\d*)?|{point}\d+)([eE][+-]?\d+)?\s*$"
    plain = F.replace(text, F.lit(declared.thousands), F.lit("")) if declared.thousands else text
    return F.when(text.rlike(form), F.replace(plain, F.lit(declared.decimal), F.lit(".")))


def _moment(text: Column, kind: DataType, declared: ColumnFormat, pattern: str) -> Column:
    from pyspark.sql import functions as F

    if kind.typeName() == "date":
        return F.try_to_date(text, pattern)
    found = F.try_to_timestamp(text, F.lit(pattern))
    if declared.zone is not None and not re.search(r"[VzOXxZ]", re.sub("'[^']*'", "", pattern)):
        found = F.to_utc_timestamp(found, declared.zone)
    return found.try_cast(kind)
