"""What is done to Spark columns by name: quoting, hashes, text made alike, rows as JSON.

NFKC is Unicode's compatibility composition (UAX 15), by Arrow: one Arrow batch function for all
columns that want it. The rest is native to Spark.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from sparkmine.errors import ConfigError

if TYPE_CHECKING:
    from pyspark.sql import Column

TEXT = ("nfkc", "control", "spaces", "lower", "upper")
# Rows come back from their JSON as they were: to the microsecond, and with all their columns.
JSON_OPTIONS = {
    "ignoreNullFields": "false",
    "timestampFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX",
    "timestampNTZFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSS",
}


def quoted(name: str) -> str:
    """A column's name as Spark's functions take it."""
    return "`" + name.replace("`", "``") + "`"


def free(taken: Iterable[str], name: str) -> str:
    """`_name`, with more underscores until no column of `taken` begins so; it needs no quotes."""
    lower = [other.lower() for other in taken]
    while any(other.startswith(f"_{name}") for other in lower):
        name = f"_{name}"
    return f"_{name}"


def content(names: Sequence[str]) -> Column:
    """A 64-bit hash of the values of some columns.

    Spark's own passes over nulls: of two columns, (null, x) and (x, null) would be the same.
    """
    from pyspark.sql import functions as F

    columns = [F.col(quoted(name)) for name in names]
    return F.xxhash64(*columns, *(column.isNull() for column in columns))


def as_json(value: Column) -> Column:
    """A struct, an array or a map as JSON, nulls too."""
    from pyspark.sql import functions as F

    return F.to_json(value, JSON_OPTIONS)


def check_text(steps: Sequence[str]) -> None:
    """Raise ConfigError unless `repaired_text` takes these steps."""
    unknown = [name for name in steps if name not in TEXT]
    if unknown or len(set(steps) & {"lower", "upper"}) > 1:
        raise ConfigError(
            f"text repairs are {', '.join(TEXT)}, and either lower or upper; "
            f"these are {', '.join(steps)}"
        )


def repaired_text(value: Column, steps: Sequence[str]) -> Column:
    """Text after some of the steps `TEXT`, in the order that they have there.

    Args:
        value: A column of text.
        steps: `nfkc`, `control` (drop control characters, tabs and line ends become spaces),
            `spaces` (runs of white space become one space, none at the ends), `lower`, `upper`.
    """
    from pyspark.sql import functions as F

    if "nfkc" in steps:
        value = _nfkc(value)
    if "control" in steps:
        value = F.regexp_replace(F.regexp_replace(value, r"[\t\n\r\f]+", " "), r"\p{Cc}", "")
    if "spaces" in steps:
        value = F.regexp_replace(F.regexp_replace(value, r"(?U)\s+", " "), "^ | $", "")
    if "lower" in steps:
        value = F.lower(value)
    if "upper" in steps:
        value = F.upper(value)
    return value


def _nfkc(value: Column) -> Column:
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyspark.sql import functions as F

    def normalised(texts):  # type: ignore[no-untyped-def]
        return pc.utf8_normalize(texts, form="NFKC")

    # Spark asks for the classes, which annotations of this module are not while it runs.
    normalised.__annotations__ = {"texts": pa.Array, "return": pa.Array}
    found: Column = F.arrow_udf("string")(normalised)(value)  # type: ignore[attr-defined]
    return found
