"""The records as they are compared, and how many pairs each rule would form of them.

A rule that is too loose is the usual way for a linkage to fill a cluster's disks. The pairs of a
rule follow from the sizes of its blocks, so they are known, by one shuffle of the keys, before
any pair is formed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparkmine.dedup.checkpoint import cut
from sparkmine.dedup.documents import check_distinct, check_id
from sparkmine.dedup.fuzzy.comparisons import alike, check_type, compared
from sparkmine.dedup.fuzzy.settings import Linkage, Rule
from sparkmine.errors import ConfigError, DataError
from sparkmine.expr import col, to_column
from sparkmine.lake.inputs import need_columns

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

KEY = "unique_id"  # as Splink calls it
_SEPARATOR = "\x1f"


@dataclass(frozen=True)
class Prepared:
    """Records ready for Splink.

    Attributes:
        frame: [KEY, c0_0, c0_1, ..., b0, b1, ..., x0, ...], a checkpoint: a 64-bit hash of the id,
            the compared values, the blocking rules' keys, and other columns of training rules.
        ids: [id, key]
        rows: How many records there are.
        names: The column of `frame` that stands for a column of the table.
        pairs: For each rule that is used the pairs that it forms, and its largest block.
    """

    frame: DataFrame
    ids: DataFrame
    rows: int
    names: dict[str, str]
    pairs: dict[str, tuple[int, int]]

    def agreement(self, rule: Rule) -> str:
        """Splink's condition for pairs that agree in the columns of a training rule."""
        return " and ".join(f"l.{self.names[name]} = r.{self.names[name]}" for name in rule)

    def pairs_of(self, rule: Rule) -> int:
        return self.pairs[_text(rule)][0]


def prepared(df: DataFrame, linkage: Linkage) -> Prepared:
    """Make the values alike, and count the pairs of all rules.

    Raises:
        ConfigError: a column that is missing or of a type that its comparison does not take; a
            blocking rule whose pairs are more than `max_pairs`.
        DataError: ids that are null or not distinct; a training rule without pairs.
    """
    from pyspark.sql import functions as F

    need_columns(df, [linkage.id, *linkage.columns])
    check_id(df.schema, linkage.id)
    kinds = {name: item.kind for name, item in linkage.compared.items()}
    for name, kind in kinds.items():
        check_type(name, kind, df.schema[name].dataType)
    values = df.select(
        F.xxhash64(linkage.id).alias(KEY),
        F.col(linkage.id).alias("_id"),
        *(
            alike(to_column(col(name)), kinds.get(name, "exact")).alias(name)
            for name in linkage.columns
        ),
    )
    names, columns = _columns(linkage)
    blocks = [
        _key([to_column(part).cast("string") for part in rule]).alias(f"b{place}")
        for place, rule in enumerate(linkage.keys)
    ]
    whole, figures = cut(
        values.select(KEY, "_id", *columns, *blocks),
        rows=F.count(F.lit(1)),
        nulls=F.count_if(F.isnull("_id")),
    )
    if figures["nulls"]:
        raise DataError(
            f"column {linkage.id!r} is null in {figures['nulls']} rows; give each row an id"
        )
    rules = {_text(rule): F.col(f"b{place}") for place, rule in enumerate(linkage.blocking)}
    for rule in (*linkage.training.rules, *linkage.training.certain):
        rules[_text(rule)] = _key([F.col(names[name]).cast("string") for name in rule])
    pairs = _pairs(whole, {**rules, KEY: F.col(KEY)})
    if pairs.pop(KEY)[0]:
        check_distinct(df, linkage.id)
        raise DataError(f"two values of {linkage.id!r} have the same 64-bit hash, by chance")
    found = Prepared(
        whole.drop("_id"),
        whole.select(F.col("_id").alias(linkage.id), F.col(KEY).alias("key")),
        figures["rows"],
        names,
        pairs,
    )
    _check_pairs(found, linkage)
    return found


def _columns(linkage: Linkage) -> tuple[dict[str, str], list[Column]]:
    """Names of the frame's columns by those of the table, and the columns."""

    names: dict[str, str] = {}
    columns = []
    for place, item in enumerate(linkage.comparisons):
        for part, name in enumerate(item.columns):
            names[name] = f"c{place}_{part}"
            columns.append(compared(to_column(col(name)), item.kind).alias(names[name]))
        if len(item.columns) > 1:
            whole = _key([to_column(col(name)) for name in item.columns])
            columns.append(whole.alias(f"c{place}_{len(item.columns)}"))
    trained = [
        name for rule in (*linkage.training.rules, *linkage.training.certain) for name in rule
    ]
    for name in dict.fromkeys(trained):
        if name not in names:
            names[name] = f"x{len(names)}"
            columns.append(to_column(col(name)).alias(names[name]))
    return names, columns


def _key(parts: list[Column]) -> Column:
    """One text of several values; null where one is null, so the row is in no block."""
    from pyspark.sql import functions as F

    joined = [column for part in parts for column in (F.lit(_SEPARATOR), part)]
    return F.concat(*joined[1:])


def _pairs(frame: DataFrame, rules: dict[str, Column]) -> dict[str, tuple[int, int]]:
    """For each rule the pairs in its blocks, and the rows of its largest block."""
    from pyspark.sql import functions as F

    keyed = [
        F.struct(F.lit(text).alias("rule"), F.xxhash64(key).alias("hash"))
        for text, key in rules.items()
    ]
    present = [
        F.when(key.isNotNull(), pair) for key, pair in zip(rules.values(), keyed, strict=True)
    ]
    blocks = (
        frame.select(F.explode(F.array_compact(F.array(*present))).alias("block"))
        .groupBy("block.rule", "block.hash")
        .count()
    )
    # A double: the square of a block of 4 billion rows does not fit into 64 bits.
    size = F.col("count").cast("double")
    sums = blocks.groupBy("rule").agg(F.sum(size * (size - 1) / 2), F.max("count"))
    counted = {rule: (int(pairs), largest) for rule, pairs, largest in sums.collect()}
    return {text: counted.get(text, (0, 0)) for text in rules}


def _check_pairs(found: Prepared, linkage: Linkage) -> None:
    total = sum(found.pairs[_text(rule)][0] for rule in linkage.blocking)
    if total > linkage.max_pairs:
        worst = max(linkage.blocking, key=lambda rule: found.pairs[_text(rule)])
        pairs, largest = found.pairs[_text(worst)]
        raise ConfigError(
            f"the blocking rules would compare up to {total:,} pairs, and max_pairs is "
            f"{linkage.max_pairs:,}; the rule {_text(worst)!r} alone gives {pairs:,}, for "
            f"{largest:,} rows share one value: add a column to that rule, turn the frequent value "
            "into null if it means none, or raise max_pairs"
        )
    if found.rows < 2:
        return
    for rule in linkage.training.rules:
        if not found.pairs_of(rule):
            raise DataError(
                f"no two rows agree in the training rule {_text(rule)!r}, so nothing can be learnt "
                "from it: name other columns"
            )
    if linkage.training.certain and not any(map(found.pairs_of, linkage.training.certain)):
        raise DataError(
            "no two rows agree in any of the rules `certain`, so they say nothing of how many "
            "pairs are one entity: name other columns, or give `prior`"
        )


def _text(rule: Rule) -> str:
    return ", ".join(rule)
