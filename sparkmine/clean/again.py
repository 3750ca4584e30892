"""Send quarantined rows through again, each of them once, also when the command is killed.

Three commits, each of which may be the last:

1. The quarantine is written with the rows that pass now marked by a token (`released`), and the
   others with the reasons that they have now.
2. The marked rows are appended to the clean table; the commit's metadata has the token.
3. The marked rows leave the quarantine.

A run that finds marked rows looks for their token among the clean table's commits. If it is there
they leave (3 was missed); if not, they are asked again like the others (2 was missed).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparkmine.clean.checked import Checked
from sparkmine.clean.quarantine import counted_reasons
from sparkmine.clean.reading import text_reasons, typed_values
from sparkmine.clean.rules import (
    DROP,
    FAIL,
    QUARANTINE,
    REASON_TYPE,
    REASONS,
    broken,
    reason,
)
from sparkmine.clean.text_sources import CORRUPT, as_text, text_again
from sparkmine.clean.values import Columns
from sparkmine.expr.columns import JSON_OPTIONS, free
from sparkmine.lake import Table

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame
    from pyspark.sql.types import StructType

# What a stage adds to rows of the quarantine: the row of its table, and whether it is removed.
ROW, REMOVED = "_row", "_removed"
_REMOVED = " removed"


@dataclass(frozen=True)
class Marked:
    """The quarantine after the first commit.

    Attributes:
        version: Its version.
        released, removed, kept: Rows that pass now, that are to be dropped, that stay.
        reasons: Of those that stay, as in `Tally`.
    """

    version: int
    released: int
    removed: int
    kept: int
    reasons: dict[str, int]


def rows_of(table: Table, fingerprint: str) -> DataFrame:
    """The rows of one fingerprint, pinned."""
    from pyspark.sql import functions as F

    snapshot = table.snapshot().where(f"fingerprint = '{fingerprint}'")
    rows = snapshot.dataframe(table.lake.spark)
    if "released" in rows.columns:
        return rows
    return rows.withColumn("released", F.lit(None).cast("string"))  # of an older quarantine


def tokens(rows: DataFrame) -> set[str]:
    """The tokens of the rows that are marked."""
    found = rows.where("released is not null").select("released").distinct().collect()
    return {row.released.removesuffix(_REMOVED) for row in found}


def remaining(rows: DataFrame, gone: Collection[str]) -> DataFrame:
    """The rows without those that are marked by one of these tokens."""
    return rows.where(~_marked_by(gone)) if gone else rows


@dataclass(frozen=True)
class Returned:
    """Rows of a quarantine as they came.

    Attributes:
        rows: The rows, with the two columns that follow.
        columns: The names of the rows' columns.
        own: The column that has the quarantine's own columns as one struct.
        unreadable: The column that has the text that was no such row, and left nulls.
    """

    rows: DataFrame
    columns: tuple[str, ...]
    own: str
    unreadable: str


def returned(rows: DataFrame, schema: StructType) -> Returned:
    """The rows as they came, of this schema."""
    from pyspark.sql import functions as F
    from pyspark.sql.types import StringType, StructField, StructType

    own, unreadable = (free(schema.names, name) for name in ("quarantined", "unreadable"))
    whole = StructType([*schema.fields, StructField(unreadable, StringType())])
    options = {
        **JSON_OPTIONS,
        "maxStringLen": str(2**31 - 1),
        "mode": "PERMISSIVE",
        "columnNameOfCorruptRecord": unreadable,
    }
    struct = F.struct(*rows.columns).alias(own)
    parsed = rows.select(struct, F.from_json("row", whole, options).alias(ROW))
    return Returned(parsed.select(f"{ROW}.*", own), tuple(schema.names), own, unreadable)


def judged_again(checked: Checked, back: Returned, names: Sequence[str]) -> DataFrame:
    """What `Stage.again` gives, of rows that `returned` gave and a contract has checked.

    `names` are the quarantine's own columns.
    """
    from pyspark.sql import functions as F

    corrupt = F.col(back.unreadable).isNotNull()
    unreadable = F.array(reason("unreadable row", "")).cast(REASON_TYPE)
    bad = broken(checked.of(FAIL, QUARANTINE))
    none = F.array().cast(REASON_TYPE)
    return checked.rows.select(
        *(F.col(f"{back.own}.{name}") for name in names),
        F.when(corrupt, unreadable).when(bad, checked.reasons).otherwise(none).alias(REASONS),
        broken(checked.of(DROP)).alias(REMOVED),
        F.struct(*checked.values()).alias(ROW),
    )


def parsed_again(
    rows: DataFrame,
    columns: Columns,
    names: Sequence[str],
    source_format: str,
    options: Mapping[str, str],
    source: str | None = None,
) -> DataFrame:
    """What `Stage.again` gives, of rows of a text source; `names` are its table's columns.

    `source` is the column among them that says of what file a row is. The text of a row that could
    not be read is read again, as the source is declared now.
    """
    from pyspark.sql import functions as F

    names = [name for name in names if name != source]
    came = [F.json_object_keys("row").alias("names")]
    first = rows.where(rows.row.contains(f'"{CORRUPT}"')).select(*came).first()
    found = first.names if first else [*names, CORRUPT]
    in_line = found[: found.index(CORRUPT)]  # the others are in the names of folders
    back = returned(rows, as_text([*in_line, CORRUPT, *found[len(in_line) + 1 :]]))
    text = back.rows
    if first is not None:
        text = text_again(text, in_line, source_format, options)
    text = text.withColumn(CORRUPT, F.coalesce(back.unreadable, CORRUPT))
    path = [F.col(f"{back.own}.source").alias(source)] if source else []
    return text.select(
        *(F.col(f"{back.own}.{name}") for name in rows.columns),
        text_reasons(back.columns, columns).alias(REASONS),
        F.lit(False).alias(REMOVED),
        F.struct(*typed_values(columns, names), *path).alias(ROW),
    )


def mark(table: Table, fingerprint: str, judged: DataFrame, token: str) -> Marked:
    """The first commit: `judged` has the rows with `_reasons`, `_removed` and `_row`."""
    from pyspark.sql import functions as F

    bad = F.size(REASONS) > 0
    fate = F.when(~bad & F.col(REMOVED), token + _REMOVED).when(~bad, token)
    marked = judged.withColumn("released", fate)
    marked = marked.withColumn("reasons", F.when(bad, F.col(REASONS)).otherwise(F.col("reasons")))
    version = _replace(table, fingerprint, marked)
    rows = rows_of(table, fingerprint)
    found = {row.released: row["count"] for row in rows.groupBy("released").count().collect()}
    return Marked(
        version=version,
        released=found.get(token, 0),
        removed=found.get(token + _REMOVED, 0),
        kept=found.get(None, 0),
        reasons=counted_reasons(rows.where("released is null")) if None in found else {},
    )


def released(table: Table, fingerprint: str, token: str) -> DataFrame:
    """The rows that the second commit appends, as the quarantine has them."""
    from pyspark.sql import functions as F

    return rows_of(table, fingerprint).where(F.col("released") == token)


def remove(table: Table, fingerprint: str, gone: Collection[str]) -> int:
    """The third commit; the quarantine's version."""
    return _replace(table, fingerprint, remaining(rows_of(table, fingerprint), gone))


def _marked_by(gone: Collection[str]) -> Column:
    from pyspark.sql import functions as F

    marks = [mark for token in gone for mark in (token, token + _REMOVED)]
    return F.coalesce(F.col("released").isin(marks), F.lit(False))


_COLUMNS = ("run_id", "stage", "fingerprint", "source", "reasons", "row", "released")


def _replace(table: Table, fingerprint: str, rows: DataFrame) -> int:
    commit = table.write(
        rows.select(*_COLUMNS),
        "replace_where",
        replace_where=f"fingerprint = '{fingerprint}'",
        new_columns=True,
    )
    return commit.version
