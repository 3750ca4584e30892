"""Signs that a model knows what it should not: rows of the test period, the future, the answer.

Five checks over the training and the test rows:

- equal rows: training and test rows with the same features; near rows, whose numbers are closer
  than a tolerance in standard deviations and whose other features are equal (`near_rows.py`); near
  copies of a text column by MinHash, verified by exact Jaccard (`dedup.near`);
- the future: training rows whose label reaches into the test period;
- one feature that alone predicts nearly everything (`single_features.py`);
- ids: keys among the features, and whole numbers (shifted and scaled ones, too) or texts that are
  different in nearly every row.

Cost: one join of row hashes, what near rows take, one aggregation over each period, and a sample of
the training rows on the driver for the last two and for the spread of numbers.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import pyarrow as pa

from sparkmine.errors import ConfigError, DataError
from sparkmine.evaluate.metrics import percent
from sparkmine.evaluate.near_rows import near_rows
from sparkmine.evaluate.plain import PlainData
from sparkmine.evaluate.single_features import names_rows, strongest
from sparkmine.expr.columns import content
from sparkmine.lake.inputs import as_frame, need_columns
from sparkmine.mine.drawn import drawn, told_apart

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from sparkmine.lake import Snapshot

# Mean difference of near rows, in standard deviations of their columns.
NEAR = 1e-6
# From this ROC-AUC, or correlation of ranks, a feature knows the answer.
ALONE = 0.98
# A column with at least this share of different values names rows.
DISTINCT = 0.95
# Training rows that are looked at for single features and ids.
SAMPLE = 100_000


@dataclass(frozen=True, kw_only=True)
class Finding(PlainData):
    """One sign of leakage.

    Fields:
        check: equal rows, near rows, near texts, future, single feature, or id.
        rows: the rows that it concerns; None where it is about a column.
        share: of the test rows (equal and near rows), of the training rows (future), or the
            strength that was measured.
    """

    check: Literal["equal rows", "near rows", "near texts", "future", "single feature", "id"]
    column: str | None
    rows: int | None
    share: float
    text: str


def check_leakage(
    train: DataFrame | Snapshot,
    test: DataFrame | Snapshot,
    features: Sequence[str],
    label: str,
    *,
    keys: Sequence[str] = (),
    time: str | None = None,
    horizon_days: float = 0,
    text: str | None = None,
    max_shared: float = 0.01,
    near: float = NEAR,
    spark: SparkSession | None = None,
) -> tuple[Finding, ...]:
    """What the training rows know of the test rows, or of the answer.

    Args:
        features: what the model learns from.
        keys: columns that name a row; they should not be features.
        time: column with a row's date or moment, or a number that counts time.
        horizon_days: how far the label reaches ahead of it; in units of `time` where that is a
            number. A training row is of the future when its time plus this is after the earliest
            test row.
        text: column of texts whose near copies are looked for, too.
        max_shared: share of the test rows that may have an equal or near training row.
        near: up to which difference rows are near: the root mean square over the columns that are
            numbers, each in standard deviations of the training rows; 0 looks for equal ones only.
            What is near by chance grows with it, most where there are few columns.

    Raises:
        ConfigError: no such column, no features, a `time` that is neither moment nor number,
            a `text` that is none.
        DataError: no training or no test rows.
    """
    learned, tested = as_frame(train, spark), as_frame(test, spark)
    wanted = [*features, label, *keys, *([time] if time else []), *([text] if text else [])]
    for df in (learned, tested):
        need_columns(df, wanted)
    if not features:
        raise ConfigError("no features are named")
    if time is not None:
        _check_time(learned, tested, time)
    if text is not None:
        for df in (learned, tested):
            kind = df.schema[text].dataType.simpleString()
            if kind != "string":
                raise ConfigError(
                    f"text column {text} is {kind}; near copies are looked for in text"
                )
    sides = {"training": learned.count(), "test": tested.count()}
    empty = [name for name, rows in sides.items() if not rows]
    if empty:
        raise DataError(f"there are no {empty[0]} rows to check; look at the periods")
    sample = _sample(learned, [*dict.fromkeys([*features, label])], sides["training"])
    shared = {"equal rows": _equal_rows(learned, tested, features)}
    if near:
        shared["near rows"] = near_rows(learned, tested, features, sample, near)
    found = _shared_rows(shared, sides["test"], max_shared, near)
    if text is not None:
        found += _near_texts(learned, tested, text, sides["test"], max_shared)
    if time is not None:
        found += _future(learned, tested, time, horizon_days, sides["training"])
    found += _ids(sample, features, keys)
    found += _alone(sample, features, label)
    return tuple(found)


def _equal_rows(learned: DataFrame, tested: DataFrame, features: Sequence[str]) -> int:
    """Test rows whose features a training row has, too."""
    hashed = content(features).alias("hash")
    known = learned.select(hashed).distinct()
    return tested.select(hashed).join(known, "hash", "left_semi").count()


def _shared_rows(counts: dict[str, int], rows: int, most: float, near: float) -> list[Finding]:
    found = []
    says = {
        "equal rows": "test rows have the same features as a training row",
        "near rows": f"test rows have a training row within {near:g} standard deviations",
    }
    for check, count in counts.items():
        # Near rows are news only if they are more than the equal ones.
        more = count if check == "equal rows" else count - counts["equal rows"]
        if more > most * rows:
            found.append(
                Finding(
                    check=check,  # type: ignore[arg-type]
                    column=None,
                    rows=count,
                    share=count / rows,
                    text=f"{count:,} of {rows:,} {says[check]} ({percent(count / rows)})",
                )
            )
    return found


def _near_texts(
    learned: DataFrame, tested: DataFrame, text: str, rows: int, most: float
) -> list[Finding]:
    """Test rows whose text has the shingles of a training row's, or is a verified pair with one."""
    from pyspark.sql import functions as F

    from sparkmine.dedup.near import Matching, find

    def side(df: DataFrame, name: str) -> DataFrame:
        texts = df.select(F.col(f"`{text}`").alias("text")).where("text is not null")
        return texts.groupBy("text").agg(F.count("*").alias("rows")).withColumn("side", F.lit(name))

    both = side(learned, "training").union(side(tested, "test"))
    both = both.withColumn("id", F.concat(F.col("side"), F.lit("/"), F.sha2("text", 256))).cache()
    try:
        found = find(both, "id", "text", Matching.of(0.8, "word", None, 0.99))
        # Not by clusters: a text in one with a training text may be like another test text only.
        texts = found.members.join(both.select("id", "side", "rows"), "id")
        known = texts.where("side = 'training' and key is not null").select("key")
        pairs = found.pairs().select("a", "b")
        turned = pairs.select(F.col("b").alias("a"), F.col("a").alias("b"))
        partners = pairs.union(turned).join(known, F.col("a") == F.col("key")).select("b")
        near = known.union(partners).distinct()
        reached = texts.where("side = 'test'").join(near, "key", "left_semi")
        first = reached.agg(F.sum("rows")).first()
        found.edges.release()
    finally:
        both.unpersist()
    count = int((first and first[0]) or 0)
    if count <= most * rows:
        return []
    says = f"{count:,} of {rows:,} test rows have a near copy of a training row's {text}"
    return [
        Finding(
            check="near texts",
            column=text,
            rows=count,
            share=count / rows,
            text=f"{says} ({percent(count / rows)})",
        )
    ]


