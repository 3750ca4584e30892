"""Columns in the types of a contract: what fits, by hand, on both engines, and keys of them."""

from __future__ import annotations

import datetime
import math
import re
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from sparkmine.clean import ColumnRule, Condition, Contract, Key, Validation
from sparkmine.clean.drift import earlier_bins
from sparkmine.clean.rules import REASONS
from sparkmine.clean.table_rules import measures
from sparkmine.clean.typed import fitted
from sparkmine.clean.validation import of_snapshot
from sparkmine.expr import evaluate, to_column
from sparkmine.stages.clean import ColumnBlock

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from sparkmine.lake import Lake

NAN, INF = math.nan, math.inf
ZONED, NTZ = pa.timestamp("us", tz="UTC"), pa.timestamp("us")


def at(*parts: int) -> datetime.datetime:
    return datetime.datetime(*parts, tzinfo=datetime.UTC)  # type: ignore[misc, arg-type]


def plain(*parts: int) -> datetime.datetime:
    return datetime.datetime(*parts)  # type: ignore[arg-type]


DAY = datetime.date(2026, 1, 2)
# Arrow's type, Spark's name of it, the type of the contract, and values with what they become.
CASES: list[tuple[pa.DataType, str, str, list[tuple[Any, Any]]]] = [
    (
        pa.float64(),
        "double",
        "long",
        [(3.0, 3), (3.7, None), (NAN, None), (INF, None), (-INF, None), (-0.0, 0), (2.0**63, None)],
    ),
    (pa.float32(), "float", "long", [(2.5, None), (16777216.0, 16777216), (NAN, None)]),
    (pa.float64(), "double", "boolean", [(0.0, False), (1.0, True), (0.5, None), (NAN, None)]),
    (pa.int32(), "int", "boolean", [(0, False), (1, True), (7, None)]),
    (pa.int64(), "bigint", "double", [(2**53, 2.0**53), (2**53 + 1, None), (2**63 - 1, None)]),
    (pa.int32(), "int", "double", [(-5, -5.0)]),
    (pa.int32(), "int", "long", [(-5, -5)]),
    (
        ZONED,
        "timestamp",
        "date",
        [(at(2026, 1, 2), DAY), (at(2026, 1, 2, 12), None), (at(2026, 1, 2, 0, 0, 0, 1), None)],
    ),
    (NTZ, "timestamp_ntz", "date", [(plain(2026, 1, 2), DAY), (plain(2026, 1, 2, 1), None)]),
    (
        ZONED,
        "timestamp",
        "long",
        [(at(1970, 1, 2), 86400), (at(1969, 12, 31, 23, 59, 59, 500000), None)],
    ),
    (pa.date32(), "date", "timestamp", [(DAY, at(2026, 1, 2))]),
    (
        pa.int64(),
        "bigint",
        "timestamp",
        [(86400, at(1970, 1, 2)), (-1, at(1969, 12, 31, 23, 59, 59))],
    ),
    (pa.int64(), "bigint", "timestamp", [(2**63 - 1, None)]),
    (pa.float64(), "double", "timestamp", [(1.5, at(1970, 1, 1, 0, 0, 1, 500000)), (1e300, None)]),
    (
        pa.decimal128(10, 2),
        "decimal(10,2)",
        "long",
        [(Decimal("3.00"), 3), (Decimal("3.70"), None)],
    ),
    (pa.decimal128(38, 30), "decimal(38,30)", "long", [(Decimal("3." + "0" * 29 + "1"), None)]),
    (
        pa.decimal128(38, 18),
        "decimal(38,18)",
        "double",
        [
            (Decimal("0.1"), 0.1),
            (Decimal("1234.5"), 1234.5),
            (Decimal("0.123456789012345678"), None),
        ],
    ),
    (pa.string(), "string", "long", [("07", 7), ("x", None)]),
    (
        pa.string(),
        "string",
        "decimal(5,2)",
        [
            (" 1.500 ", Decimal("1.50")),
            ("1.239", None),
            ("1000", None),
            ("123.45e0", Decimal("123.45")),
        ],
    ),
    (
        pa.string(),
        "string",
        "decimal(6,2)",
        [("12.3e1", Decimal("123.00")), ("1e-3", None), ("0.1000000000000001e1", None)],
    ),
    (pa.float64(), "double", "decimal(5,2)", [(0.1, Decimal("0.10")), (0.125, None), (NAN, None)]),
    (pa.int64(), "bigint", "decimal(5,2)", [(7, Decimal("7.00")), (1000, None)]),
    (
        pa.decimal128(9, 3),
        "decimal(9,3)",
        "decimal(5,2)",
        [(Decimal("1.230"), Decimal("1.23")), (Decimal("1.234"), None), (Decimal("1000"), None)],
    ),
]


