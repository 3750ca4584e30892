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
from sparkmine.clean.reading import reasoned, typed_values
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
from sparkmine.expr.columns import JSON_OPTIONS
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


_OWN, _UNREADABLE = "_quarantined", "_unreadable"


def returned(rows: DataFrame, schema: StructType) -> tuple[DataFrame, tuple[str, ...]]:
    """The rows as they came, of this schema, and its names; their own columns as one struct.

    Text that is no such row leaves nulls, and the column `_unreadable` has it.
    """
    from pyspark.sql import functions as F
    from pyspark.sql.types import StringType, StructField, StructType

    whole = StructType([*schema.fields, StructField(_UNREADABLE, StringType())])
    options = {
        **JSON_OPTIONS,
        "maxStringLen": str(2**31 - 1),
        "mode": "PERMISSIVE",
        "columnNameOfCorruptRecord": _UNREADABLE,
    }
    names = tuple(schema.names)
    own = F.struct(*rows.columns).alias(_OWN)
    parsed = rows.select(own, F.from_json("row", whole, options).alias(ROW))
    return parsed.select(f"{ROW}.*", _OWN), names


def judged_again(checked: Checked, own: Sequence[str]) -> DataFrame:
    """What `Stage.again` gives, of rows that `returned` gave and a contract has checked."""
    from pyspark.sql import functions as F

    corrupt = F.col(_UNREADABLE).isNotNull()
    unreadable = F.array(reason("unreadable row", "")).cast(REASON_TYPE)
    bad = broken(checked.of(FAIL, QUARANTINE))
    none = F.array().cast(REASON_TYPE)
    return checked.rows.select(
        *(F.col(f"{_OWN}.{name}") for name in own),
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
    path = [F.col(f"{_OWN}.source").alias(source)] if source else []
    came = [F.json_object_keys("row").alias("names")]
    first = rows.where(rows.row.contains(f'"{CORRUPT}"')).select(*came).first()
    found = first.names if first else [*names, CORRUPT]
    in_line = found[: found.index(CORRUPT)]  # the others are in the names of folders
    back, _ = returned(rows, as_text([*in_line, CORRUPT, *found[len(in_line) + 1 :]]))
    if first is not None:
        back = text_again(back, in_line, source_format, options)
    back = back.withColumn(CORRUPT, F.coalesce(_UNREADABLE, CORRUPT)).drop(_UNREADABLE)
    judged = reasoned(back, columns, [_OWN])
    return judged.select(
        *(F.col(f"{_OWN}.{name}") for name in rows.columns),
        REASONS,
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