def _check_time(learned: DataFrame, tested: DataFrame, time: str) -> None:
    """Raise ConfigError unless the column can be a time, of one kind on both sides."""
    from pyspark.sql.types import DateType, NumericType, TimestampNTZType, TimestampType

    kinds = [df.schema[time].dataType for df in (learned, tested)]
    for kind in kinds:
        if not isinstance(kind, NumericType | DateType | TimestampType | TimestampNTZType):
            raise ConfigError(
                f"time column {time} is {kind.simpleString()}; it must be a date, a timestamp or a "
                "number: cast it where it is read"
            )
    if isinstance(kinds[0], NumericType) != isinstance(kinds[1], NumericType):
        raise ConfigError(
            f"time column {time} is {kinds[0].simpleString()} in the training rows, but "
            f"{kinds[1].simpleString()} in the test rows"
        )


def _future(
    learned: DataFrame, tested: DataFrame, time: str, horizon: float, rows: int
) -> list[Finding]:
    from pyspark.sql import functions as F
    from pyspark.sql.types import NumericType

    column = F.col(f"`{time}`")
    number = isinstance(tested.schema[time].dataType, NumericType)
    first = tested.agg(F.min(column)).first()
    start = first[0] if first is not None else None
    if start is None:
        raise DataError(f"column {time} is null in all test rows")
    # Reaching exactly up to the first test moment is no overlap.
    limit = float(start) - horizon if number else start - datetime.timedelta(days=horizon)
    late = column > F.lit(limit)
    counted = learned.agg(F.count_if(late), F.max(column)).first()
    count = int(counted[0]) if counted is not None else 0
    if not count:
        return []
    return [
        Finding(
            check="future",
            column=time,
            rows=count,
            share=count / rows,
            text=(
                f"the labels of {count:,} of {rows:,} training rows reach beyond {start}, where "
                f"the test rows begin: {time} goes up to {counted and counted[1]}, and the label "
                f"{horizon:g} {'further' if number else 'days further'}"
            ),
        )
    ]


def _sample(df: DataFrame, columns: list[str], rows: int) -> pa.Table:
    """About `SAMPLE` training rows, the same ones for any partitioning."""
    from pyspark.sql import functions as F

    names = [F.col(f"`{name}`") for name in columns]
    if rows <= SAMPLE:
        return df.select(*names).toArrow()
    apart = told_apart(df, columns, rows)
    return drawn(apart, SAMPLE / rows, F.xxhash64(*names, "_same")).select(*names).toArrow()


def _ids(sample: pa.Table, features: Sequence[str], keys: Sequence[str]) -> list[Finding]:
    found = []
    for name in features:
        if name in keys:
            text = f"{name} names rows (it is a key) and is among the features"
            found.append(Finding(check="id", column=name, rows=None, share=1.0, text=text))
            continue
        share = names_rows(sample.column(name))
        if share is not None and share >= DISTINCT:
            text = f"{name} has another value in {percent(share)} of the rows, as an id has"
            found.append(Finding(check="id", column=name, rows=None, share=share, text=text))
    return found


def _alone(sample: pa.Table, features: Sequence[str], label: str) -> list[Finding]:
    found = []
    for name, strength, says in strongest(sample, features, label):
        if strength >= ALONE:
            text = f"{name} alone predicts {label} with a {says} of {strength:.3f}"
            found.append(
                Finding(check="single feature", column=name, rows=None, share=strength, text=text)
            )
    return found