def test_what_fits_by_hand(spark: SparkSession) -> None:
    rows = max(len(case[3]) for case in CASES)
    table, wanted = {}, {}
    for i, (kind, _, _, values) in enumerate(CASES):
        padded = [*values, *[(None, None)] * (rows - len(values))]
        table[f"c{i}"] = pa.array([value for value, _ in padded], kind)
        wanted[f"c{i}"] = [value for _, value in padded]
    exprs = {f"c{i}": fitted(f"c{i}", to, name) for i, (_, name, to, _) in enumerate(CASES)}
    df = spark.createDataFrame(pa.table(table)).coalesce(1)
    # Spark takes Arrow's moments without a zone for those of the session's.
    df = df.select(
        *(df[f"c{i}"].cast(name).alias(f"c{i}") for i, (_, name, _, _) in enumerate(CASES))
    )
    found = df.select(*(to_column(expr).alias(name) for name, expr in exprs.items()))
    assert found.toArrow().to_pydict() == wanted
    spark_alone = [
        i
        for i, (kind, _, to, _) in enumerate(CASES)
        if pa.types.is_decimal(kind) or to.startswith("decimal")
    ]
    spark_alone += [
        i for i, (_, name, to, _) in enumerate(CASES) if (name, to) == ("double", "timestamp")
    ]
    for name, expr in exprs.items():
        if int(name[1:]) not in spark_alone:
            assert evaluate(expr, pa.table(table)).to_pylist() == wanted[name], name


def test_types_that_a_block_takes() -> None:
    assert ColumnBlock(type="decimal(12, 2)").type == "decimal(12,2)"
    for name in ("decimal(39,2)", "decimal(3,4)", "decimal", "float"):
        with pytest.raises(ValueError, match=f"there is no type '{re.escape(name)}'"):
            ColumnBlock(type=name)


# id, ref, amount
TEXT = [
    ("7", "1", "5"),  # the same number twice
    ("07", "2", "5"),
    ("8", "x", "5"),  # no number, so no key that is not there
    ("9", "4", "5"),  # not there
    ("x", "1", "5"),  # no numbers, and no key that occurs twice
    ("x", "1", "5"),
    (None, None, "5"),
    ("1", "02", "10"),  # as text smaller than 9
    ("2", "1", "y"),
]
TYPED = Contract(
    columns={
        "id": ColumnRule(type="long", unique=True),
        "ref": ColumnRule(type="long", in_table=Key(table="known", columns=("k",))),
        "amount": ColumnRule(type="long"),
    },
    conditions={"small": Condition(holds="amount < 9")},
)
BY_HAND = Validation(
    rows=9,
    kept=1,
    quarantined=8,
    removed=0,
    broken={
        "type long (id)": 2,
        "type long (ref)": 1,
        "type long (amount)": 1,
        "small": 1,
        "unique id (id)": 2,
        "ref in known (ref)": 1,
    },
)


def test_keys_and_conditions_see_the_cast_value(spark: SparkSession) -> None:
    df = spark.createDataFrame(TEXT, "id string, ref string, amount string")
    known = {"known": spark.createDataFrame([(1,), (2,), (None,)], "k bigint")}
    assert TYPED.validate(df, known) == BY_HAND
    checked = TYPED.check(df, known)
    assert [tuple(row) for row in checked.kept.collect()] == [(None, None, 5)]
    # A key that the clean table has, there as a number.
    beside = spark.createDataFrame([(8, 1, 5)], "id long, ref long, amount long")
    again = TYPED.check(df.where("id = '8'"), known, beside=beside).judged.collect()
    assert [[r.rule for r in row[REASONS]] for row in again] == [["type long", "unique id"]]


def test_text_against_keys_that_are_no_text(spark: SparkSession) -> None:
    """Without a type of its own, text is asked for as what the key is, and the other way round."""
    rows = [("1", 1), ("x", 3), (None, None)]
    df = spark.createDataFrame(rows, "text string, number int")
    tables = {
        "numbers": spark.createDataFrame([(1,)], "k bigint"),
        "texts": spark.createDataFrame([("1",), ("abc",), ("01",)], "k string"),
    }
    contract = Contract(
        columns={
            "text": ColumnRule(in_table=Key(table="numbers", columns=("k",))),
            "number": ColumnRule(in_table=Key(table="texts", columns=("k",))),
        }
    )
    found = contract.validate(df, tables)
    assert (found.rows, found.kept) == (3, 2)
    assert found.broken == {"text in numbers (text)": 1, "number in texts (number)": 1}


def test_what_does_not_fit_is_found_in_the_files(spark: SparkSession, lake: Lake) -> None:
    noon, midnight = at(2026, 1, 2, 12), at(2026, 1, 2)
    table = lake.table("raw/typed")
    rows = [(3.0, midnight, 2), (3.7, midnight, 2), (NAN, noon, 2), (None, None, 2**53 + 1)]
    table.write(spark.createDataFrame(rows, "x double, at timestamp, n long"))
    contract = Contract(
        columns={
            "x": ColumnRule(type="long", maximum=3),
            "at": ColumnRule(type="date"),
            "n": ColumnRule(type="double", severity="warn"),
        }
    )
    by_hand = Validation(
        rows=4,
        kept=2,
        quarantined=2,
        removed=0,
        broken={
            "type long (x)": 2,
            "maximum 3 (x)": 0,  # of 3.7, which is no long, nothing else is asked
            "type date (at)": 1,
            "type double (n)": 1,
        },
    )
    snapshot = table.snapshot()
    frame = snapshot.dataframe(spark)
    assert contract.validate(snapshot) == by_hand
    assert of_snapshot(snapshot, contract.checks(frame.schema), spark) == by_hand
    assert contract.validate(frame) == by_hand
    kept = {tuple(row) for row in contract.check(frame).kept.collect()}
    assert kept == {(3, DAY, 2.0), (None, None, None)}


def test_drift_and_age_are_of_the_cast_value(spark: SparkSession, lake: Lake) -> None:
    from pyspark.sql import functions as F

    table = lake.table("clean/typed")
    table.write(spark.createDataFrame([(True,), (True,), (False,)], "b boolean"))
    bins = earlier_bins(table.snapshot(), ["b"], spark)
    assert bins["b"].counts == (2, 1, 0, 0)  # true, false, another value, missing
    contract = Contract(
        columns={"b": ColumnRule(type="boolean"), "day": ColumnRule(type="date", max_age_days=1)}
    )
    df = spark.createDataFrame(
        [("yes", "2026-01-02 12:00:00"), ("0", None)], "b string, day string"
    )
    asked = measures(contract, F.lit(True), bins, contract.typed(df.schema))
    (row,) = df.agg(*(value.alias(name) for name, value in asked.items())).collect()
    midnight = at(2026, 1, 2).timestamp()
    bins_ = {f"bin {i} b": count for i, count in enumerate((1, 1, 0, 0))}
    assert row.asDict() == {"newest day": midnight, **bins_}


YAML = """
pipeline: typed
warehouse: {warehouse}
stages:
  - stage: ingest
    name: ingest_known
    source: {{format: csv, path: known.csv}}
    columns: {{k: bigint}}
    table: raw/known
  - stage: ingest
    name: ingest_rows
    source: {{format: csv, path: rows.csv}}
    columns: {{id: string, ref: string, x: double, at: timestamp}}
    table: raw/rows
  - stage: clean
    name: clean_rows
    input: raw/rows
    table: clean/rows
    repair: {{id: {{categories: {{seven: "7"}}}}}}
    columns:
      id: {{type: long, unique: true}}
      ref: {{type: long, in_table: {{table: raw/known, column: k}}}}
      x: {{type: long}}
      at: {{type: date}}
    max_bad_fraction: 1.0
"""
ROWS = """id,ref,x,at
1,1,3.0,2026-01-02T00:00:00
2,2,3.7,2026-01-02T00:00:00
3,1,,2026-01-02T12:00:00
seven,1,1.0,
07,1,1.0,
5,x,1.0,
6,02,1.0,
"""


def test_a_stage_accounts_for_what_does_not_fit(spark: SparkSession, tmp_path: Path) -> None:
    from sparkmine.lake import Lake
    from sparkmine.pipeline import Runner, load_pipeline

    (tmp_path / "known.csv").write_text("k\n1\n2\n")
    (tmp_path / "rows.csv").write_text(ROWS)
    file = tmp_path / "typed.yaml"
    file.write_text(YAML.format(warehouse=tmp_path / "lake"))
    pipeline, events = load_pipeline(file), {}

    def note(event: Any) -> None:
        if event["event"] == "stage":
            events[event["stage"]] = event

    lake = Lake(pipeline.warehouse, spark)
    commit = Runner(pipeline, lake, note).run()["clean_rows"]
    event = events["clean_rows"]
    counts = [event[key] for key in ("rows_in", "rows_out", "quarantined", "removed")]
    assert counts == [7, 2, 5, 0]
    assert (commit.metadata or {})["metrics"]["reasons"] == {
        "unique id (id)": 2,
        "type date (at)": 1,
        "type long (ref)": 1,
        "type long (x)": 1,
    }
    rows = lake.table("clean/rows").snapshot().dataframe(spark).collect()
    assert sorted(tuple(row) for row in rows) == [(1, 1, 3, DAY), (6, 2, 1, None)]
